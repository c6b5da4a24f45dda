//! The values that a filter demands of one or more fields, by which a reader finds the filters that may accept an event.
//!
//! Ten thousand filters `tenant = ...` need not be asked one by one: the event's own value leads to those that may accept it.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use super::{
    KEYS,
    evaluate::{FilterInput, metadata},
    expr::{EventField, Expr, FieldTest, Value},
    extract::{FieldValue, PathTree},
    number::Number,
};

/// The fields in which a filter demands certain values, sorted. Filters with equal fields can be found together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyFields(Arc<[EventField]>);

/// A hash of the values of an event in some [`KeyFields`]. Different values may have the same key, so what is found by a key must
/// still be asked.
pub type EventKey = u64;

/// What a filter demands: it accepts no event but those with one of these keys.
#[derive(Clone, Debug)]
pub struct RequiredKeys {
    /// The fields that make up the key.
    pub fields: KeyFields,
    /// The keys, sorted, each once.
    pub keys: Box<[EventKey]>,
}

/// Reads the keys of events.
#[derive(Debug)]
pub struct KeyReader {
    fields: KeyFields,
    path_tree: PathTree,
}

impl RequiredKeys {
    /// Returns what an expression demands. Returns `None` if it may accept events with any values.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        let mut fields: Vec<_> = required(expr).into_iter().collect();
        // The field with the most values goes first: it says least.
        while fields.len() > MAX_FIELDS || combinations(&fields) > MAX_KEYS {
            let most = (0..fields.len()).max_by_key(|index| (fields[*index].1.len(), *index))?;
            fields.remove(most);
        }
        if fields.is_empty() {
            return None;
        }
        let mut keys = vec![Vec::new()];
        for (_, values) in &fields {
            keys = longer(&keys, values);
        }
        let mut keys: Vec<_> = keys.into_iter().map(key_of).collect();
        keys.sort_unstable();
        keys.dedup();
        Some(Self {
            fields: KeyFields(fields.into_iter().map(|(field, _)| field.clone()).collect()),
            keys: keys.into(),
        })
    }

    /// Returns the memory it takes besides itself in bytes, with that of the places where its keys are looked up.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields.0.iter().map(EventField::bytes);
        fields.sum::<usize>() + self.fields.0.len() * size_of::<EventField>() + self.keys.len() * KEY_BYTES
    }
}

impl KeyReader {
    /// Creates a reader of keys made of these fields.
    pub fn new(fields: &KeyFields) -> Self {
        let mut path_tree = PathTree::default();
        for (slot, field) in fields.0.iter().enumerate() {
            if let EventField::Json(path) = field {
                path_tree.add(path, slot);
            }
        }
        Self {
            fields: fields.clone(),
            path_tree,
        }
    }

    /// Returns the key of an event. Returns `None` if it lacks one of the fields, so that no filter that demands them accepts it.
    pub fn read(&self, input: &FilterInput<'_>) -> Option<EventKey> {
        let fields = &self.fields.0;
        let mut slots = vec![FieldValue::Missing; fields.len()];
        if let Some(document) = input.document {
            self.path_tree.find(document, &mut slots);
        }
        for (slot, field) in slots.iter_mut().zip(&**fields) {
            if !matches!(field, EventField::Json(_)) {
                *slot = metadata(field, input);
            }
        }
        let parts: Option<Vec<_>> = slots.iter().map(KeyPart::found).collect();
        parts.map(key_of)
    }
}

/// The value of one field, as far as equality goes.
#[derive(Clone, Copy, Hash)]
enum KeyPart<'v> {
    Null,
    Bool(bool),
    /// The bits of the number as a double. Equal numbers have equal ones.
    Number(u64),
    Text(&'v str),
}

impl<'v> KeyPart<'v> {
    fn of(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::number(*number),
            Value::Text(text) => Self::Text(text),
        }
    }

    /// Returns the part of a value that was found in an event. Returns `None` if it equals no value of a filter.
    fn found(found: &'v FieldValue<'_>) -> Option<Self> {
        match found {
            FieldValue::Null => Some(Self::Null),
            FieldValue::Bool(value) => Some(Self::Bool(*value)),
            FieldValue::Number(number) => Some(Self::number(*number)),
            FieldValue::Text(text) => Some(Self::Text(text)),
            FieldValue::Missing | FieldValue::Other => None,
        }
    }

    fn number(number: Number) -> Self {
        Self::Number(number.as_f64().to_bits())
    }
}

/// Returns each of these beginnings with each of these values behind it.
fn longer<'v>(starts: &[Vec<KeyPart<'v>>], values: &[&'v Value]) -> Vec<Vec<KeyPart<'v>>> {
    let with_each = |start: &'_ Vec<KeyPart<'v>>| {
        let ends = values.iter().copied().map(KeyPart::of);
        ends.map(|end| [start.as_slice(), &[end]].concat())
            .collect::<Vec<_>>()
    };
    starts.iter().flat_map(with_each).collect()
}

fn key_of(parts: Vec<KeyPart<'_>>) -> EventKey {
    let mut hasher = KEYS.build_hasher();
    parts.iter().for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}

/// The values that fields must have. A field with more than [`MAX_KEYS`] is left out.
type Required<'e> = BTreeMap<&'e EventField, Vec<&'e Value>>;

/// Returns the values without one of which no event passes, for each field that has some.
fn required(expr: &Expr) -> Required<'_> {
    match expr {
        Expr::FieldTest(field, FieldTest::In(values)) if has_keys(field) && values.len() <= MAX_KEYS => {
            BTreeMap::from([(field, values.iter().collect())])
        }
        Expr::All(parts) => parts.iter().map(required).fold(BTreeMap::new(), both),
        Expr::Any(parts) => {
            let mut parts = parts.iter().map(required);
            let first = parts.next().unwrap_or_default();
            parts.fold(first, either)
        }
        Expr::Not(_) | Expr::FieldTest(..) => BTreeMap::new(),
    }
}

/// Returns what two conditions demand together. Of two lists for one field the shorter one is enough.
fn both<'e>(mut all: Required<'e>, part: Required<'e>) -> Required<'e> {
    for (field, values) in part {
        let own = all.entry(field).or_insert_with(|| values.clone());
        if values.len() < own.len() {
            *own = values;
        }
    }
    all
}

/// Returns what is demanded by whichever of two conditions holds.
fn either<'e>(all: Required<'e>, part: Required<'e>) -> Required<'e> {
    let joined = all.into_iter().filter_map(|(field, mut values)| {
        values.extend(part.get(field)?);
        values.sort_unstable();
        values.dedup();
        (values.len() <= MAX_KEYS).then_some((field, values))
    });
    joined.collect()
}

/// Whether an event has at most one value in this field, which is always known. Headers may not have been kept. The rest of the
/// metadata is never what many filters differ in.
fn has_keys(field: &EventField) -> bool {
    matches!(field, EventField::Json(_) | EventField::Key)
}

fn combinations(fields: &[(&EventField, Vec<&Value>)]) -> usize {
    fields
        .iter()
        .fold(1, |product, (_, values)| product.saturating_mul(values.len()))
}

/// The most keys of one filter. Each is an entry in memory.
const MAX_KEYS: usize = 64;

/// The most fields of a key. More would tell hardly more filters apart.
const MAX_FIELDS: usize = 4;

/// The memory of a key and of the entry under which it is looked up, in bytes.
const KEY_BYTES: usize = size_of::<EventKey>() + 112;

#[cfg(test)]
mod tests;
