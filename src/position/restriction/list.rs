//! A list of partitions that a client names one by one.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::NO_PARTITION;

/// Partitions of topics, at least one. Two lists of the same partitions are equal, in whatever order they were named. Clones share
/// the same partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionList {
    /// Sorted by topic and number.
    partitions: Arc<[(Arc<str>, i32)]>,
    /// 32 bits of the SHA-256 of the partitions.
    fingerprint: u32,
}

impl PartitionList {
    /// Parses `edits:0,edits:3`. Returns `None` for any other text, and for more than [`MAX_LISTED`] partitions. Which topics
    /// exist is not known here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut partitions = Vec::new();
        for one in text.split(',') {
            let (topic, number) = one.split_once(':')?;
            let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
            let number: i32 = number.parse().ok().filter(|_| is_plain)?;
            if topic.is_empty() || number == NO_PARTITION || partitions.len() == MAX_LISTED {
                return None;
            }
            partitions.push((topic, number));
        }
        partitions.sort_unstable();
        partitions.dedup();
        let mut shared = Vec::with_capacity(partitions.len());
        let mut digest = Sha256::new();
        for of_topic in partitions.chunk_by(|a, b| a.0 == b.0) {
            let topic: Arc<str> = of_topic[0].0.into();
            for (_, number) in of_topic {
                digest.update(format!("{topic}:{number},"));
                shared.push((Arc::clone(&topic), *number));
            }
        }
        let hash = digest.finalize();
        Some(Self {
            partitions: shared.into(),
            fingerprint: u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]),
        })
    }

    /// Returns the topics, each once.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        let topics = self.partitions.chunk_by(|a, b| a.0 == b.0);
        topics.map(|of_topic| &of_topic[0].0)
    }

    /// Returns the partitions of a topic, sorted by number.
    pub(super) fn of_topic(&self, topic: &str) -> &[(Arc<str>, i32)] {
        let start = self.partitions.partition_point(|(own, _)| **own < *topic);
        let length = self.partitions[start..].partition_point(|(own, _)| **own == *topic);
        &self.partitions[start..start + length]
    }

    /// Returns a number that tells lists apart, and is the same in every release.
    pub(super) fn fingerprint(&self) -> u32 {
        self.fingerprint
    }
}

impl Hash for PartitionList {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// The most partitions of a list. Whoever reads more of a stream takes a share of it.
pub(super) const MAX_LISTED: usize = 256;
