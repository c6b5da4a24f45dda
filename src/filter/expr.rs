//! The expression of a filter: its tests, fields and values, and their memory.
//!
//! Not here: the text of an expression (`display`), and its evaluation (`evaluate`).

use std::{cmp::Ordering, sync::Arc};

use super::number::Number;
use crate::position::{TextSlice, sorting};

/// A predicate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expr {
    /// True if all parts are.
    All(Vec<Expr>),
    /// True if any part is.
    Any(Vec<Expr>),
    /// True if the inner one is not.
    Not(Box<Expr>),
    /// A test of one field.
    FieldTest(EventField, FieldTest),
}

/// A field of an event, which a test looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventField {
    /// The key of the record.
    Key,
    /// The topic.
    Topic,
    /// The partition.
    Partition,
    /// The offset.
    Offset,
    /// The timestamp.
    Timestamp,
    /// The header of this name.
    Header(Box<str>),
    /// A field of the document: the names from the outermost object inwards.
    Json(Vec<Box<str>>),
}

/// The condition on a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FieldTest {
    Exists,
    /// The value is one of these. Never empty.
    In(ValueSet),
    /// The value is a text that begins with this.
    Prefix(Box<str>),
    /// The value is a number that compares so with this one.
    Compare(Comparison, Number),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A list of values, sorted, each once. Clones share it: copying the longest lists would cost as much as reading the filter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValueSet(Arc<[Value]>);

impl FromIterator<Value> for ValueSet {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        let is_float = |value: &Value| matches!(value, Value::Number(Number::Float(_)));
        let any_alike = if values.iter().any(is_float) {
            values.sort_unstable();
            true
        } else {
            sorting::sort(&mut values, Value::key, Value::cmp)
        };
        if any_alike {
            values.dedup();
        }
        Self(values.into_iter().collect())
    }
}

impl ValueSet {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<&Value> {
        self.0.first()
    }

    /// Returns the values of all lists.
    pub(super) fn joined(lists: &[Self]) -> Self {
        match lists {
            [only] => only.clone(),
            lists => lists.iter().flat_map(Self::iter).cloned().collect(),
        }
    }

    /// Returns the memory it takes in bytes, without the texts that its values share.
    pub(super) fn bytes(&self) -> usize {
        let of_values = self.iter().map(|value| size_of::<Value>() + value.bytes());
        of_values.sum::<usize>() + ALLOCATION
    }
}

impl Value {
    /// Returns a number that orders values as far as it differs, except for numbers that are not whole: these may be anywhere among the
    /// others.
    fn key(&self) -> u64 {
        let (kind, number) = match self {
            Self::Null => (0, 0),
            Self::Bool(value) => (1, u64::from(*value)),
            Self::Number(Number::Integer(whole)) => {
                let near = (*whole).clamp(-MIDDLE, MIDDLE - 1);
                (2, (near + MIDDLE) as u64)
            }
            Self::Number(Number::Float(_)) => (2, 0),
            Self::Text(text) => (3, sorting::start_of(text.as_bytes(), KEY_TEXT_BYTES)),
        };
        kind << (8 * KEY_TEXT_BYTES) | number
    }
}

/// How many bytes of a text are in its key.
const KEY_TEXT_BYTES: usize = 5;
const _: () = assert!(8 * KEY_TEXT_BYTES as u32 + 2 <= sorting::BITS);

/// The keys of whole numbers differ from this far below zero to this far above it.
const MIDDLE: i128 = 1 << (8 * KEY_TEXT_BYTES - 1);

/// A value that can be tested for equality.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(TextSlice),
}

/// The values that a field can have in any event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    /// A text, or missing.
    Text,
    /// A text or null, or missing.
    TextOrNull,
    /// A whole number, or missing.
    Integer,
    /// Any JSON value, or missing.
    Any,
}

