//! Properties that hold for every position and every text.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection, option, prelude::*, sample::Index};

use super::{
    IdForm, IdScope, IdWriter, LogPosition, LogTag, NO_PARTITION, PartitionPosition, Partitions, Position,
    PositionEntry, RestrictionTag, Share, TopicKey, decode,
};

type Slots = Vec<(Arc<str>, i32, PartitionPosition)>;

proptest! {
    #[test]
    fn an_id_reads_back_as_it_was_written(slots in slots(), form in form()) {
        let text = text(&IdWriter::new(form, slots.clone()));
        prop_assert!(text.iter().all(|byte| byte.is_ascii_graphic()));
        assert_says(&text, &slots);
    }

    #[test]
    fn moving_partitions_equals_starting_over(
        slots in slots(),
        moves in collection::vec((any::<Index>(), place()), 0..20),
        form in form(),
    ) {
        prop_assume!(!slots.is_empty());
        let mut id_writer = IdWriter::new(form, slots.clone());
        let mut slots = slots;
        for (index, place) in moves {
            let index = index.index(slots.len());
            slots[index].2 = place;
            id_writer.set(index, &place);
            prop_assert_eq!(text(&id_writer), text(&IdWriter::new(form, slots.clone())));
        }
        assert_says(&text(&id_writer), &slots);
    }

    #[test]
    fn an_id_of_a_restricted_read_says_so_and_else_the_same(slots in slots(), tag in tag(), form in form()) {
        prop_assume!(!slots.is_empty() || form == IdForm::Compact);
        let text = text(&IdWriter::restricted(form, Some(tag), slots.clone()));
        prop_assert!(text.iter().all(|byte| byte.is_ascii_graphic()));
        let read = decode(&text).expect("an id");
        let plain = decode(&self::text(&IdWriter::new(form, slots))).expect("an id");
        // A tag makes the JSON longer, and it may be compact for that.
        if text.starts_with(b"~") == matches!(plain.entries[..], [PositionEntry { topic: TopicKey::Tag(_), .. }, ..]) {
            prop_assert_eq!(&read.entries, &plain.entries);
        }
        prop_assert_eq!(read.entries.len(), plain.entries.len());
        let whole = "1/1".parse::<RestrictionTag>().expect("a tag");
        prop_assert_eq!(read.scope, if tag == whole { IdScope::Whole } else { IdScope::Part(tag) });
    }

    #[test]
    fn moving_partitions_of_a_restricted_read_equals_starting_over(
        slots in slots(),
        moves in collection::vec((any::<Index>(), place()), 0..20),
        tag in tag(),
        form in form(),
    ) {
        prop_assume!(!slots.is_empty());
        let mut id_writer = IdWriter::restricted(form, Some(tag), slots.clone());
        let mut slots = slots;
        for (index, place) in moves {
            let index = index.index(slots.len());
            slots[index].2 = place;
            id_writer.set(index, &place);
            let anew = IdWriter::restricted(form, Some(tag), slots.clone());
            prop_assert_eq!(text(&id_writer), text(&anew));
        }
        let mut moved = IdWriter::restricted(form, Some(tag), slots.clone());
        moved.set_all(slots.iter().map(|_| PartitionPosition::Earliest));
        moved.set_all(slots.iter().map(|(_, _, place)| *place));
        prop_assert_eq!(text(&id_writer), text(&moved));
    }

    #[test]
    fn the_ids_of_all_shares_together_are_the_id_of_a_whole_read(
        slots in collection::btree_map(("[a-d]", 0..8), place(), 4..20),
        of in 1..=4u8,
        form in form(),
    ) {
        // Not by the rule of shares, which does not matter here: by partition.
        let slots: Slots = slots.into_iter().map(|((topic, partition), place)| (topic.into(), partition, place)).collect();
        let own = |number: u8| slots.iter().filter(move |slot| slot.1 % i32::from(of) == i32::from(number) - 1);
        let ids = (1..=of).map(|number| {
            let tag = RestrictionTag::Share(Share::new(number, of).expect("a share"));
            // A share without partitions says which topics it knew.
            let none = || slots.iter().map(|(topic, ..)| (topic.clone(), NO_PARTITION, PartitionPosition::Earliest)).take(1);
            let mut own: Slots = own(number).cloned().collect();
            if own.is_empty() {
                own.extend(none());
            }
            String::from_utf8(text(&IdWriter::restricted(form, Some(tag), own))).expect("ASCII")
        });
        let ids: Vec<_> = ids.collect();
        let joined = match form {
            IdForm::Compact => ids.join(","),
            IdForm::Json => format!("[{}]", ids.iter().map(|id| &id[1..id.len() - 1]).collect::<Vec<_>>().join(",")),
        };
        let mut joined = decode(joined.as_bytes()).expect("an id");
        prop_assert_eq!(joined.scope, IdScope::Whole);
        joined.entries.retain(|entry| entry.partitions != Partitions::One(NO_PARTITION));
        prop_assert_eq!(joined, decode(&text(&IdWriter::new(form, slots))).expect("an id"));
    }

    /// Checks that an id may be sent exactly if it can be read, for any number of topics and partitions and for small and large
    /// offsets.
    #[test]
    fn an_id_is_readable_exactly_when_it_is_read(
        topics in 1..40usize,
        partitions in prop_oneof![1..40usize, 1..1500usize],
        offset in prop_oneof![0..200i64, 0..=i64::MAX],
        epoch in prop_oneof![0..4i32, 0..=i32::MAX],
        age in prop_oneof![0..200i64, 0..4_000_000_000i64],
        form in form(),
    ) {
        let place = |partition: usize| PartitionPosition::At(LogPosition {
            offset: offset.saturating_add(partition as i64),
            timestamp: Some(1_790_487_705_415 - age * partition as i64 / 1500),
            log: Some(LogTag::from_bits(1, 2)),
            epoch: Some(epoch),
        });
        let slots = (0..topics).flat_map(|topic| {
            let name: Arc<str> = format!("topic-{topic:03}").into();
            (0..partitions).map(move |partition| (name.clone(), partition as i32, place(partition)))
        });
        let id_writer = IdWriter::new(form, slots);
        let read = decode(&text(&id_writer));
        prop_assert_eq!(read.is_ok(), id_writer.is_readable(), "{:?}", read);
    }

    #[test]
    fn rubbish_never_panics(text in collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&text);
        let _ = decode(&[b"~1".as_slice(), &text].concat());
    }

    #[test]
    fn binary_rubbish_never_panics(binary in collection::vec(any::<u8>(), 0..100)) {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let _ = decode(format!("~1{}", URL_SAFE_NO_PAD.encode(binary)).as_bytes());
    }

    #[test]
    fn an_altered_id_is_another_position_or_none(
        slots in slots(),
        form in form(),
        alterations in collection::vec((any::<Index>(), any::<u8>()), 1..4),
        length in any::<Index>(),
    ) {
        let mut text = text(&IdWriter::new(form, slots));
        for (index, byte) in alterations {
            let index = index.index(text.len());
            text[index] = byte;
        }
        for text in [&text[..], &text[..length.index(text.len())]] {
            if let Ok(position) = decode(text) {
                prop_assert!(position.entries.is_sorted_by(|a, b| key(a) < key(b)));
            }
        }
    }
}

