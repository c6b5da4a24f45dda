//! The value of one field of an entry, read without a document in between.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fields::InvalidValue;

/// A value, as far as fields of entries can use it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<T> {
    Null,
    Integer(i64),
    /// The result of the function that reads strings.
    Text(T),
    Other,
}

impl<T> Value<T> {
    pub(super) fn text(self) -> Option<T> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the integer, or `None` for null.
    pub(super) fn integer(self) -> Result<Option<i64>, InvalidValue> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(integer) => Ok(Some(integer)),
            _ => Err(InvalidValue),
        }
    }
}

/// Reads one value. A string is passed to the function.
pub(super) struct Scalar<F>(pub(super) F);

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

pub(super) fn pass_over<'de, A: MapAccess<'de>>(mut fields: A) -> Result<(), A::Error> {
    while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
