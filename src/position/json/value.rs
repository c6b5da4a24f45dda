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

impl<T> Value<Option<T>> {
    /// Returns the result of the function, or `None` if it is none, or the value is no string.
    pub(super) fn text(self) -> Option<T> {
        match self {
            Self::Text(text) => text,
            _ => None,
        }
    }

    /// Returns the result of the function, or `None` for null.
    pub(super) fn optional_text(self) -> Result<Option<T>, InvalidValue> {
        match self {
            Self::Null => Ok(None),
            other => other.text().map(Some).ok_or(InvalidValue),
        }
    }
}

impl Value<()> {
    /// Returns the integer, or `None` for null.
    pub(super) fn integer(self) -> Result<Option<i64>, InvalidValue> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(integer) => Ok(Some(integer)),
            _ => Err(InvalidValue),
        }
    }
}

/// Reads one JSON value of any kind.
pub(super) trait ValueReader<'de>: Sized {
    type Output;

    /// Returns the result for a value of a kind that the reader does not take.
    fn other(self) -> Self::Output;

    fn text(self, text: &str) -> Self::Output;

    fn null(self) -> Self::Output {
        self.other()
    }

    fn integer(self, _: i64) -> Self::Output {
        self.other()
    }

    fn list<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Output, A::Error> {
        pass_over(items)?;
        Ok(self.other())
    }

    fn object<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Output, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }
}

/// Deserializes a value with a [`ValueReader`].
pub(super) struct AnyValue<R>(pub(super) R);

impl<'de, R: ValueReader<'de>> DeserializeSeed<'de> for AnyValue<R> {
    type Value = R::Output;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Output, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: ValueReader<'de>> Visitor<'de> for AnyValue<R> {
    type Value = R::Output;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<R::Output, E> {
        Ok(self.0.null())
    }

    fn visit_bool<E>(self, _: bool) -> Result<R::Output, E> {
        Ok(self.0.other())
    }

    fn visit_i64<E>(self, integer: i64) -> Result<R::Output, E> {
        Ok(self.0.integer(integer))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<R::Output, E> {
        Ok(match i64::try_from(integer) {
            Ok(integer) => self.0.integer(integer),
            Err(_) => self.0.other(),
        })
    }

    fn visit_f64<E>(self, _: f64) -> Result<R::Output, E> {
        Ok(self.0.other())
    }

    fn visit_str<E>(self, text: &str) -> Result<R::Output, E> {
        Ok(self.0.text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<R::Output, A::Error> {
        self.0.list(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<R::Output, A::Error> {
        self.0.object(fields)
    }
}

/// Passes over the items that are left of a list.
pub(super) fn pass_over<'de, A: SeqAccess<'de>>(mut items: A) -> Result<(), A::Error> {
    while items.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads one field. A string is passed to the function.
struct Scalar<F>(F);

impl<T, F: FnOnce(&str) -> T> ValueReader<'_> for Scalar<F> {
    type Output = Value<T>;

    fn other(self) -> Value<T> {
        Value::Other
    }

    fn text(self, text: &str) -> Value<T> {
        Value::Text((self.0)(text))
    }

    fn null(self) -> Value<T> {
        Value::Null
    }

    fn integer(self, integer: i64) -> Value<T> {
        Value::Integer(integer)
    }
}

/// Returns what deserializes the value of a field. A string is passed to `text`.
pub(super) fn scalar<'de, T>(text: impl FnOnce(&str) -> T) -> impl DeserializeSeed<'de, Value = Value<T>> {
    AnyValue(Scalar(text))
}
