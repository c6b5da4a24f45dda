//! The fields of one entry of a JSON id, and the checks that make an entry of them.

use super::{EARLIEST, LATEST};
use crate::position::{
    EntryError, Epoch, LogPosition, LogTag, PartitionPosition, Partitions, PositionEntry, RestrictionTag,
    TopicKey,
};

/// The value has a type that its field cannot hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvalidValue;

/// The fields of an entry, as they were given.
pub(super) struct EntryFields {
    /// The topic. `None` if it is absent, or not a valid topic name.
    pub(super) topic: Option<TopicKey>,
    pub(super) partition: Result<Option<i64>, InvalidValue>,
    pub(super) offset: Result<Option<i64>, InvalidValue>,
    pub(super) timestamp: Result<Option<i64>, InvalidValue>,
    pub(super) log: Result<Option<(LogTag, Option<Epoch>)>, InvalidValue>,
    /// The restriction of the read.
    pub(super) restriction: Result<Option<RestrictionTag>, InvalidValue>,
}

impl Default for EntryFields {
    fn default() -> Self {
        Self {
            topic: None,
            partition: Ok(None),
            offset: Ok(None),
            timestamp: Ok(None),
            log: Ok(None),
            restriction: Ok(None),
        }
    }
}

impl EntryFields {
    /// Returns the tag of the read's restriction, if it is valid.
    pub(super) fn tag(&self) -> Option<RestrictionTag> {
        self.restriction.ok().flatten()
    }

    pub(super) fn entry(self) -> Result<PositionEntry, EntryError> {
        Ok(PositionEntry {
            place: self.position_after_partition()?,
            partitions: Partitions::One(self.partition()?),
            topic: self.topic.ok_or(EntryError::Topic)?,
        })
    }

    /// Checks topic and partition first, so that the error of an entry with several faults names the first of them.
    fn position_after_partition(&self) -> Result<PartitionPosition, EntryError> {
        if self.topic.is_none() {
            return Err(EntryError::Topic);
        }
        self.partition()?;
        self.position()
    }

    fn partition(&self) -> Result<i32, EntryError> {
        let number = self.partition.ok().flatten();
        number
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| *number >= 0)
            .ok_or(EntryError::Partition)
    }

    fn position(&self) -> Result<PartitionPosition, EntryError> {
        let offset = self.offset.map_err(|InvalidValue| EntryError::Offset)?;
        let timestamp = self.timestamp.map_err(|InvalidValue| EntryError::Timestamp)?;
        if timestamp.is_some_and(|timestamp| timestamp < 0) {
            return Err(EntryError::Timestamp);
        }
        // The log is checked even if it is not used: a damaged id is refused as a whole.
        let log = self.log.map_err(|InvalidValue| EntryError::Log)?;
        self.restriction.map_err(|InvalidValue| EntryError::Restriction)?;
        match (offset, timestamp) {
            (Some(EARLIEST), _) => Ok(PartitionPosition::Earliest),
            (Some(LATEST), _) => Ok(PartitionPosition::Latest),
            (Some(..LATEST), _) => Err(EntryError::Offset),
            (Some(offset), timestamp) => Ok(PartitionPosition::At(LogPosition {
                offset,
                timestamp,
                log: log.map(|(tag, _)| tag),
                epoch: log.and_then(|(_, epoch)| epoch),
            })),
            (None, Some(timestamp)) => Ok(PartitionPosition::Since(timestamp)),
            (None, None) => Err(EntryError::NoPlace),
        }
    }
}
