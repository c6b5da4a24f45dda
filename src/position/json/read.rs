//! The reader of any JSON id, which takes entries as serde_json meets them.
//!
//! An invalid entry is recorded and skipped. The error "not JSON" has precedence, and is known only at the end of the text.

use std::sync::Arc;

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, SeqAccess},
};

use super::{
    fields::EntryFields,
    log_and_epoch,
    topic_name::{TopicNameCache, whole},
    value::{AnyValue, ValueReader, pass_over, scalar},
};
use crate::position::{
    DecodeError, EntryError, PositionEntry, RestrictionTag, TopicKey, bounds::MAX_ENTRIES,
    restriction::ScopeBuilder,
};

/// The entries of an id, as far as they are read.
#[derive(Debug)]
pub(super) struct ParsedId {
    pub(super) entries: Vec<PositionEntry>,
    /// The first error.
    pub(super) fault: Option<DecodeError>,
    pub(super) scope: ScopeBuilder,
    names: TopicNameCache,
}

impl ParsedId {
    /// Returns the state before anything of `text` is read.
    pub(super) fn of(text: &Arc<str>) -> Self {
        Self {
            entries: Vec::new(),
            fault: None,
            scope: ScopeBuilder::default(),
            names: TopicNameCache::of(text),
        }
    }

    /// Adds the entry with the given index, or the error that it has.
    fn add(&mut self, index: usize, read: ReadEntry) {
        match read {
            _ if index >= MAX_ENTRIES => self.fail(DecodeError::TooManyEntries),
            Ok((entry, tag)) => {
                self.entries.push(entry);
                self.scope.add(tag);
            }
            Err(fault) => self.fail(DecodeError::PositionEntry { index, fault }),
        }
    }

    fn fail(&mut self, fault: DecodeError) {
        self.fault.get_or_insert(fault);
    }
}

impl<'de> ValueReader<'de> for &mut ParsedId {
    type Output = ();

    fn other(self) {
        self.fail(DecodeError::NotAList);
    }

    fn text(self, names: &str) {
        for (index, name) in names.split(',').enumerate() {
            if self.fault.is_some() {
                break;
            }
            let read = self.names.topic(name).map(untagged);
            self.add(index, read.ok_or(EntryError::Topic));
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while self.fault.is_none()
            && let Some(read) = items.next_element_seed(AnyValue(EntryReader(&mut self.names)))?
        {
            self.add(index, read);
            index += 1;
        }
        pass_over(items)
    }
}

/// An entry with the tag of its read's restriction, or what is wrong with it.
type ReadEntry = Result<(PositionEntry, Option<RestrictionTag>), EntryError>;

/// Returns the entry that a bare topic name stands for.
fn untagged(topic: TopicKey) -> (PositionEntry, Option<RestrictionTag>) {
    (whole(topic), None)
}

/// Reads one entry of an id.
struct EntryReader<'a>(&'a mut TopicNameCache);

impl<'de> ValueReader<'de> for EntryReader<'_> {
    type Output = ReadEntry;

    fn other(self) -> ReadEntry {
        Err(EntryError::NotAnEntry)
    }

    fn text(self, name: &str) -> ReadEntry {
        self.0.topic(name).map(untagged).ok_or(EntryError::Topic)
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<ReadEntry, A::Error> {
        let mut read = EntryFields::default();
        // If a field is repeated, the last one counts.
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Topic => {
                    let topic = fields.next_value_seed(scalar(|name| self.0.topic(name)))?;
                    read.topic = topic.text();
                }
                Field::Partition => read.partition = fields.next_value_seed(scalar(|_| ()))?.integer(),
                Field::Offset => read.offset = fields.next_value_seed(scalar(|_| ()))?.integer(),
                Field::Timestamp => read.timestamp = fields.next_value_seed(scalar(|_| ()))?.integer(),
                Field::Log => read.log = fields.next_value_seed(scalar(log_and_epoch))?.optional_text(),
                Field::Partitions => {
                    let tag = fields.next_value_seed(scalar(|text| text.parse().ok()))?;
                    read.restriction = tag.optional_text();
                }
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        let tag = read.tag();
        Ok(read.entry().map(|entry| (entry, tag)))
    }
}

/// The names of the fields of an entry.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Log,
    Partitions,
    #[serde(other)]
    Other,
}
