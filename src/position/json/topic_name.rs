//! Topic names as they stand in an id, and the keys that they become.

use std::sync::Arc;

use super::MAX_TOPIC_NAME;
use crate::position::{EntryError, PartitionPosition, Partitions, PositionEntry, TopicKey};

/// Makes names into keys. Entries of one topic stand together, and share its name.
#[derive(Debug, Default)]
pub(super) struct TopicNameCache {
    last: Option<Arc<str>>,
}

impl TopicNameCache {
    /// Kafka's own rule for names (`Topic.validate`).
    pub(super) fn topic(&mut self, name: &str) -> Option<TopicKey> {
        if let Some(last) = self.last.as_ref().filter(|last| ***last == *name) {
            return Some(TopicKey::Name(Arc::clone(last)));
        }
        let right_length = (1..=MAX_TOPIC_NAME).contains(&name.len());
        if !right_length
            || name == "."
            || name == ".."
            || !name.bytes().all(|byte| OF_NAME[usize::from(byte)])
        {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        self.last = Some(Arc::clone(&name));
        Some(TopicKey::Name(name))
    }

    /// A bare name: all partitions, from the end.
    pub(super) fn whole_topic(&mut self, name: &str) -> Result<PositionEntry, EntryError> {
        Ok(PositionEntry {
            topic: self.topic(name).ok_or(EntryError::Topic)?,
            partitions: Partitions::All,
            place: PartitionPosition::Latest,
        })
    }
}

/// Whether a byte may stand in a name: a table, because an id may consist of names.
const OF_NAME: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'.' | b'_' | b'-');
        byte += 1;
    }
    table
};
