//! What an id says of every partition.

use std::{collections::BTreeMap, fmt};

use crate::position::{
    self, DecodeError, IdForm, IdWriter, LogPosition, Offset, PartitionPosition, Partitions, Timestamp,
    TopicKey,
};

/// What an id says of every partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IdPositions(BTreeMap<PartitionKey, OffsetAndTimestamp>);

/// A partition as an id names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionKey {
    pub(super) topic: TopicKey,
    pub(super) partition: i32,
}

/// Where an id stands in a partition, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OffsetAndTimestamp {
    /// The next offset.
    pub(super) offset: Option<Offset>,
    /// The timestamp of the record before it.
    pub(super) timestamp: Option<Timestamp>,
}

impl IdPositions {
    pub(super) fn read(id: &str) -> Result<Self, DecodeError> {
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

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PartitionKey, OffsetAndTimestamp)> {
        self.0.iter().map(|(key, offsets)| (key, *offsets))
    }

    pub(super) fn get(&self, key: &PartitionKey) -> OffsetAndTimestamp {
        self.0.get(key).copied().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where this stands farther than `before`: the partition of the event in between, and those whose skipped records
    /// were passed on the way. Offsets are those behind the event.
    pub(super) fn advanced(&self, before: &Self) -> BTreeMap<PartitionKey, Offset> {
        let farther = self.iter().filter_map(|(key, offsets)| {
            let offset = offsets.offset?;
            let moved = before.get(key).offset.is_none_or(|old| offset > old);
            moved.then(|| (key.clone(), offset))
        });
        farther.collect()
    }

    /// Whether this stands at least as far as `other` in every partition.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(key, offsets)| self.get(key).offset >= offsets.offset)
    }

    /// The newest timestamp of all.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.iter().filter_map(|(_, offsets)| offsets.timestamp).max()
    }

    /// Takes the timestamps of `other` where they are newer.
    pub(super) fn learn(&mut self, other: &Self) {
        for (key, offsets) in other.iter() {
            let own = self.0.entry(key.clone()).or_default();
            own.timestamp = own.timestamp.max(offsets.timestamp);
            own.offset = own.offset.max(offsets.offset);
        }
    }

    /// The id of this position with other places where `place` has one; `None` when topics are known by their tags only,
    /// of which no id can be made.
    pub(super) fn id(
        &self,
        place: impl Fn(&PartitionKey, OffsetAndTimestamp) -> Option<PartitionPosition>,
    ) -> Option<String> {
        let places = self.iter().map(|(key, offsets)| match &key.topic {
            TopicKey::Name(name) => {
                let place = place(key, offsets).unwrap_or_else(|| offsets.place());
                Some((name.clone(), key.partition, place))
            }
            TopicKey::Tag(_) => None,
        });
        let mut id = Vec::new();
        IdWriter::new(IdForm::Json, places.collect::<Option<Vec<_>>>()?).write(&mut id);
        String::from_utf8(id).ok()
    }
}

impl OffsetAndTimestamp {
    fn of(place: PartitionPosition) -> Self {
        match place {
            PartitionPosition::At(mark) => Self {
                offset: Some(mark.offset),
                timestamp: mark.timestamp,
            },
            // A partition that is not determined: the time of the connect is no record's.
            PartitionPosition::Since(_) | PartitionPosition::Earliest | PartitionPosition::Latest => {
                Self::default()
            }
        }
    }

    fn place(self) -> PartitionPosition {
        self.offset.map_or(PartitionPosition::Latest, at)
    }
}

/// At an offset, without any proof.
pub(super) fn at(offset: Offset) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset,
        timestamp: None,
        log: None,
        epoch: None,
    })
}

impl PartitionKey {
    /// As labels.
    pub(super) fn names(&self) -> (String, i32) {
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
