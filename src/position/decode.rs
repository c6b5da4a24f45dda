//! Parsing of ids in any form: from the text to a [`Position`].

use std::cmp::Ordering;

use super::{
    DecodeError, EndMark, MAX_ID_BYTES, Offset, PartitionPosition, Partitions, Position, PositionEntry,
    TopicKey, compact, end_mark, json, sorting,
};

/// Parses an id: our JSON form, the JSON form of EventStreams, or the compact form.
///
/// The entries are sorted by topic and partitions, with one entry for each pair. Of duplicates the lowest position is kept:
/// the earliest is below a time, a time below an offset, an offset below the latest. Of equal ones the first is kept. An
/// entry for a bare topic name, with [`Partitions::All`], comes before the entries of the topic's single partitions.
///
/// The ids of all shares of a restricted read, joined, are the id of a read of all partitions: JSON arrays become one array, and
/// compact ids are separated by commas.
///
/// An empty text is an error here, because it is not JSON. The caller decides whether it means "no id".
///
/// # Errors
/// If the text has none of these forms, or if any entry is wrong: a client's request is understood as a whole or refused.
///
/// # Examples
/// ```
/// use riverhead::position::{DecodeError, PartitionPosition, Partitions, decode};
///
/// // EventStreams writes -1 for the end of the log; a bare topic name means all its partitions, from the end on.
/// let position = decode(br#"["edits",{"topic":"edits","partition":3,"timestamp":1790487705415}]"#)?;
/// assert_eq!(position.entries[0].partitions, Partitions::All);
/// assert_eq!(position.entries[0].place, PartitionPosition::Latest);
/// assert_eq!(position.entries[1].place, PartitionPosition::Since(1_790_487_705_415));
///
/// assert!(matches!(decode(b""), Err(DecodeError::NotJson { .. })));
/// # Ok::<(), DecodeError>(())
/// ```
pub fn decode(text: &[u8]) -> Result<Position, DecodeError> {
    decode_marked(text).map(|(position, _)| position)
}

/// Does the same, and returns the mark of an end if the id bears one. The ids of several shares, joined, do not: some of them may be
/// those of an end, but a read of all has not ended.
///
/// # Errors
/// As [`decode`].
pub fn decode_marked(text: &[u8]) -> Result<(Position, Option<EndMark>), DecodeError> {
    if text.len() > MAX_ID_BYTES {
        return Err(DecodeError::TooLong);
    }
    let text = text.trim_ascii();
    let (entries, scope, mark) = match text.starts_with(compact::MARKER) {
        true => compact::decode(text)?,
        false => {
            let (entries, scope) = json::decode(text)?;
            (entries, scope, end_mark::in_json(text))
        }
    };
    let position = Position {
        entries: lowest_of_each(entries),
        scope: scope.finish(),
    };
    Ok((position, mark.filter(|_| !scope.is_joined())))
}

/// Returns whether an id bears the mark of an end. What is not an id does not.
pub fn is_end_id(id: &[u8]) -> bool {
    decode_marked(id).is_ok_and(|(_, mark)| mark.is_some())
}

fn lowest_of_each(mut entries: Vec<PositionEntry>) -> Vec<PositionEntry> {
    // Our own ids have their entries in this order already.
    if entries.is_sorted_by(|a, b| compare_partitions(a, b).is_lt()) {
        return entries;
    }
    // Names are long and share a prefix, so only the bytes behind that prefix go into the number that is compared first.
    let common = common_prefix(&entries);
    if sorting::sort(&mut entries, |entry| key(entry, common), compare) {
        entries.dedup_by(|next, kept| compare_partitions(next, kept).is_eq());
    }
    entries
}

/// Returns a number that orders entries by topic and partitions. Entries with equal numbers may still differ. All entries of
/// an id have names, or all have tags.
fn key(entry: &PositionEntry, common: usize) -> u64 {
    let partition = match entry.partitions {
        Partitions::All => 0,
        Partitions::One(partition) => (i64::from(partition) + 1).clamp(0, LAST).cast_unsigned(),
    };
    match &entry.topic {
        TopicKey::Tag(tag) => u64::from(*tag) << PARTITION_BITS | partition,
        TopicKey::Name(name) => {
            let rest = &name.as_bytes()[common..];
            // The number has no room for the rest of this name. A longer name sorts behind all entries of a name that ends here.
            let partition = if rest.len() > PREFIX_BYTES {
                LAST.cast_unsigned()
            } else {
                partition
            };
            sorting::start_of(rest, PREFIX_BYTES) << PARTITION_BITS | partition
        }
    }
}

/// How many bits stand for the partition, or for all partitions.
const PARTITION_BITS: u32 = 16;

/// Stands for every partition from 65,534 on. These are told apart by comparison.
const LAST: i64 = (1 << PARTITION_BITS) - 1;

/// How many bytes of a name fit into the key beside the partition.
const PREFIX_BYTES: usize = 4;
const _: () = assert!(8 * PREFIX_BYTES as u32 + PARTITION_BITS <= sorting::BITS);

/// Returns the length of the prefix that all names share, in bytes.
fn common_prefix(entries: &[PositionEntry]) -> usize {
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
    compare_partitions(a, b).then_with(|| rank(&a.place).cmp(&rank(&b.place)))
}

fn compare_partitions(a: &PositionEntry, b: &PositionEntry) -> Ordering {
    let is_same = match (&a.topic, &b.topic) {
        (TopicKey::Name(a), TopicKey::Name(b)) => a.is_same(b),
        _ => false,
    };
    let topics = if is_same {
        Ordering::Equal
    } else {
        a.topic.cmp(&b.topic)
    };
    topics.then(a.partitions.cmp(&b.partitions))
}

/// Returns a key that orders positions from low to high.
///
/// A time and an offset cannot be compared without the log, and comparing by the timestamps beside offsets would not be
/// transitive. A time comes before an offset, because it never skips records that came later.
fn rank(position: &PartitionPosition) -> (u8, Offset) {
    match position {
        PartitionPosition::Earliest => (0, 0),
        PartitionPosition::Since(timestamp) => (1, *timestamp),
        PartitionPosition::At(log_position) => (2, log_position.offset),
        PartitionPosition::Latest => (3, 0),
    }
}
