//! The positions that an id has for each partition.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::position::{
    self, DecodeError, IdForm, IdWriter, LogPosition, Offset, PartitionPosition, Partitions, Timestamp,
    TopicKey,
};

/// The offset and timestamp that an id has for each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdPositions(BTreeMap<PartitionKey, OffsetAndTimestamp>);

/// A partition, as an id names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
}

/// The position in one partition, as far as the id has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OffsetAndTimestamp {
    /// The next offset.
    pub(crate) offset: Option<Offset>,
    /// The timestamp of the record before that offset.
    pub(crate) timestamp: Option<Timestamp>,
}

impl IdPositions {
    pub(crate) fn read(id: &str) -> Result<Self, DecodeError> {
        let entries = position::decode(id.as_bytes())?.entries.into_iter();
        let keys = entries.filter_map(|entry| match entry.partitions {
            Partitions::One(partition) => Some((
                PartitionKey {
                    topic: entry.topic,
                    partition,
                },
                OffsetAndTimestamp::of(entry.place),
            )),
            Partitions::All => None,
        });
        Ok(Self(keys.collect()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PartitionKey, OffsetAndTimestamp)> {
        self.0.iter().map(|(key, offsets)| (key, *offsets))
    }

    pub(crate) fn get(&self, key: &PartitionKey) -> OffsetAndTimestamp {
        self.0.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the offsets of the partitions that are ahead of `before`: the partition of the event in between, and those whose
    /// skipped records were passed on the way. The offsets are those behind the event.
    pub(crate) fn advanced(&self, before: &Self) -> BTreeMap<PartitionKey, Offset> {
        let farther = self.iter().filter_map(|(key, offsets)| {
            let offset = offsets.offset?;
            let moved = before.get(key).offset.is_none_or(|old| offset > old);
            moved.then(|| (key.clone(), offset))
        });
        farther.collect()
    }

    /// Returns whether this is at or ahead of `other` in every partition.
    pub(crate) fn reaches(&self, other: &Self) -> bool {
        other.iter().all(|(key, at)| self.get(key).offset >= at.offset)
    }

    /// Returns the newest timestamp of all partitions.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.iter().filter_map(|(_, offsets)| offsets.timestamp).max()
    }

    /// Takes over the timestamps of `other` that are newer.
    pub(crate) fn learn(&mut self, other: &Self) {
        for (key, offsets) in other.iter() {
            let own = self.0.entry(key.clone()).or_default();
            own.timestamp = own.timestamp.max(offsets.timestamp);
            own.offset = own.offset.max(offsets.offset);
        }
    }

    /// Returns the id of these positions, with those of `position` instead where it returns one. Returns `None` if topics are known
    /// only by tag, because no id can be written from tags.
    pub(crate) fn id(
        &self,
        position: impl Fn(&PartitionKey, OffsetAndTimestamp) -> Option<PartitionPosition>,
    ) -> Option<String> {
        let positions = self.iter().map(|(key, offsets)| match &key.topic {
            TopicKey::Name(name) => {
                let position = position(key, offsets).unwrap_or_else(|| offsets.position());
                Some((Arc::from(&**name), key.partition, position))
            }
            TopicKey::Tag(_) => None,
        });
        let mut id = Vec::new();
        IdWriter::new(IdForm::Json, positions.collect::<Option<Vec<_>>>()?).write(&mut id);
        String::from_utf8(id).ok()
    }
}

impl OffsetAndTimestamp {
    fn of(position: PartitionPosition) -> Self {
        match position {
            PartitionPosition::At(log_position) => Self {
                offset: Some(log_position.offset),
                timestamp: log_position.timestamp,
            },
            // The partition has no position yet. The time of the request is not that of a record.
            PartitionPosition::Since(_) | PartitionPosition::Earliest | PartitionPosition::Latest => {
                Self::default()
            }
        }
    }

    fn position(self) -> PartitionPosition {
        self.offset.map_or(PartitionPosition::Latest, position_at)
    }
}

/// Returns the position at an offset, without facts that prove it.
pub(crate) fn position_at(offset: Offset) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset,
        timestamp: None,
        log: None,
        epoch: None,
    })
}

impl PartitionKey {
    /// Returns the topic and the partition as labels.
    pub(crate) fn names(&self) -> (String, i32) {
        let topic = match &self.topic {
            TopicKey::Name(name) => name.to_string(),
            TopicKey::Tag(tag) => format!("{tag:08x}"),
        };
        (topic, self.partition)
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, partition) = self.names();
        write!(f, "{topic}-{partition}")
    }
}
