//! The reader of any JSON id, which takes entries as serde_json meets them.
//!
//! An invalid entry is recorded and skipped. The error "not JSON" has precedence, and is known only at the end of the text.

use std::{fmt, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    LOG, OFFSET, PARTITION, PARTITIONS, TIMESTAMP, TOPIC,
    fields::{EntryFields, InvalidValue},
    log_and_epoch,
    topic_name::{TopicNameCache, whole},
    value::{Scalar, Value, pass_over},
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

impl<'de> DeserializeSeed<'de> for &mut ParsedId {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut ParsedId {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while self.fault.is_none()
            && let Some(read) = items.next_element_seed(ItemSeed(&mut self.names))?
        {
            self.add(index, read);
            index += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, names: &str) -> Result<(), E> {
        for (index, name) in names.split(',').enumerate() {
            if self.fault.is_some() {
                break;
            }
            let read = self.names.topic(name).map(untagged);
            self.add(index, read.ok_or(EntryError::Topic));
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        self.fail(DecodeError::NotAList);
        pass_over(fields)
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.fail(DecodeError::NotAList);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.fail(DecodeError::NotAList);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.fail(DecodeError::NotAList);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.fail(DecodeError::NotAList);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.fail(DecodeError::NotAList);
        Ok(())
    }
}

/// An entry with the tag of its read's restriction, or what is wrong with it.
type ReadEntry = Result<(PositionEntry, Option<RestrictionTag>), EntryError>;

/// Returns the entry that a bare topic name stands for.
fn untagged(topic: TopicKey) -> (PositionEntry, Option<RestrictionTag>) {
    (whole(topic), None)
}

/// Reads one entry of an id.
struct ItemSeed<'a>(&'a mut TopicNameCache);

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = ReadEntry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = ReadEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.topic(name).map(untagged).ok_or(EntryError::Topic))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut read = EntryFields::default();
        // If a field is repeated, the last one counts.
        while let Some(field) = fields.next_key_seed(FieldName)? {
            match field {
                Field::Topic => {
                    let names = &mut *self.0;
                    let topic = fields.next_value_seed(Scalar(|name: &str| names.topic(name)))?;
                    read.topic = topic.text().flatten();
                }
                Field::Partition => read.partition = fields.next_value_seed(Scalar(|_: &str| ()))?.integer(),
                Field::Offset => read.offset = fields.next_value_seed(Scalar(|_: &str| ()))?.integer(),
                Field::Timestamp => read.timestamp = fields.next_value_seed(Scalar(|_: &str| ()))?.integer(),
                Field::Log => {
                    read.log = match fields.next_value_seed(Scalar(log_and_epoch))? {
                        Value::Null => Ok(None),
                        other => other.text().flatten().map(Some).ok_or(InvalidValue),
                    };
                }
                Field::Partitions => {
                    let tag = |text: &str| text.parse().ok();
                    read.restriction = match fields.next_value_seed(Scalar(tag))? {
                        Value::Null => Ok(None),
                        other => other.text().flatten().map(Some).ok_or(InvalidValue),
                    };
                }
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        let tag = read.tag();
        Ok(read.entry().map(|entry| (entry, tag)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(EntryError::NotAnEntry))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(EntryError::NotAnEntry))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(EntryError::NotAnEntry))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Err(EntryError::NotAnEntry))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Err(EntryError::NotAnEntry))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(EntryError::NotAnEntry))
    }
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Log,
    Partitions,
    Other,
}

/// Reads the name of a field.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field, E> {
        Ok(match name {
            TOPIC => Field::Topic,
            PARTITION => Field::Partition,
            OFFSET => Field::Offset,
            TIMESTAMP => Field::Timestamp,
            LOG => Field::Log,
            PARTITIONS => Field::Partitions,
            _ => Field::Other,
        })
    }
}
