//! Ids, as JSON and in the compact form.

use std::fmt::Write;

use riverhead::position::PartitionPosition;

use super::{HEADER, Shape, TARGET, at, compact, fill, shuffled};
use crate::gateways::{TOPICS, topic};

pub(super) fn json_ids() -> Vec<Shape> {
    let bare = |names: &mut dyn Iterator<Item = String>| {
        let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
        format!("[{}]", names.join(","))
    };
    let entry = |topic: &str, partition: usize| {
        format!(r#"{{"topic":"{topic}","partition":{partition},"offset":1,"timestamp":1}}"#)
    };
    let list = |entries: &mut dyn Iterator<Item = String>| {
        let mut id = String::from("[");
        for entry in entries {
            if id.len() + entry.len() + 2 > TARGET {
                break;
            }
            write!(id, "{}{entry}", if id.len() == 1 { "" } else { "," }).unwrap();
        }
        id + "]"
    };
    let every_topic = list(&mut shuffled(TOPICS).map(|number| entry(&topic(number), 0)));
    let edits = |name, id: &str| Shape::with(name, "last-event-id", id);
    vec![
        Shape::resume(
            "JSON id: topics by name",
            &bare(&mut shuffled(TOPICS).map(topic).take(400)),
        ),
        Shape::resume("JSON id: places of topics", &every_topic),
        Shape::resume("JSON id: places of topics, on_gap=fail", &every_topic).failing(),
        Shape::resume("JSON id: places of topics, Kafka is away", &every_topic).away(),
        edits(
            "JSON id: foreign topics",
            &bare(&mut shuffled(1024).map(|n| format!("f{n}"))),
        )
        .refused(404),
        Shape::resume(
            "JSON id: foreign topics for all streams",
            &bare(&mut shuffled(1024).map(|n| format!("f{n}"))),
        )
        .refused(404),
        edits(
            "JSON id: one topic 1,024 times",
            &bare(&mut shuffled(1024).map(|_| "edits".into())),
        ),
        edits(
            "JSON id: partitions of one topic",
            &list(&mut shuffled(1024).map(|n| entry("edits", n))),
        ),
        edits(
            "JSON id: partitions, Kafka is away",
            &list(&mut shuffled(1024).map(|n| entry("edits", n))),
        )
        .away(),
        edits(
            "JSON id: names with escapes",
            &bare(&mut (0..600).map(|_| r"\u0065dits".into())),
        ),
        edits("JSON id: brackets", &fill("[", TARGET)).refused(400),
        edits(
            "JSON id: other fields",
            &format!("[{{{}}}]", fill("\"a\":[{}],", TARGET - 40)),
        )
        .refused(400),
        edits("JSON id: empty objects", &fill("[{},", TARGET)).refused(400),
        edits(
            "JSON id: a long number",
            &format!(
                "[{{\"topic\":\"edits\",\"partition\":{}}}]",
                fill("1", TARGET - 60)
            ),
        )
        .refused(400),
        edits(
            "JSON id: a list in a text",
            &format!("\"{}\"", fill("edits,", TARGET - 10)),
        )
        .refused(400),
        edits("JSON id: too long", &fill("[", HEADER)).refused(400),
        edits("JSON id: blank", &fill(" ", HEADER)),
    ]
}

pub(super) fn compact_ids() -> Vec<Shape> {
    let foreign =
        compact((0..1024).map(|number| (format!("foreign-{number}"), 0, PartitionPosition::Earliest)));
    let partitions =
        compact((0..2048).map(|partition| ("edits".into(), partition, PartitionPosition::Earliest)));
    let marks = compact((0..1000).map(|partition| ("edits".into(), partition, at(partition.into()))));
    let topics = compact((0..TOPICS).map(|number| (topic(number), 0, at(1))));
    let wide = compact(
        (0..16).flat_map(|number| (0..128).map(move |p| (topic(number), p, PartitionPosition::Earliest))),
    );
    let reversed = compact(
        (0..1500)
            .rev()
            .map(|partition| ("edits".into(), partition, PartitionPosition::Earliest)),
    );
    let mixed = compact(
        shuffled(1500).map(|partition| ("edits".into(), partition as i32, PartitionPosition::Earliest)),
    );
    let again = compact((0..1000).map(|_| ("edits".into(), 3, PartitionPosition::Earliest)));
    let edits = |name, id: &str| Shape::with(name, "last-event-id", id);
    vec![
        Shape::resume("compact id: foreign topics", &foreign).refused(404),
        edits("compact id: 2,048 partitions", &partitions),
        edits("compact id: 1,000 places", &marks),
        edits("compact id: 1,000 places, Kafka is away", &marks).away(),
        edits("compact id: partitions from the last", &reversed),
        edits("compact id: partitions in no order", &mixed),
        edits("compact id: one partition many times", &again),
        Shape::resume("compact id: 500 topics", &topics),
        Shape::resume("compact id: 500 topics, Kafka is away", &topics).away(),
        Shape::resume("compact id: 500 topics that are absent", &topics).lacking(),
        Shape::resume("compact id: 500 topics, on_gap=fail", &topics).failing(),
        Shape::resume("compact id: 128 partitions of 16 topics, Kafka is away", &wide).away(),
        edits("compact id: not base64", &format!("~1{}", fill("!", TARGET - 2))).refused(400),
        edits("compact id: zeros", &format!("~1{}", fill("A", TARGET - 2))).refused(400),
    ]
}
