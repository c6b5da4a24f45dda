//! What an id says of every partition.

use std::{collections::BTreeMap, fmt};

use crate::position::{
    self, Composer, DecodeError, IdForm, Mark, Offset, Partitions, Place, Timestamp, TopicKey,
};

/// What an id says of every partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(BTreeMap<Slot, Standing>);

/// A partition as an id names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) topic: TopicKey,
    pub(super) partition: i32,
}

/// Where an id stands in a partition, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The next offset.
    pub(super) offset: Option<Offset>,
    /// The timestamp of the record before it.
    pub(super) timestamp: Option<Timestamp>,
}

impl Marks {
    pub(super) fn read(id: &str) -> Result<Self, DecodeError> {
        let entries = position::decode(id.as_bytes())?.entries.into_iter();
        let slots = entries.filter_map(|entry| match entry.partitions {
            Partitions::One(partition) => Some((
                Slot {
                    topic: entry.topic,
                    partition,
                },
                Standing::of(entry.place),
            )),
            Partitions::All => None,
        });
        Ok(Self(slots.collect()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Slot, Standing)> {
        self.0.iter().map(|(slot, standing)| (slot, *standing))
    }

    pub(super) fn get(&self, slot: &Slot) -> Standing {
        self.0.get(slot).copied().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where this stands farther than `before`: the partition of the event in between, and those whose skipped records
    /// were passed on the way. Offsets are those behind the event.
    pub(super) fn advanced(&self, before: &Self) -> BTreeMap<Slot, Offset> {
        let farther = self.iter().filter_map(|(slot, standing)| {
            let offset = standing.offset?;
            let moved = before.get(slot).offset.is_none_or(|old| offset > old);
            moved.then(|| (slot.clone(), offset))
        });
        farther.collect()
    }

    /// Whether this stands at least as far as `other` in every partition.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(slot, standing)| self.get(slot).offset >= standing.offset)
    }

    /// The newest timestamp of all.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.iter().filter_map(|(_, standing)| standing.timestamp).max()
    }

    /// Takes the timestamps of `other` where they are newer.
    pub(super) fn learn(&mut self, other: &Self) {
        for (slot, standing) in other.iter() {
            let own = self.0.entry(slot.clone()).or_default();
            own.timestamp = own.timestamp.max(standing.timestamp);
            own.offset = own.offset.max(standing.offset);
        }
    }

    /// The id of this position with other places where `place` has one; `None` when topics are known by their tags only,
    /// of which no id can be made.
    pub(super) fn id(&self, place: impl Fn(&Slot, Standing) -> Option<Place>) -> Option<String> {
        let places = self.iter().map(|(slot, standing)| match &slot.topic {
            TopicKey::Name(name) => {
                let place = place(slot, standing).unwrap_or_else(|| standing.place());
                Some((name.clone(), slot.partition, place))
            }
            TopicKey::Tag(_) => None,
        });
        let mut id = Vec::new();
        Composer::new(IdForm::Json, places.collect::<Option<Vec<_>>>()?).write(&mut id);
        String::from_utf8(id).ok()
    }
}

impl Standing {
    fn of(place: Place) -> Self {
        match place {
            Place::At(mark) => Self {
                offset: Some(mark.offset),
                timestamp: mark.timestamp,
            },
            // A partition that is not determined: the time of the connect is no record's.
            Place::Since(_) | Place::Earliest | Place::Latest => Self::default(),
        }
    }

    fn place(self) -> Place {
        self.offset.map_or(Place::Latest, at)
    }
}

/// At an offset, without any proof.
pub(super) fn at(offset: Offset) -> Place {
    Place::At(Mark {
        offset,
        timestamp: None,
        log: None,
        epoch: None,
    })
}

impl Slot {
    /// As labels.
    pub(super) fn names(&self) -> (String, i32) {
        let topic = match &self.topic {
            TopicKey::Name(name) => name.to_string(),
            TopicKey::Tag(tag) => format!("{tag:08x}"),
        };
        (topic, self.partition)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, partition) = self.names();
        write!(f, "{topic}-{partition}")
    }
}
