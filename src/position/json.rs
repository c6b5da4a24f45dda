//! The JSON forms of an id: ours, and what EventStreams accepts.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    DecodeError, Entry, EntryFault, Epoch, LogTag, Mark, Partitions, Place, TopicKey, decode::MAX_ENTRIES,
};

/// Reads an array of entries and topic names, or a string of topic names with commas between.
///
/// The whole document becomes a `Value` first: the caller has bounded its length, serde_json bounds its depth.
pub(super) fn decode(text: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    match serde_json::from_slice(text).map_err(not_json)? {
        Value::Array(items) => each(items.iter(), entry),
        Value::String(names) => each(names.split(','), whole_topic),
        _ => Err(DecodeError::NotAList),
    }
}

/// Appends what an entry says of `place`, as the fields behind its partition.
pub(super) fn write_place(place: &Place, out: &mut Vec<u8>) {
    match place {
        Place::Earliest => write_field(out, OFFSET, EARLIEST),
        Place::Latest => write_field(out, OFFSET, LATEST),
        Place::Since(timestamp) => write_field(out, TIMESTAMP, *timestamp),
        Place::At(mark) => write_mark(mark, out),
    }
}

fn write_mark(mark: &Mark, out: &mut Vec<u8>) {
    write_field(out, OFFSET, mark.offset);
    if let Some(timestamp) = mark.timestamp {
        write_field(out, TIMESTAMP, timestamp);
    }
    if let Some(log) = mark.log {
        out.extend_from_slice(b",\"log\":\"");
        out.extend_from_slice(&log.text());
        if let Some(epoch) = mark.epoch {
            out.push(b'.');
            write_integer(out, epoch.into());
        }
        out.push(b'"');
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: i64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_integer(out, value);
}

fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Reads each item with `read`; the first that is wrong is named by its index.
fn each<T>(
    items: impl Iterator<Item = T>,
    read: impl Fn(T) -> Result<Entry, EntryFault>,
) -> Result<Vec<Entry>, DecodeError> {
    let mut entries = Vec::new();
    for (index, item) in items.enumerate() {
        if index == MAX_ENTRIES {
            return Err(DecodeError::TooManyEntries);
        }
        entries.push(read(item).map_err(|fault| DecodeError::Entry { index, fault })?);
    }
    Ok(entries)
}

fn entry(item: &Value) -> Result<Entry, EntryFault> {
    match item {
        Value::String(name) => whole_topic(name),
        Value::Object(fields) => Ok(Entry {
            topic: topic(
                fields
                    .get("topic")
                    .and_then(Value::as_str)
                    .ok_or(EntryFault::Topic)?,
            )?,
            partitions: Partitions::One(partition(fields)?),
            place: place(fields)?,
        }),
        _ => Err(EntryFault::NotAnEntry),
    }
}

/// A bare name: all partitions, from the end.
fn whole_topic(name: &str) -> Result<Entry, EntryFault> {
    Ok(Entry {
        topic: topic(name)?,
        partitions: Partitions::All,
        place: Place::Latest,
    })
}

/// Kafka's own rule for names (`Topic.validate`).
fn topic(name: &str) -> Result<TopicKey, EntryFault> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let right_length = (1..=MAX_TOPIC_NAME).contains(&name.len());
    if !right_length || name == "." || name == ".." || !name.bytes().all(legal) {
        return Err(EntryFault::Topic);
    }
    Ok(TopicKey::Name(Arc::from(name)))
}

fn partition(fields: &Map<String, Value>) -> Result<i32, EntryFault> {
    let number = integer(fields, "partition", EntryFault::Partition)?.ok_or(EntryFault::Partition)?;
    i32::try_from(number)
        .ok()
        .filter(|number| *number >= 0)
        .ok_or(EntryFault::Partition)
}

fn place(fields: &Map<String, Value>) -> Result<Place, EntryFault> {
    let offset = integer(fields, OFFSET, EntryFault::Offset)?;
    let timestamp = integer(fields, TIMESTAMP, EntryFault::Timestamp)?;
    if timestamp.is_some_and(|timestamp| timestamp < 0) {
        return Err(EntryFault::Timestamp);
    }
    // Read before it is known to matter: a damaged id is refused whole.
    let log = log(fields)?;
    match (offset, timestamp) {
        (Some(EARLIEST), _) => Ok(Place::Earliest),
        (Some(LATEST), _) => Ok(Place::Latest),
        (Some(..LATEST), _) => Err(EntryFault::Offset),
        (Some(offset), timestamp) => Ok(Place::At(Mark {
            offset,
            timestamp,
            log: log.map(|(tag, _)| tag),
            epoch: log.and_then(|(_, epoch)| epoch),
        })),
        (None, Some(timestamp)) => Ok(Place::Since(timestamp)),
        (None, None) => Err(EntryFault::NoPlace),
    }
}

/// The integer called `name`; absent when it is not there, or null.
fn integer(fields: &Map<String, Value>, name: &str, fault: EntryFault) -> Result<Option<i64>, EntryFault> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(fault),
    }
}

fn log(fields: &Map<String, Value>) -> Result<Option<(LogTag, Option<Epoch>)>, EntryFault> {
    match fields.get("log") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(log_and_epoch)
            .map(Some)
            .ok_or(EntryFault::Log),
    }
}

/// `q7Zk.1wPx9A`, with `.4` behind it when the epoch is known.
fn log_and_epoch(text: &str) -> Option<(LogTag, Option<Epoch>)> {
    let (tag, epoch) = text.split_at_checked(LOG_TAG_LENGTH)?;
    let tag = tag.parse().ok()?;
    match epoch.strip_prefix('.') {
        None if epoch.is_empty() => Some((tag, None)),
        // `parse` alone would let a sign pass.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((tag, Some(digits.parse().ok()?)))
        }
        _ => None,
    }
}

fn not_json(error: serde_json::Error) -> DecodeError {
    DecodeError::NotJson {
        line: error.line(),
        column: error.column(),
    }
}

const OFFSET: &str = "offset";
const TIMESTAMP: &str = "timestamp";

/// The offset that stands for the start of a log (librdkafka's `RD_KAFKA_OFFSET_BEGINNING`).
const EARLIEST: i64 = -2;

/// The offset that stands for the end of a log (librdkafka's `RD_KAFKA_OFFSET_END`).
const LATEST: i64 = -1;

/// Kafka's limit, in characters: with the partition behind it the name is a directory's.
const MAX_TOPIC_NAME: usize = 249;

/// `q7Zk.1wPx9A`
const LOG_TAG_LENGTH: usize = 11;

#[cfg(test)]
mod tests;
