//! The JSON forms of an id: our own, and those that EventStreams accepts.

mod fields;
mod plain;
mod read;
mod topic_name;
mod value;

use std::sync::Arc;

use serde::de::DeserializeSeed;

use self::{read::ParsedId, value::AnyValue};
use super::{
    DecodeError, Epoch, LogPosition, LogTag, PartitionPosition, PositionEntry, RestrictionTag,
    restriction::ScopeBuilder,
};

/// Parses an array of entries and topic names, or a string of topic names separated by commas.
pub(super) fn decode(text: &[u8]) -> Result<(Vec<PositionEntry>, ScopeBuilder), DecodeError> {
    match plain::read(text) {
        Some(read) => Ok(read),
        None => read_any(text),
    }
}

/// Parses any JSON that is an id.
///
/// Entries are read as the deserializer meets them. A document in between would cost a map and a string for each field of each
/// entry. The caller has bounded the length, and serde_json bounds the depth.
fn read_any(text: &[u8]) -> Result<(Vec<PositionEntry>, ScopeBuilder), DecodeError> {
    // Bytes that are not UTF-8 are read as they are, so that the error tells where they stand.
    let shared: Arc<str> = str::from_utf8(text).unwrap_or_default().into();
    let text = if shared.is_empty() {
        text
    } else {
        shared.as_bytes()
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let mut id = ParsedId::of(&shared);
    let found = DeserializeSeed::deserialize(AnyValue(&mut id), &mut reader).and_then(|()| reader.end());
    // A text that is not JSON gets that error, wherever it goes wrong.
    found.map_err(not_json)?;
    match id.fault {
        Some(fault) => Err(fault),
        None => Ok((id.entries, id.scope)),
    }
}

/// Appends the fields of an entry at `position`: those that follow its partition.
pub(super) fn write_position(position: &PartitionPosition, out: &mut Vec<u8>) {
    match position {
        PartitionPosition::Earliest => write_field(out, OFFSET, EARLIEST),
        PartitionPosition::Latest => write_field(out, OFFSET, LATEST),
        PartitionPosition::Since(timestamp) => write_field(out, TIMESTAMP, *timestamp),
        PartitionPosition::At(log_position) => write_log_position(log_position, out),
    }
}

/// Returns the text behind the position of an entry, if the id is of a read with this restriction.
pub(super) fn end_of_entry(restriction: RestrictionTag) -> String {
    format!(",\"{PARTITIONS}\":\"{restriction}\"}}")
}

fn write_log_position(log_position: &LogPosition, out: &mut Vec<u8>) {
    write_field(out, OFFSET, log_position.offset);
    if let Some(timestamp) = log_position.timestamp {
        write_field(out, TIMESTAMP, timestamp);
    }
    if let Some(log) = log_position.log {
        out.extend_from_slice(b",\"log\":\"");
        out.extend_from_slice(&log.text());
        if let Some(epoch) = log_position.epoch {
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

/// Parses `q7Zk.1wPx9A`, followed by `.4` if the epoch is known.
fn log_and_epoch(text: &str) -> Option<(LogTag, Option<Epoch>)> {
    let (tag, epoch) = text.split_at_checked(LOG_TAG_LENGTH)?;
    let tag = tag.parse().ok()?;
    match epoch.strip_prefix('.') {
        None if epoch.is_empty() => Some((tag, None)),
        // `parse` alone would accept a sign.
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
const PARTITIONS: &str = "partitions";

/// The offset that stands for the start of a log (librdkafka's `RD_KAFKA_OFFSET_BEGINNING`).
const EARLIEST: i64 = -2;

/// The offset that stands for the end of a log (librdkafka's `RD_KAFKA_OFFSET_END`).
const LATEST: i64 = -1;

/// Kafka's limit for topic names, in characters: the name with the partition is the name of a directory.
const MAX_TOPIC_NAME: usize = 249;

/// The length of `q7Zk.1wPx9A`.
const LOG_TAG_LENGTH: usize = 11;

#[cfg(test)]
mod tests;
