//! Topic names of an id, checked and turned into keys.

use std::sync::Arc;

use super::MAX_TOPIC_NAME;
use crate::position::{PartitionPosition, Partitions, PositionEntry, TextSlice, TopicKey};

/// Turns the names of one id into keys. The keys share the id's text. Entries of one topic are adjacent.
#[derive(Debug)]
pub(super) struct TopicNameCache {
    /// The text of the id.
    text: Arc<str>,
    /// The name of the entry before.
    last: Option<TextSlice>,
}

impl TopicNameCache {
    /// Returns the cache for the names of the id `text`, empty.
    pub(super) fn of(text: &Arc<str>) -> Self {
        Self {
            text: Arc::clone(text),
            last: None,
        }
    }

    /// Returns the key for `name`. Returns `None` if Kafka does not allow the name (`Topic.validate`).
    pub(super) fn topic(&mut self, name: &str) -> Option<TopicKey> {
        name.bytes().all(is_name_byte).then(|| self.topic_of(name))?
    }

    /// Returns the key for `name`, as [`topic`](Self::topic) does. The caller has checked each byte with [`is_name_byte`].
    pub(super) fn topic_of(&mut self, name: &str) -> Option<TopicKey> {
        if let Some(last) = self.last.as_ref().filter(|last| ***last == *name) {
            return Some(TopicKey::Name(last.clone()));
        }
        let right_length = (1..=MAX_TOPIC_NAME).contains(&name.len());
        if !right_length || name == "." || name == ".." {
            return None;
        }
        // A name with escapes was decoded elsewhere, and is not part of the text.
        let name = TextSlice::within(&self.text, name).unwrap_or_else(|| name.into());
        self.last = Some(name.clone());
        Some(TopicKey::Name(name))
    }
}

/// Returns the entry that a bare topic name stands for: all partitions, from the end of the log.
pub(super) fn whole(topic: TopicKey) -> PositionEntry {
    PositionEntry {
        topic,
        partitions: Partitions::All,
        place: PartitionPosition::Latest,
    }
}

/// Returns whether `byte` may be part of a topic name.
pub(super) fn is_name_byte(byte: u8) -> bool {
    IS_NAME_BYTE[usize::from(byte)]
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
