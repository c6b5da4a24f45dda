//! The entries of a JSON id, read as serde_json comes upon them.
//!
//! What is no entry is noted and passed over: whether the text is JSON at all is told first, and that is known at its end.

use std::{fmt, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{EARLIEST, LATEST, LOG, MAX_TOPIC_NAME, OFFSET, PARTITION, TIMESTAMP, TOPIC, log_and_epoch};
use crate::position::{
    DecodeError, EntryError, Epoch, LogPosition, LogTag, PartitionPosition, Partitions, PositionEntry,
    TopicKey, decode::MAX_ENTRIES,
};

/// What was read of an id.
#[derive(Debug, Default)]
pub(super) struct ParsedId {
    pub(super) entries: Vec<PositionEntry>,
    /// The first thing that was wrong.
    pub(super) fault: Option<DecodeError>,
    names: TopicNameCache,
}

impl ParsedId {
    /// Adds the item `index`, or what is wrong with it.
    fn add(&mut self, index: usize, read: Result<PositionEntry, EntryError>) {
        match read {
            _ if index >= MAX_ENTRIES => self.fail(DecodeError::TooManyEntries),
            Ok(entry) => self.entries.push(entry),
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
            let read = self.names.whole_topic(name);
            self.add(index, read);
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

/// Reads one item of an id.
struct ItemSeed<'a>(&'a mut TopicNameCache);

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = Result<PositionEntry, EntryError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = Result<PositionEntry, EntryError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.whole_topic(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut read = EntryFields::default();
        // Of repeated ones the last.
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
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(read.entry())
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

/// The value is not what its field can hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvalidValue;

/// The fields of an entry, as they were given.
pub(super) struct EntryFields {
    /// `None` when it is absent, or names no topic.
    pub(super) topic: Option<TopicKey>,
    pub(super) partition: Result<Option<i64>, InvalidValue>,
    pub(super) offset: Result<Option<i64>, InvalidValue>,
    pub(super) timestamp: Result<Option<i64>, InvalidValue>,
    pub(super) log: Result<Option<(LogTag, Option<Epoch>)>, InvalidValue>,
}

impl Default for EntryFields {
    fn default() -> Self {
        Self {
            topic: None,
            partition: Ok(None),
            offset: Ok(None),
            timestamp: Ok(None),
            log: Ok(None),
        }
    }
}

impl EntryFields {
    pub(super) fn entry(self) -> Result<PositionEntry, EntryError> {
        Ok(PositionEntry {
            place: self.place_after_partition()?,
            partitions: Partitions::One(self.partition()?),
            topic: self.topic.ok_or(EntryError::Topic)?,
        })
    }

    /// Checks topic and partition first, so that an entry with several faults names the first of them.
    fn place_after_partition(&self) -> Result<PartitionPosition, EntryError> {
        if self.topic.is_none() {
            return Err(EntryError::Topic);
        }
        self.partition()?;
        self.place()
    }

    fn partition(&self) -> Result<i32, EntryError> {
        let number = self.partition.ok().flatten();
        number
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| *number >= 0)
            .ok_or(EntryError::Partition)
    }

    fn place(&self) -> Result<PartitionPosition, EntryError> {
        let offset = self.offset.map_err(|InvalidValue| EntryError::Offset)?;
        let timestamp = self.timestamp.map_err(|InvalidValue| EntryError::Timestamp)?;
        if timestamp.is_some_and(|timestamp| timestamp < 0) {
            return Err(EntryError::Timestamp);
        }
        // Looked at before it is known to matter: a damaged id is refused whole.
        let log = self.log.map_err(|InvalidValue| EntryError::Log)?;
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

#[derive(Clone, Copy, Debug)]
enum Field {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Log,
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
            _ => Field::Other,
        })
    }
}

/// A value, as far as a field has use for it.
#[derive(Clone, Copy, Debug)]
enum Value<T> {
    Null,
    Integer(i64),
    /// What became of a text.
    Text(T),
    Other,
}

impl<T> Value<T> {
    fn text(self) -> Option<T> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer; `None` when it is null.
    fn integer(self) -> Result<Option<i64>, InvalidValue> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(integer) => Ok(Some(integer)),
            _ => Err(InvalidValue),
        }
    }
}

/// Reads one value, and a text with the function.
struct Scalar<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Scalar<F> {
    type Value = Value<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, F: FnOnce(&str) -> T> Visitor<'de> for Scalar<F> {
    type Value = Value<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<T>, E> {
        Ok(Value::Text((self.0)(text)))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Value<T>, E> {
        Ok(Value::Integer(integer))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Value<T>, E> {
        Ok(i64::try_from(integer).map_or(Value::Other, Value::Integer))
    }

    fn visit_unit<E>(self) -> Result<Value<T>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<T>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<T>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<T>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Value<T>, A::Error> {
        pass_over(fields)?;
        Ok(Value::Other)
    }
}

fn pass_over<'de, A: MapAccess<'de>>(mut fields: A) -> Result<(), A::Error> {
    while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
