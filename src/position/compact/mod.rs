//! The compact form of an id: `~1`, then base64url without padding of
//!
//! ```text
//! varint  number of topics << 1 | cluster
//! varint  ceiling: a time at or after every timestamp of the id, in units of 2^20 ms; 0 if there is none
//! u24     the cluster of the first log, if `cluster`
//! for each topic:
//!     u32     TopicKey::tag_of its name
//!     varint  number of partitions << 3 | own cluster << 2 | log << 1 | numbered
//!     u24     the cluster of its log, if `own cluster`
//!     u40     the topic bits of its log, if `log`
//!     for each partition:
//!         varint  its number, if `numbered`; else they count from 0
//!         varint  (leader epoch + 1, or 0) << 4 | kind
//!         u24 u40 its log, if the kind says that it is not the topic's
//!         varint  the offset, if the kind has one
//!         varint  ceiling - timestamp in ms, if the kind has one
//! ```
//!
//! A topic without partitions says something of the id as a whole, by its tag: [`end`]. Readers that do not know the tag pass
//! over it.
//!
//! Integers are big endian, varints are LEB128 of 64 bits in their shortest form. Six partitions of two topics take 27 bytes
//! and 9 to 11 for each: below 128 characters together.
//!
//! The id of a restricted read is `~2`, then the same behind the name of the restriction:
//!
//! ```text
//! varint  the number of shares; 0 if the restriction is a list
//! varint  the number of the share, or u32 the fingerprint of the list
//! ```
//!
//! Releases that do not know it refuse it. They would send all partitions, and most of them from their start. Several such ids
//! can be joined, with commas between them.
//!
//! Not here: topic names, for which there is no room. A decoded entry has a [`TopicKey::Tag`](super::TopicKey::Tag).

mod end;
mod read;
mod write;

pub(super) use end::marked;
pub(super) use read::decode;
pub(super) use write::CompactText;

use super::{LogPosition, LogTag, PartitionPosition};

/// The first byte of a compact id. No JSON document begins with it, and it needs no escape in a URL.
pub(super) const MARKER: &[u8] = b"~";

/// The version, which follows the marker. Another layout gets another digit, and both are read.
const VERSION: &[u8] = b"1";

/// The version of ids of restricted reads.
const RESTRICTED_VERSION: &[u8] = b"2";

/// The tag of the topic that marks an end: `end.` in ASCII. A topic whose name has this tag has partitions, and is not taken for
/// it.
const END_TAG: u32 = u32::from_be_bytes(*b"end.");

/// The unit of a ceiling is 2^20 ms, 17.5 minutes: so it takes three bytes instead of six and changes seldom, and the
/// timestamps of active partitions are within three bytes of it.
const CEILING_SHIFT: u32 = 20;

/// The kind of an entry: which fields it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    Earliest,
    Latest,
    Since,
    At { log: LogField, timestamp: bool },
}

/// The log of an entry: none, that of its topic, or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogField {
    None,
    Topics,
    Own,
}

impl EntryKind {
    fn of(position: &PartitionPosition, topics: Option<LogTag>) -> Self {
        match position {
            PartitionPosition::Earliest => Self::Earliest,
            PartitionPosition::Latest => Self::Latest,
            PartitionPosition::Since(_) => Self::Since,
            PartitionPosition::At(log_position) => Self::At {
                log: LogField::of(log_position, topics),
                timestamp: log_position.timestamp.is_some(),
            },
        }
    }

    fn has_own_log(self) -> bool {
        matches!(
            self,
            Self::At {
                log: LogField::Own,
                ..
            }
        )
    }

    fn code(self) -> u64 {
        match self {
            Self::Earliest => 0,
            Self::Latest => 1,
            Self::Since => 2,
            Self::At { log, timestamp } => 3 + 2 * log.code() + u64::from(timestamp),
        }
    }

    fn from_code(code: u64) -> Option<Self> {
        let log = match code {
            0 => return Some(Self::Earliest),
            1 => return Some(Self::Latest),
            2 => return Some(Self::Since),
            3 | 4 => LogField::None,
            5 | 6 => LogField::Topics,
            7 | 8 => LogField::Own,
            _ => return None,
        };
        Some(Self::At {
            log,
            timestamp: code.is_multiple_of(2),
        })
    }
}

impl LogField {
    /// Returns how an entry names its log. `topics` is the log of the topic's first entry that has one.
    fn of(log_position: &LogPosition, topics: Option<LogTag>) -> Self {
        match log_position.log {
            None => Self::None,
            own if own == topics => Self::Topics,
            Some(_) => Self::Own,
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Topics => 1,
            Self::Own => 2,
        }
    }
}

#[cfg(test)]
mod tests;