impl EventField {
    pub(super) fn field_type(&self) -> FieldType {
        match self {
            Self::Key | Self::Topic => FieldType::Text,
            Self::Header(_) => FieldType::TextOrNull,
            Self::Partition | Self::Offset | Self::Timestamp => FieldType::Integer,
            Self::Json(_) => FieldType::Any,
        }
    }

    /// Returns the largest number that the field can have, if it is one whose numbers begin at 0.
    pub(super) fn largest(&self) -> Option<i64> {
        match self {
            Self::Partition => Some(i32::MAX.into()),
            Self::Offset | Self::Timestamp => Some(i64::MAX),
            Self::Key | Self::Topic | Self::Header(_) | Self::Json(_) => None,
        }
    }
}

impl FieldTest {
    /// Returns whether a whole number from 0 to `largest` may pass.
    pub(super) fn may_hold_up_to(&self, largest: i64) -> bool {
        let (first, last) = (Number::Integer(0), Number::Integer(largest.into()));
        let may_be = |value: &Value| match value {
            Value::Number(number @ Number::Integer(_)) => (first..=last).contains(number),
            _ => false,
        };
        match self {
            Self::In(values) => values.iter().any(may_be),
            Self::Compare(side, bound) => side.holds(first.cmp(bound)) || side.holds(last.cmp(bound)),
            Self::Exists | Self::Prefix(_) => true,
        }
    }
}

impl Comparison {
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Expr {
    /// Returns the memory it takes in bytes, with the overhead of allocations, where each list of values takes `of_values`.
    pub(super) fn bytes(&self, of_values: fn(&ValueSet) -> usize) -> usize {
        let own = size_of::<Self>() + ALLOCATION;
        match self {
            Self::All(parts) | Self::Any(parts) => {
                own + parts.iter().map(|part| part.bytes(of_values)).sum::<usize>()
            }
            Self::Not(inner) => own + inner.bytes(of_values),
            Self::FieldTest(field, test) => own + field.bytes() + test.bytes(of_values),
        }
    }

    /// Whether it tests a header.
    pub(super) fn tests_headers(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::tests_headers),
            Self::Not(inner) => inner.tests_headers(),
            Self::FieldTest(field, _) => matches!(field, EventField::Header(_)),
        }
    }

    /// Adds the texts that values share to `texts`, each once.
    pub(super) fn add_shared_texts<'e>(&'e self, texts: &mut Vec<&'e Arc<str>>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.add_shared_texts(texts));
            }
            Self::Not(inner) => inner.add_shared_texts(texts),
            Self::FieldTest(_, FieldTest::In(values)) => {
                for text in values.iter().filter_map(Value::shared_text) {
                    if !texts.iter().any(|other| Arc::ptr_eq(other, text)) {
                        texts.push(text);
                    }
                }
            }
            Self::FieldTest(..) => {}
        }
    }
}

impl EventField {
    /// Returns the memory of its names, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of_name = |name: &str| size_of::<Box<str>>() + name.len() + ALLOCATION;
        match self {
            Self::Header(name) => of_name(name),
            Self::Json(path) => path.iter().map(|name| of_name(name)).sum(),
            _ => 0,
        }
    }
}

impl FieldTest {
    fn bytes(&self, of_values: fn(&ValueSet) -> usize) -> usize {
        match self {
            Self::In(values) => of_values(values),
            Self::Prefix(text) => text.len() + ALLOCATION,
            Self::Exists | Self::Compare(..) => 0,
        }
    }
}

impl Value {
    /// Returns the memory of a text that no other value shares, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) if text.shared().is_none() => text.len() + ALLOCATION,
            _ => 0,
        }
    }

    /// Returns the text of which this is a part.
    fn shared_text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) => text.shared(),
            _ => None,
        }
    }
}

/// The overhead of an allocation, in bytes: its header, the unused part of its size class, and capacity that a vector has
/// reserved. Most allocations here have a few bytes, and glibc gives 32 at least.
pub(super) const ALLOCATION: usize = 32;
