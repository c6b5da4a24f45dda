//! Errors of decoding an id, worded for the client that sent it.

use super::bounds::{MAX_COMPACT_ENTRIES, MAX_ENTRIES, MAX_ID_BYTES};

/// The text is not a valid id. The displayed text may be sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The id has more than [`MAX_ID_BYTES`] bytes.
    #[error("the id is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// The id has more than [`MAX_ENTRIES`] entries, or [`MAX_COMPACT_ENTRIES`] in the compact form.
    #[error("the id has more than {MAX_ENTRIES} entries, or {MAX_COMPACT_ENTRIES} in the compact form")]
    TooManyEntries,
    /// The text is neither a JSON document nor in the compact form.
    #[error("the id is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// The line of the error, counted from 1.
        line: usize,
        /// The column of the error, in bytes, counted from 1.
        column: usize,
    },
    /// The text is JSON, but neither an array nor a string of topic names.
    #[error("the id is neither a JSON array of entries nor a JSON string of topic names")]
    NotAList,
    /// One of the entries is wrong.
    #[error("entry {index} of the id: {fault}")]
    PositionEntry {
        /// The entry's index in the array, counted from 0.
        index: usize,
        /// What is wrong with the entry.
        fault: EntryError,
    },
    /// The compact id has a version that this release does not know.
    #[error("the compact id has an unknown version")]
    UnknownVersion,
    /// The compact id was cut off or altered.
    #[error("the compact id is damaged or cut off")]
    Damaged,
}

/// What is wrong with one entry of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The entry is neither an object nor a string.
    #[error("it is neither an object nor a topic name")]
    NotAnEntry,
    /// The topic name is missing, or Kafka does not allow it.
    #[error("\"topic\" is not a topic name")]
    Topic,
    /// The partition is missing, or not a valid partition number.
    #[error("\"partition\" is not an integer from 0 to 2147483647")]
    Partition,
    /// The offset is neither a number from 0 nor one of the two that stand for the ends of the log.
    #[error("\"offset\" is neither an integer from 0, nor -1 (latest), nor -2 (earliest)")]
    Offset,
    /// The timestamp is not a number from 0.
    #[error("\"timestamp\" is not an integer of milliseconds from 0")]
    Timestamp,
    /// The log tag or epoch does not have the form in which we write it.
    #[error("\"log\" is damaged")]
    Log,
    /// The restriction of the read does not have the form in which we write it.
    #[error("\"partitions\" is damaged")]
    Restriction,
    /// The entry names a partition, but no position in it.
    #[error("it has neither \"offset\" nor \"timestamp\"")]
    NoPlace,
}
