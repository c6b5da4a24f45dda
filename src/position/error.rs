//! Why an id was refused, in words for the client that sent it.

use super::bounds::{MAX_COMPACT_ENTRIES, MAX_ENTRIES, MAX_ID_BYTES};

/// The text is no id. What is displayed may be sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_ID_BYTES`] bytes.
    #[error("the id is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_ENTRIES`] entries, or [`MAX_COMPACT_ENTRIES`].
    #[error("the id has more than {MAX_ENTRIES} entries, or {MAX_COMPACT_ENTRIES} in the compact form")]
    TooManyEntries,
    /// Neither a JSON document nor the compact form.
    #[error("the id is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Where it went wrong, counted from 1.
        line: usize,
        /// Where in that line, in bytes, counted from 1.
        column: usize,
    },
    /// JSON, but neither an array nor a string of topic names.
    #[error("the id is neither a JSON array of entries nor a JSON string of topic names")]
    NotAList,
    /// One of the entries is wrong.
    #[error("entry {index} of the id: {fault}")]
    PositionEntry {
        /// Which, counted from 0 as in the array.
        index: usize,
        /// What is wrong with it.
        fault: EntryError,
    },
    /// A compact id of a version this release does not know.
    #[error("the compact id has an unknown version")]
    UnknownVersion,
    /// A compact id that was cut off or altered.
    #[error("the compact id is damaged or cut off")]
    Damaged,
}

/// What is wrong with one entry of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Neither an object nor a string.
    #[error("it is neither an object nor a topic name")]
    NotAnEntry,
    /// No name that Kafka would give a topic.
    #[error("\"topic\" is not a topic name")]
    Topic,
    /// Absent, or no partition number.
    #[error("\"partition\" is not an integer from 0 to 2147483647")]
    Partition,
    /// No offset, and neither of the two that stand for the ends.
    #[error("\"offset\" is neither an integer from 0, nor -1 (latest), nor -2 (earliest)")]
    Offset,
    /// No time.
    #[error("\"timestamp\" is not an integer of milliseconds from 0")]
    Timestamp,
    /// Not what we write there.
    #[error("\"log\" is damaged")]
    Log,
    /// It says which partition, but not where.
    #[error("it has neither \"offset\" nor \"timestamp\"")]
    NoPlace,
}
