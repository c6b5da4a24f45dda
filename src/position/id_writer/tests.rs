use super::*;
use crate::position::{LogPosition, LogTag, Partitions, PositionEntry, TopicKey, decode};

fn text(id_writer: &IdWriter) -> String {
    let mut out = Vec::new();
    id_writer.write(&mut out);
    String::from_utf8(out).expect("ASCII")
}

fn log_position(offset: i64) -> LogPosition {
    LogPosition {
        offset,
        timestamp: Some(1_790_487_705_415),
        log: Some("q7Zk.1wPx9A".parse().unwrap()),
        epoch: Some(4),
    }
}

fn partitions(
    count: i32,
    place: PartitionPosition,
) -> impl Iterator<Item = (Arc<str>, i32, PartitionPosition)> {
    let topic: Arc<str> = Arc::from("eqiad.recentchange");
    (0..count).map(move |partition| (topic.clone(), partition, place))
}

#[test]
fn the_json_form_is_the_documented_one() {
    let mut id_writer = IdWriter::new(
        IdForm::Json,
        partitions(1, PartitionPosition::At(log_position(43))),
    );
    let documented = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":43,"timestamp":1790487705415,"log":"q7Zk.1wPx9A.4"}]"#;
    assert_eq!(text(&id_writer), documented);
    id_writer.set(0, &PartitionPosition::At(log_position(999)));
    assert_eq!(text(&id_writer), documented.replace("43,", "999,"));
    assert_eq!(text(&IdWriter::new(IdForm::Json, [])), "[]");
}

#[test]
fn what_is_unknown_is_left_out() {
    let entry = |place| {
        let text = text(&IdWriter::new(IdForm::Json, [(Arc::from("t"), 2, place)]));
        let head = r#"[{"topic":"t","partition":2,"#;
        text.strip_prefix(head)
            .expect(head)
            .trim_end_matches("}]")
            .to_owned()
    };
    let known = LogPosition {
        offset: 5,
        ..log_position(0)
    };
    assert_eq!(entry(PartitionPosition::Earliest), r#""offset":-2"#);
    assert_eq!(entry(PartitionPosition::Latest), r#""offset":-1"#);
    assert_eq!(entry(PartitionPosition::Since(7)), r#""timestamp":7"#);
    let without_epoch = LogPosition {
        epoch: None,
        timestamp: None,
        ..known
    };
    assert_eq!(
        entry(PartitionPosition::At(without_epoch)),
        r#""offset":5,"log":"q7Zk.1wPx9A""#
    );
    let without_log = LogPosition {
        log: None,
        timestamp: None,
        ..known
    };
    assert_eq!(entry(PartitionPosition::At(without_log)), r#""offset":5"#);
    let kafkas_unknown = LogPosition {
        timestamp: Some(-1),
        epoch: Some(-1),
        ..known
    };
    assert_eq!(
        entry(PartitionPosition::At(kafkas_unknown)),
        r#""offset":5,"log":"q7Zk.1wPx9A""#
    );
}

#[test]
fn a_json_id_beyond_4_kib_is_compact_and_comes_back() {
    let mut id_writer = IdWriter::new(IdForm::Json, partitions(60, PartitionPosition::Latest));
    assert!(text(&id_writer).starts_with("[{") && text(&id_writer).len() <= MAX_JSON_BYTES);
    for index in 0..60 {
        id_writer.set(index, &PartitionPosition::At(log_position(1_000_000_000)));
    }
    let compact = text(&id_writer);
    assert!(compact.starts_with("~1") && compact.len() < 1000, "{compact}");
    let same = IdWriter::new(
        IdForm::Compact,
        partitions(60, PartitionPosition::At(log_position(1_000_000_000))),
    );
    assert_eq!(compact, text(&same));
    for index in 0..60 {
        id_writer.set(index, &PartitionPosition::Latest);
    }
    assert_eq!(
        text(&id_writer),
        text(&IdWriter::new(
            IdForm::Json,
            partitions(60, PartitionPosition::Latest)
        ))
    );
}

#[test]
fn a_compact_id_of_a_usual_topology_fits_128_characters() {
    let hour = 3_600_000;
    let logs = [
        LogTag::from_bits(0xabcdef, 1 << 35),
        LogTag::from_bits(0xabcdef, 77),
    ];
    let slots = (0..6).map(|index| {
        let place = PartitionPosition::At(LogPosition {
            offset: 10_000_000_000 + i64::from(index),
            timestamp: Some(1_790_487_705_415 - i64::from(index) * 4 * hour),
            log: Some(logs[index as usize / 3]),
            epoch: Some(1000),
        });
        let topic = ["codfw.mediawiki.recentchange", "eqiad.mediawiki.recentchange"][index as usize / 3];
        (Arc::from(topic), index % 3, place)
    });
    let text = text(&IdWriter::new(IdForm::Compact, slots));
    assert!(text.len() <= 128, "{} characters: {text}", text.len());
}

#[test]
fn the_compact_form_never_changes_under_clients_that_hold_one() {
    let id = text(&IdWriter::new(
        IdForm::Compact,
        partitions(2, PartitionPosition::At(log_position(43))),
    ));
    assert_eq!(id, PUBLISHED);
    let expected = |partition| PositionEntry {
        topic: TopicKey::Tag(TopicKey::tag_of("eqiad.recentchange")),
        partitions: Partitions::One(partition),
        place: PartitionPosition::At(log_position(43)),
    };
    assert_eq!(
        decode(PUBLISHED.as_bytes()).unwrap().entries,
        [expected(0), expected(1)]
    );
}

#[test]
fn every_id_within_the_limits_can_be_read_back() {
    let id_writer = IdWriter::new(
        IdForm::Json,
        partitions(1000, PartitionPosition::At(log_position(10_000_000_000))),
    );
    assert_eq!(decode(text(&id_writer).as_bytes()).unwrap().entries.len(), 1000);
}

#[test]
fn more_partitions_than_were_ever_read_back_are() {
    let id_writer = IdWriter::new(
        IdForm::Json,
        partitions(1200, PartitionPosition::At(log_position(10_000_000_000))),
    );
    assert!(id_writer.is_readable());
    assert_eq!(decode(text(&id_writer).as_bytes()).unwrap().entries.len(), 1200);
}

/// An id as version 1 wrote it.
const PUBLISHED: &str = "~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3";

#[test]
fn partitions_that_move_together_cost_no_more_than_a_new_id_and_read_the_same() {
    for count in [1, 3, 60, 500] {
        for form in [IdForm::Json, IdForm::Compact] {
            let mut together = IdWriter::new(form, partitions(count, PartitionPosition::Latest));
            let mut one_by_one = together.clone();
            for offset in [3, 3, 1 << 40] {
                let places = |partition| match partition % 3 {
                    0 => PartitionPosition::At(log_position(offset)),
                    1 => PartitionPosition::Since(offset),
                    _ => PartitionPosition::Latest,
                };
                together.set_all((0..count).map(places));
                (0..count).for_each(|partition| one_by_one.set(partition as usize, &places(partition)));
                assert_eq!(text(&together), text(&one_by_one), "{count} partitions, {form:?}");
            }
        }
    }
}