fn text(id_writer: &IdWriter) -> Vec<u8> {
    let mut out = Vec::new();
    id_writer.write(&mut out);
    out
}

fn key(entry: &PositionEntry) -> (&TopicKey, Partitions) {
    (&entry.topic, entry.partitions)
}

/// Asserts that `text` decodes to exactly `slots`, whether it names topics by name or by tag.
fn assert_says(text: &[u8], slots: &Slots) {
    let compact = text.starts_with(b"~");
    let mut entries: Vec<_> = slots
        .iter()
        .map(|(topic, partition, place)| PositionEntry {
            topic: if compact {
                TopicKey::Tag(TopicKey::tag_of(topic))
            } else {
                TopicKey::Name(topic.clone().into())
            },
            partitions: Partitions::One(*partition),
            place: *place,
        })
        .collect();
    entries.sort_by(|a, b| key(a).cmp(&key(b)));
    assert_eq!(
        decode(text),
        Ok(Position {
            entries,
            scope: IdScope::Whole
        })
    );
}

fn tag() -> impl Strategy<Value = RestrictionTag> {
    prop_oneof![
        any::<u32>().prop_map(RestrictionTag::List),
        (1..=64u8).prop_flat_map(|of| (1..=of)
            .prop_map(move |number| { RestrictionTag::Share(Share::new(number, of).expect("a share")) })),
    ]
}

fn form() -> impl Strategy<Value = IdForm> {
    prop_oneof![Just(IdForm::Json), Just(IdForm::Compact)]
}

/// Generates partitions of a few topics in order, sometimes enough of them that their JSON exceeds 4 KiB.
fn slots() -> impl Strategy<Value = Slots> {
    let partition = prop_oneof![4 => 0..4, 1 => 0..=i32::MAX];
    let key = ("[a-d]|[a-zA-Z0-9._-]{3,40}", partition);
    prop_oneof![
        collection::btree_map(key.clone(), place(), 0..10),
        collection::btree_map(key, place(), 40..70),
    ]
    .prop_map(|slots: BTreeMap<(String, i32), PartitionPosition>| {
        slots
            .into_iter()
            .map(|((topic, partition), place)| (Arc::from(topic), partition, place))
            .collect()
    })
}

fn place() -> impl Strategy<Value = PartitionPosition> {
    prop_oneof![
        1 => Just(PartitionPosition::Earliest),
        1 => Just(PartitionPosition::Latest),
        2 => timestamp().prop_map(PartitionPosition::Since),
        6 => log_position().prop_map(PartitionPosition::At),
    ]
}

fn log_position() -> impl Strategy<Value = LogPosition> {
    let offset = prop_oneof![0..3i64, 999..1001i64, 0..=i64::MAX];
    let epoch = prop_oneof![0..20, 0..=i32::MAX];
    (
        offset,
        option::of(timestamp()),
        option::of(log()),
        option::of(epoch),
    )
        .prop_map(|(offset, timestamp, log, epoch)| LogPosition {
            offset,
            timestamp,
            log,
            epoch: epoch.filter(|_| log.is_some()),
        })
}

/// Generates timestamps, mostly within an hour, where ceilings coincide and change.
fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1_790_487_705_415..1_790_491_305_415i64, 1 => 0..=i64::MAX, 1 => Just(i64::MAX)]
}

/// Generates a few log tags, so that they agree, differ and mix clusters within a topic.
fn log() -> impl Strategy<Value = LogTag> {
    (0..2u32, prop_oneof![0..3u64, 0..1u64 << 36])
        .prop_map(|(cluster, topic)| LogTag::from_bits(cluster, topic))
}
