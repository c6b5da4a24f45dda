//! Any text: decoding it never panics, and the decoded position survives both forms.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use riverhead::position::{
    EndMark, IdWriter, PositionEntry, IdForm, IdScope, MAX_COMPACT_ENTRIES, MAX_ENTRIES, MAX_ID_BYTES, Partitions, Position, TopicKey,
    decode, is_end_id, write_end_id,
};

fuzz_target!(|text: &[u8]| {
    let is_end = is_end_id(text);
    let Ok(position) = decode(text) else {
        assert!(!is_end || !text.trim_ascii().starts_with(b"~"));
        return;
    };
    let most = if text.trim_ascii().starts_with(b"~") {
        MAX_COMPACT_ENTRIES
    } else {
        MAX_ENTRIES
    };
    assert!(position.entries.len() <= most);
    assert!(position.entries.is_sorted_by(|a, b| key(a) < key(b)));
    for form in [IdForm::Json, IdForm::Compact] {
        survives(form, &position);
    }
});

/// Encodes the entries of one partition, and decodes them again.
fn survives(form: IdForm, position: &Position) {
    let slots: Vec<_> = position
        .entries
        .iter()
        .filter_map(|entry| match entry.partitions {
            Partitions::One(partition) => Some((name(&entry.topic), partition, entry.place)),
            Partitions::All => None,
        })
        .collect();
    let tag = match position.scope {
        IdScope::Part(tag) => Some(tag),
        IdScope::Whole | IdScope::Incomplete(_) | IdScope::Mixed => None,
    };
    let (mut id, mut end) = (Vec::new(), Vec::new());
    let ids = IdWriter::restricted(form, tag, slots.clone());
    ids.write(&mut id);
    write_end_id(&ids, EndMark::First, &mut end);
    assert!(id.iter().all(u8::is_ascii_graphic));
    assert!(end.iter().all(u8::is_ascii_graphic));
    if id.len() > MAX_ID_BYTES {
        return;
    }
    assert!(!is_end_id(&id));
    assert_eq!(decode(&end), decode(&id));
    assert!(is_end_id(&end) || slots.is_empty() || end == id);
    let compact = id.starts_with(b"~");
    // In JSON the entries say of which read the id is.
    let tag = tag.filter(|_| compact || !slots.is_empty());
    let mut entries: Vec<_> = slots
        .into_iter()
        .map(|(topic, partition, place)| PositionEntry {
            topic: if compact {
                TopicKey::Tag(TopicKey::tag_of(&topic))
            } else {
                TopicKey::Name(topic.into())
            },
            partitions: Partitions::One(partition),
            place,
        })
        .collect();
    entries.sort_by(|a, b| key(a).cmp(&key(b)));
    assert_eq!(
        decode(&id),
        Ok(Position { entries, scope: tag.map_or(IdScope::Whole, IdScope::Part) }),
        "{}",
        String::from_utf8_lossy(&id)
    );
}

/// Returns a name for a topic. One that is known only by its tag gets a name made of the tag.
fn name(topic: &TopicKey) -> Arc<str> {
    match topic {
        TopicKey::Name(name) => Arc::from(&**name),
        TopicKey::Tag(tag) => Arc::from(format!("tag{tag}")),
    }
}

fn key(entry: &PositionEntry) -> (&TopicKey, Partitions) {
    (&entry.topic, entry.partitions)
}
