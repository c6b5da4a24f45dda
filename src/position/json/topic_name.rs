//! Topic names of an id, checked and turned into keys.

use std::sync::Arc;

use super::MAX_TOPIC_NAME;
use crate::position::{EntryError, PartitionPosition, Partitions, PositionEntry, TopicKey};

/// Turns names into keys. Entries of one topic are adjacent, and share one copy of its name.
#[derive(Debug, Default)]
pub(super) struct TopicNameCache {
    last: Option<Arc<str>>,
}

impl TopicNameCache {
    /// Returns the key for `name`. Returns `None` if Kafka does not allow the name (`Topic.validate`).
    pub(super) fn topic(&mut self, name: &str) -> Option<TopicKey> {
        if let Some(last) = self.last.as_ref().filter(|last| ***last == *name) {
            return Some(TopicKey::Name(Arc::clone(last)));
        }
        let right_length = (1..=MAX_TOPIC_NAME).contains(&name.len());
        if !right_length
            || name == "."
            || name == ".."
            || !name.bytes().all(|byte| IS_NAME_BYTE[usize::from(byte)])
        {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        self.last = Some(Arc::clone(&name));
        Some(TopicKey::Name(name))
    }

    /// Returns the entry that a bare topic name stands for: all partitions, from the end of the log.
    pub(super) fn whole_topic(&mut self, name: &str) -> Result<PositionEntry, EntryError> {
        Ok(PositionEntry {
            topic: self.topic(name).ok_or(EntryError::Topic)?,
            partitions: Partitions::All,
            place: PartitionPosition::Latest,
        })
    }
}

/// Whether each byte may be part of a topic name. A table, because an id may consist of names.
const IS_NAME_BYTE: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'.' | b'_' | b'-');
        byte += 1;
    }
    table
};
