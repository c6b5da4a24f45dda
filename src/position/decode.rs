//! From the text of an id to a [`Position`].

use std::{cmp::Ordering, sync::Arc};

use super::{
    DecodeError, MAX_ID_BYTES, Offset, PartitionPosition, Partitions, Position, PositionEntry, TopicKey,
    compact, json, sorting,
};

/// Reads an id: our JSON form, that of EventStreams, or the compact form.
///
/// Entries come out sorted, one for each (topic, partitions): of duplicates the lowest place is kept, where the earliest
/// is below a time, a time below an offset and an offset below the latest; among equals the first given. A topic that
/// is named bare, with [`Partitions::All`](super::Partitions::All), stands before its partitions' own entries.
///
/// Whether an empty text means "no id" is for the caller to say; here it is not JSON.
///
/// # Errors
/// When the text is none of these forms, or any entry of it is wrong: what a client asks for is understood whole or
/// not at all.
pub fn decode(text: &[u8]) -> Result<Position, DecodeError> {
    if text.len() > MAX_ID_BYTES {
        return Err(DecodeError::TooLong);
    }
    let text = text.trim_ascii();
    let entries = match text.strip_prefix(compact::MARKER) {
        Some(versioned) => compact::decode(versioned)?,
        None => json::decode(text)?,
    };
    Ok(Position {
        entries: lowest_of_each(entries),
    })
}

fn lowest_of_each(mut entries: Vec<PositionEntry>) -> Vec<PositionEntry> {
    // As our own ids have those of a topic.
    if entries.is_sorted_by(|a, b| compare_partitions(a, b).is_lt()) {
        return entries;
    }
    // Names are long and alike in their beginning: what they do not have in common comes first, as a number.
    let common = common_beginning(&entries);
    sorting::sort(&mut entries, |entry| key(entry, common), compare);
    entries.dedup_by(|next, kept| compare_partitions(next, kept).is_eq());
    entries
}

/// Returns a number that orders entries by topic and partitions, as far as it differs. An id has either names or tags.
fn key(entry: &PositionEntry, common: usize) -> u128 {
    let partition = match entry.partitions {
        Partitions::All => 0,
        Partitions::One(partition) => u128::from(partition.cast_unsigned() ^ 1 << 31) + 1,
    };
    match &entry.topic {
        TopicKey::Tag(tag) => u128::from(*tag) << PARTITION | partition,
        TopicKey::Name(name) => {
            let rest = &name.as_bytes()[common..];
            // A name that goes on is behind all of one that does not.
            let partition = if rest.len() > START {
                (1 << PARTITION) - 1
            } else {
                partition
            };
            sorting::start_of(rest, START) << PARTITION | partition
        }
    }
}

/// The bits of a partition, or of all.
const PARTITION: u32 = 34;

/// So many bytes of a name have room beside these.
const START: usize = 9;
const _: () = assert!(8 * START as u32 + PARTITION <= sorting::BITS);

/// How many bytes all names have in common at their beginning.
fn common_beginning(entries: &[PositionEntry]) -> usize {
    let mut names = entries.iter().map(|entry| match &entry.topic {
        TopicKey::Name(name) => name.as_bytes(),
        TopicKey::Tag(_) => &[],
    });
    let first = names.next().unwrap_or_default();
    names.fold(first.len(), |common, name| {
        let pairs = first[..common].iter().zip(name);
        pairs.take_while(|(a, b)| a == b).count()
    })
}

fn compare(a: &PositionEntry, b: &PositionEntry) -> Ordering {
    compare_partitions(a, b).then_with(|| height(&a.place).cmp(&height(&b.place)))
}

fn compare_partitions(a: &PositionEntry, b: &PositionEntry) -> Ordering {
    let is_same = match (&a.topic, &b.topic) {
        (TopicKey::Name(a), TopicKey::Name(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let topics = if is_same {
        Ordering::Equal
    } else {
        a.topic.cmp(&b.topic)
    };
    topics.then(a.partitions.cmp(&b.partitions))
}

/// Sorts places from low to high. A time and an offset cannot be compared without the log, and comparing by the
/// timestamps of marks would run in circles; the time goes first because it never skips what was not there yet.
fn height(place: &PartitionPosition) -> (u8, Offset) {
    match place {
        PartitionPosition::Earliest => (0, 0),
        PartitionPosition::Since(timestamp) => (1, *timestamp),
        PartitionPosition::At(mark) => (2, mark.offset),
        PartitionPosition::Latest => (3, 0),
    }
}
