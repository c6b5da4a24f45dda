//! Extraction of the fields that a filter tests, in one pass over the document.

use std::{borrow::Cow, collections::BTreeMap, fmt, str};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{expr::ALLOCATION, number::Number};

/// The value at a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum FieldValue<'a> {
    #[default]
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// An object or an array.
    Other,
}

/// The paths to extract, as a tree of names.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    /// The slot for the value at this place.
    slot: Option<usize>,
    below: Vec<(Box<str>, PathTree)>,
}

impl PathTree {
    /// Frees reserved capacity: over thousands of filters that is half of their memory.
    pub(super) fn shrink(&mut self) {
        self.below.shrink_to_fit();
        self.below.iter_mut().for_each(|(_, below)| below.shrink());
    }

    /// Returns the memory it takes besides itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of_one = |(name, below): &(Box<str>, Self)| {
            size_of::<(Box<str>, Self)>() + name.len() + 2 * ALLOCATION + below.bytes()
        };
        self.below.iter().map(of_one).sum()
    }

    /// Adds `path`, whose value goes to `slot`.
    pub(super) fn add(&mut self, path: &[Box<str>], slot: usize) {
        let Some((name, rest)) = path.split_first() else {
            self.slot = Some(slot);
            return;
        };
        let index = self.below.iter().position(|(own, _)| own == name);
        let index = index.unwrap_or_else(|| {
            self.below.push((name.clone(), Self::default()));
            self.below.len() - 1
        });
        self.below[index].1.add(rest, slot);
    }

    /// Fills the slots from a document. A document that is not valid JSON fills none, or some.
    ///
    /// serde_json cannot read every number of a valid document (`1e400`), and stops there. Only then are the values extracted as
    /// texts first, which costs a second pass for each level.
    pub(super) fn find<'a>(&self, document: &'a [u8], slots: &mut [FieldValue<'a>]) {
        if !self.read(document, slots) {
            self.forget(slots);
            self.find_in_texts(document, slots);
        }
    }

    /// Fills the slots in one pass. Returns whether it got to the end of the document.
    fn read<'a>(&self, document: &'a [u8], slots: &mut [FieldValue<'a>]) -> bool {
        let path_tree = self;
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        let search = PathVisitor { path_tree, slots };
        search.deserialize(&mut deserializer).is_ok()
    }

    fn find_in_texts<'a>(&self, document: &'a [u8], slots: &mut [FieldValue<'a>]) {
        let Ok(entries) = serde_json::from_slice::<BTreeMap<ObjectName<'a>, &'a RawValue>>(document) else {
            // The document is no object, so it is the value itself.
            if let Some(slot) = self.slot {
                slots[slot] = scalar(document);
            }
            return;
        };
        if let Some(slot) = self.slot {
            slots[slot] = FieldValue::Other;
        }
        for (name, text) in entries {
            if let Some((_, path_tree)) = self.below.iter().find(|(own, _)| **own == *name.0) {
                // Of a duplicate name the last counts, with everything below it.
                path_tree.forget(slots);
                path_tree.find_in_texts(text.get().as_bytes(), slots);
            }
        }
    }

    fn forget(&self, slots: &mut [FieldValue<'_>]) {
        if let Some(slot) = self.slot {
            slots[slot] = FieldValue::Missing;
        }
        self.below
            .iter()
            .for_each(|(_, path_tree)| path_tree.forget(slots));
    }
}

/// Returns the value of a text that is known not to be an object.
fn scalar(text: &[u8]) -> FieldValue<'_> {
    let mut slots = [FieldValue::Missing];
    let mut whole = PathTree::default();
    whole.add(&[], 0);
    if whole.read(text, &mut slots) {
        let [value] = slots;
        return value;
    }
    match str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        Some(number) => FieldValue::Number(Number::of_f64(number)),
        None => FieldValue::Missing,
    }
}

struct PathVisitor<'w, 's, 'a> {
    path_tree: &'w PathTree,
    slots: &'s mut [FieldValue<'a>],
}

impl<'a> PathVisitor<'_, '_, 'a> {
    fn store(self, what: FieldValue<'a>) {
        if let Some(slot) = self.path_tree.slot {
            self.slots[slot] = what;
        }
    }
}

impl<'a> DeserializeSeed<'a> for PathVisitor<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for PathVisitor<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.store(FieldValue::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.store(FieldValue::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.store(FieldValue::Number(Number::Integer(value.into())));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.store(FieldValue::Number(Number::Integer(value.into())));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.store(FieldValue::Number(Number::of_f64(value)));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<(), E> {
        self.store(FieldValue::Text(Cow::Borrowed(value)));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.store(FieldValue::Text(Cow::Owned(value.to_owned())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        self.store(FieldValue::Other);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { path_tree, slots } = self;
        if let Some(slot) = path_tree.slot {
            slots[slot] = FieldValue::Other;
        }
        while let Some(name) = entries.next_key::<ObjectName<'a>>()? {
            let child = path_tree.below.iter().find(|(own, _)| **own == *name.0);
            let Some((_, path_tree)) = child else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            // Of a duplicate name the last counts, with everything below it.
            path_tree.forget(slots);
            entries.next_value_seed(PathVisitor {
                path_tree,
                slots: &mut *slots,
            })?;
        }
        Ok(())
    }
}

/// A name in an object, borrowed unless it has escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct ObjectName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn find_three(document: &str) -> [FieldValue<'_>; 3] {
        let mut path_tree = PathTree::default();
        for (slot, path) in [&["a"][..], &["b"], &["a", "c"]].into_iter().enumerate() {
            let path: Vec<Box<str>> = path.iter().map(|name| Box::from(*name)).collect();
            path_tree.add(&path, slot);
        }
        let mut slots = [FieldValue::Missing, FieldValue::Missing, FieldValue::Missing];
        path_tree.find(document.as_bytes(), &mut slots);
        slots
    }

    #[test]
    fn a_number_beyond_all_floats_is_there_and_hides_nothing_behind_it() {
        let infinite = || FieldValue::Number(Number::of_f64(f64::INFINITY));
        let one = || FieldValue::Number(Number::Integer(1));
        assert_eq!(
            find_three(r#"{"a":1e400,"b":1}"#),
            [infinite(), one(), FieldValue::Missing]
        );
        assert_eq!(
            find_three(r#"{"x":1e400,"a": -1e999 ,"b":"t"}"#)[0],
            FieldValue::Number(Number::of_f64(f64::NEG_INFINITY))
        );
        assert_eq!(
            find_three(r#"{"b":1,"a":{"c":1e400}}"#),
            [FieldValue::Other, one(), infinite()]
        );
        assert_eq!(
            find_three(r#"{"a":{"c":1},"b":1e400,"a":[1]}"#),
            [FieldValue::Other, infinite(), FieldValue::Missing]
        );
        assert_eq!(
            find_three(r#"{"\u0061":1e400,"b":null}"#),
            [infinite(), FieldValue::Null, FieldValue::Missing]
        );
    }
}
