//! The types of a position: topics, partitions, offsets, times, and the tag of a log.

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use sha2::{Digest, Sha256};

use super::{IdScope, TextSlice, tags};

/// The offset of a record in its partition, counted by the broker from 0.
pub type Offset = i64;

/// Milliseconds since the Unix epoch, as Kafka stamps records.
pub type Timestamp = i64;

/// The leader epoch under which a record was written. It never falls along one log.
pub type Epoch = i32;

/// A decoded id: what the client asks for, sorted by topic and partition, with one entry for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The entries; empty for an id without any.
    pub entries: Vec<PositionEntry>,
    /// The partitions of which the id has the positions.
    pub scope: IdScope,
}

/// The part of a [`Position`] for one partition, or for all partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionEntry {
    /// The topic.
    pub topic: TopicKey,
    /// The partitions of the topic.
    pub partitions: Partitions,
    /// The position in these partitions.
    pub place: PartitionPosition,
}

/// How an id names a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKey {
    /// By its name (the JSON forms).
    Name(TextSlice),
    /// By 32 bits of the SHA-256 of its name (the compact form, which has no room for names).
    Tag(u32),
}

impl TopicKey {
    /// Returns the tag of the topic called `name`.
    pub fn tag_of(name: &str) -> u32 {
        tags::tag_of(tags::hash_of(name))
    }

    /// Returns whether this key means the topic called `name`.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => **own == *name,
            Self::Tag(tag) => *tag == Self::tag_of(name),
        }
    }
}

/// The partitions that a [`PositionEntry`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partitions {
    /// All partitions of the topic (a bare topic name in the id).
    All,
    /// The partition with this number.
    One(i32),
}

/// A position in one partition, as a client asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionPosition {
    /// The start of the log (`-2` in EventStreams ids).
    Earliest,
    /// The first record at or after this time.
    Since(Timestamp),
    /// An offset: right behind a record that the client has seen, or one that the client was told.
    At(LogPosition),
    /// The end of the log at the time of the request (`-1` in EventStreams ids).
    Latest,
}

/// A position between two records, with facts about the record before it. These facts prove that the id belongs to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The next offset to read; never negative.
    pub offset: Offset,
    /// The timestamp of the record before `offset`.
    pub timestamp: Option<Timestamp>,
    /// The log in which `offset` counts.
    pub log: Option<LogTag>,
    /// The leader epoch of the record before `offset`. Set only together with `log`.
    pub epoch: Option<Epoch>,
}

/// Names one incarnation of a topic, for as long as a client may hold an id of it.
///
/// The tag has 24 bits of the SHA-256 of the cluster id and 36 bits of the SHA-256 of the topic id's 16 raw bytes. As text it is
/// 4 and 6 characters of base64url with a dot between them: `q7Zk.1wPx9A`. It is stable across releases.
///
/// # Examples
/// ```
/// use riverhead::position::LogTag;
///
/// let before = LogTag::new("5L6g3nShT-eMCtK--X86sw", &[1; 16]);
/// let recreated = LogTag::new("5L6g3nShT-eMCtK--X86sw", &[2; 16]);
/// assert_ne!(before, recreated);
/// assert!(before.same_cluster(recreated));
/// assert_eq!(before.to_string().parse(), Ok(before));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTag {
    cluster: u32,
    topic: u64,
}

impl LogTag {
    /// Returns the tag of the topic with the id `topic_id` in the cluster with the id `cluster_id`.
    pub fn new(cluster_id: &str, topic_id: &[u8; 16]) -> Self {
        let cluster = Sha256::digest(cluster_id.as_bytes());
        let topic = Sha256::digest(topic_id);
        Self {
            cluster: u32::from_be_bytes([0, cluster[0], cluster[1], cluster[2]]),
            topic: u64::from_be_bytes([0, 0, 0, topic[0], topic[1], topic[2], topic[3], topic[4]]) >> 4,
        }
    }

    /// Returns the tag with the lowest 24 bits of `cluster` and the lowest 36 bits of `topic`.
    pub fn from_bits(cluster: u32, topic: u64) -> Self {
        Self {
            cluster: cluster & 0xff_ffff,
            topic: topic & 0xf_ffff_ffff,
        }
    }

    /// Returns the 24 bits that stand for the cluster.
    pub fn cluster_bits(self) -> u32 {
        self.cluster
    }

    /// Returns the 36 bits that stand for the topic's incarnation.
    pub fn topic_bits(self) -> u64 {
        self.topic
    }

    /// Returns the tag as ASCII text. Every event's id carries one, so this does not allocate.
    pub(super) fn text(self) -> [u8; 11] {
        let mut text = [b'.'; 11];
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            text[index] = BASE64URL[(self.cluster >> shift) as usize & 63];
        }
        for (index, shift) in [30, 24, 18, 12, 6, 0].into_iter().enumerate() {
            text[5 + index] = BASE64URL[(self.topic >> shift) as usize & 63];
        }
        text
    }

    /// Returns whether both logs belong to one cluster.
    pub fn same_cluster(self, other: Self) -> bool {
        self.cluster == other.cluster
    }
}

impl fmt::Display for LogTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text()
            .into_iter()
            .try_for_each(|byte| f.write_char(byte.into()))
    }
}

impl fmt::Debug for LogTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a log tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log tag")]
pub struct InvalidLogTag;

impl FromStr for LogTag {
    type Err = InvalidLogTag;

    fn from_str(text: &str) -> Result<Self, InvalidLogTag> {
        let (cluster, topic) = text.split_once('.').ok_or(InvalidLogTag)?;
        if cluster.len() != 4 || topic.len() != 6 {
            return Err(InvalidLogTag);
        }
        Ok(Self::from_bits(digits(cluster)? as u32, digits(topic)?))
    }
}

/// Parses base64url digits of six bits each. Callers pass at most six digits, so the result cannot overflow.
fn digits(text: &str) -> Result<u64, InvalidLogTag> {
    let value = |digit| match digit {
        b'A'..=b'Z' => Ok(digit - b'A'),
        b'a'..=b'z' => Ok(digit - b'a' + 26),
        b'0'..=b'9' => Ok(digit - b'0' + 52),
        b'-' => Ok(62),
        b'_' => Ok(63),
        _ => Err(InvalidLogTag),
    };
    text.bytes()
        .try_fold(0, |bits, digit| Ok(bits << 6 | u64::from(value(digit)?)))
}

/// The digits of base64url (RFC 4648, section 5).
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The mark of an id. There are two, so that a read that begins behind an end (`from`) ends with another id than that one also if
/// it gives nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndMark {
    /// `"end":true` in JSON.
    #[default]
    First,
    /// `"end":true,"again":true` in JSON. Versions that do not know it take it for the first.
    Second,
}

impl EndMark {
    /// Returns the other mark.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tag_reads_back_as_it_was_written() {
        let tag = LogTag::new("5L6g3nShT-eMCtK--X86sw", &[7; 16]);
        assert_eq!(tag.to_string().parse(), Ok(tag));
        assert_eq!(tag.to_string().len(), 11);
        assert_eq!(LogTag::from_bits(tag.cluster_bits(), tag.topic_bits()), tag);
    }

    #[test]
    fn rubbish_is_no_log_tag() {
        for text in [
            "",
            ".",
            "abcd",
            "abcd.",
            "abcd.efghi",
            "abcd.efghijk",
            "ab d.efghij",
            "äää.efghij",
        ] {
            assert_eq!(text.parse::<LogTag>(), Err(InvalidLogTag), "{text}");
        }
    }
}
