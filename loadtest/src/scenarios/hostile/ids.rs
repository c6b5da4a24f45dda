//! Ids that take more work to parse than to create.

use std::sync::Arc;

use riverhead::position::{IdForm, IdWriter, LogPosition, LogTag, PartitionPosition};

/// Ids that are created once, as an attacker would.
#[derive(Debug)]
pub(super) struct HostileIds {
    all: Vec<String>,
}

impl HostileIds {
    /// Creates ids that name `topic`, and others.
    pub(super) fn new(topic: &str) -> Self {
        let one = |json: String| format!("[{json}]");
        let entry = |fields: &str| one(format!(r#"{{"topic":"{topic}","partition":0,{fields}}}"#));
        let mut all = vec![
            partitions(topic, 1_000, IdForm::Compact),
            partitions("a-topic-that-is-not-there", 1_000, IdForm::Compact),
            partitions(topic, 40, IdForm::Json),
            topics(60),
            entry(r#""offset":9223372036854775807"#),
            entry(r#""offset":9223372036854775806,"timestamp":9223372036854775807"#),
            entry(r#""offset":9223372036854775808"#),
            entry(r#""offset":-9223372036854775808"#),
            entry(r#""offset":-2"#),
            entry(r#""timestamp":99999999999999"#),
            entry(r#""timestamp":-1"#),
            entry(r#""offset":5,"log":"AAAA.AAAAAA.2147483647""#),
            one(format!(
                r#"{{"topic":"{topic}","partition":2147483647,"offset":1}}"#
            )),
            topic.to_owned(),
            format!("[{}]", "[".repeat(8_000)),
            "1".repeat(16_000),
            "\u{ff}".repeat(50),
        ];
        let damaged = all[0][..all[0].len() - 3].to_owned();
        all.push(damaged);
        Self { all }
    }

    /// Returns all ids.
    pub(super) fn all(&self) -> &[String] {
        &self.all
    }
}

/// Returns an id of `count` partitions of one topic.
fn partitions(topic: &str, count: i32, form: IdForm) -> String {
    let topic: Arc<str> = topic.into();
    text(
        form,
        (0..count).map(|number| (Arc::clone(&topic), number, place(number))),
    )
}

/// Returns an id of one partition of each of `count` topics.
fn topics(count: i32) -> String {
    let named = |number: i32| (format!("topic-{number:05}").into(), 0, place(number));
    text(IdForm::Json, (0..count).map(named))
}

fn text(form: IdForm, entries: impl Iterator<Item = (Arc<str>, i32, PartitionPosition)>) -> String {
    let mut text = Vec::new();
    IdWriter::new(form, entries).write(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn place(number: i32) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset: i64::from(number) * 1_000_003,
        timestamp: Some(1_790_000_000_000 + i64::from(number)),
        log: Some(LogTag::from_bits(number as u32 & 0xff_ffff, 7)),
        epoch: Some(number),
    })
}
