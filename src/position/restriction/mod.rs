//! Restricted reads: a client that reads some partitions of its topics, and the ids that say so.
//!
//! An id is complete only together with the restriction of its read: what the other partitions are at is not in it. So it names
//! the restriction, by a [`RestrictionTag`] in each entry (JSON) or at its beginning (compact form).

mod list;
mod scope;
mod share;
mod tag;

pub use list::PartitionList;
pub use scope::IdScope;
pub(super) use scope::ScopeBuilder;
pub use share::{MAX_SHARES, Share};
pub use tag::RestrictionTag;

use std::sync::Arc;

use super::TaggedTopic;

/// The partitions that a restricted read has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Restriction {
    /// One of several shares of all partitions.
    Share(Share),
    /// The partitions of a list.
    List(PartitionList),
}

/// The partitions of one topic that a read has.
#[derive(Clone, Copy, Debug)]
pub enum OwnPartitions<'a> {
    /// All of them.
    All,
    /// Those whose numbers leave this remainder when divided by this number.
    Remainder(u64, u64),
    /// Those with these numbers, which are sorted.
    Listed(&'a [(Arc<str>, i32)]),
}

impl Restriction {
    /// Parses `2/3`, or partitions such as `edits:0,edits:3`. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text.contains(':') {
            true => PartitionList::parse(text).map(Self::List),
            false => text.parse().ok().map(Self::Share),
        }
    }

    /// Returns the partitions of a topic that the read has.
    pub fn of_topic(&self, topic: &TaggedTopic) -> OwnPartitions<'_> {
        match self {
            Self::Share(share) => share.of_topic(topic.hash()),
            Self::List(list) => OwnPartitions::Listed(list.of_topic(topic.name())),
        }
    }

    /// Returns how ids name the restriction.
    pub fn tag(&self) -> RestrictionTag {
        match self {
            Self::Share(share) => RestrictionTag::Share(*share),
            Self::List(list) => RestrictionTag::List(list.fingerprint()),
        }
    }
}

impl OwnPartitions<'_> {
    /// Returns whether the read has the partition with this number.
    pub fn contains(self, partition: i32) -> bool {
        match self {
            Self::All => true,
            Self::Remainder(remainder, divisor) => {
                i64::from(partition).cast_unsigned() % divisor == remainder
            }
            Self::Listed(listed) => listed.binary_search_by_key(&partition, |(_, own)| *own).is_ok(),
        }
    }
}

/// The number of a partition that no topic has. An entry for it, at the start, says that its topic was known, and that the read
/// had none of its partitions: one that is there later was added since, and is read from its start. Kafka counts partitions from 0,
/// and its controllers would not live through this many.
pub const NO_PARTITION: i32 = i32::MAX;

#[cfg(test)]
mod tests;
