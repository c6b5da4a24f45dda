//! The fields of a document that a filter looks at, found in one pass over it.

use std::{borrow::Cow, fmt, str};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::values::{ALLOCATION, Number};

/// What stands at a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Found<'a> {
    #[default]
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// An object or an array.
    Other,
}

/// The paths that are wanted, as a tree of names.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Where what stands here goes.
    slot: Option<usize>,
    below: Vec<(Box<str>, Wanted)>,
}

impl Wanted {
    /// Gives back what was reserved for more: of thousands of filters that comes to half of what they cost.
    pub(super) fn shrink(&mut self) {
        self.below.shrink_to_fit();
        self.below.iter_mut().for_each(|(_, below)| below.shrink());
    }

    /// What it costs in memory beside itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of_one = |(name, below): &(Box<str>, Self)| {
            size_of::<(Box<str>, Self)>() + name.len() + 2 * ALLOCATION + below.bytes()
        };
        self.below.iter().map(of_one).sum()
    }

    /// Wants `path` in `slot`.
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

    /// Fills the slots from a document. What is not valid JSON fills none, or some.
    ///
    /// Not every number of a valid document is one that serde_json reads (`1e400`), and there it stops. Only then are the
    /// values taken out as texts first, which costs a second pass for each level.
    pub(super) fn find<'a>(&self, document: &'a [u8], slots: &mut [Found<'a>]) {
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        let search = Search {
            wanted: self,
            slots: &mut *slots,
        };
        if search.deserialize(&mut deserializer).is_err() {
            self.forget(slots);
            self.find_in_texts(document, slots);
        }
    }

    fn find_in_texts<'a>(&self, document: &'a [u8], slots: &mut [Found<'a>]) {
        let Ok(entries) = serde_json::from_slice::<Texts<'a>>(document) else {
            // No object: a value that stands for itself.
            if let Some(slot) = self.slot {
                slots[slot] = scalar(document);
            }
            return;
        };
        if let Some(slot) = self.slot {
            slots[slot] = Found::Other;
        }
        for (name, text) in entries.0 {
            if let Some((_, wanted)) = self.below.iter().find(|(own, _)| **own == *name.0) {
                // Of a name that is there twice the last counts, with all that is below it.
                wanted.forget(slots);
                wanted.find_in_texts(text.get().as_bytes(), slots);
            }
        }
    }

    fn forget(&self, slots: &mut [Found<'_>]) {
        if let Some(slot) = self.slot {
            slots[slot] = Found::Missing;
        }
        self.below.iter().for_each(|(_, wanted)| wanted.forget(slots));
    }
}

/// What this text is, of which it is known that it is no object.
fn scalar(text: &[u8]) -> Found<'_> {
    let (mut slots, whole) = (
        [Found::Missing],
        Wanted {
            slot: Some(0),
            below: Vec::new(),
        },
    );
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let search = Search {
        wanted: &whole,
        slots: &mut slots,
    };
    if search.deserialize(&mut deserializer).is_ok() {
        let [found] = slots;
        return found;
    }
    match str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        Some(number) => Found::Number(Number::of_f64(number)),
        None => Found::Missing,
    }
}

/// The entries of an object, each value as its text.
struct Texts<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'a> Deserialize<'a> for Texts<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'a> Visitor<'a> for Of {
            type Value = Texts<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Texts<'a>, A::Error> {
                let mut texts = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    texts.push(entry);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(Of)
    }
}

struct Search<'w, 's, 'a> {
    wanted: &'w Wanted,
    slots: &'s mut [Found<'a>],
}

impl<'a> Search<'_, '_, 'a> {
    fn found(self, what: Found<'a>) {
        if let Some(slot) = self.wanted.slot {
            self.slots[slot] = what;
        }
    }
}

impl<'a> DeserializeSeed<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.found(Found::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.found(Found::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.found(Found::Number(Number::Whole(value.into())));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.found(Found::Number(Number::Whole(value.into())));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.found(Found::Number(Number::of_f64(value)));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<(), E> {
        self.found(Found::Text(Cow::Borrowed(value)));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.found(Found::Text(Cow::Owned(value.to_owned())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        self.found(Found::Other);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { wanted, slots } = self;
        if let Some(slot) = wanted.slot {
            slots[slot] = Found::Other;
        }
        while let Some(name) = entries.next_key::<Name<'a>>()? {
            let child = wanted.below.iter().find(|(own, _)| **own == *name.0);
            let Some((_, wanted)) = child else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            // Of a name that is there twice the last counts, with all that is below it.
            wanted.forget(slots);
            entries.next_value_seed(Search {
                wanted,
                slots: &mut *slots,
            })?;
        }
        Ok(())
    }
}

/// A name of an object, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Name<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'a> Visitor<'a> for Of {
            type Value = Name<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(document: &str) -> [Found<'_>; 3] {
        let mut wanted = Wanted::default();
        for (slot, path) in [&["a"][..], &["b"], &["a", "c"]].into_iter().enumerate() {
            let path: Vec<Box<str>> = path.iter().map(|name| Box::from(*name)).collect();
            wanted.add(&path, slot);
        }
        let mut slots = [Found::Missing, Found::Missing, Found::Missing];
        wanted.find(document.as_bytes(), &mut slots);
        slots
    }

    #[test]
    fn a_number_beyond_all_floats_is_there_and_hides_nothing_behind_it() {
        let infinite = || Found::Number(Number::of_f64(f64::INFINITY));
        let one = || Found::Number(Number::Whole(1));
        assert_eq!(found(r#"{"a":1e400,"b":1}"#), [infinite(), one(), Found::Missing]);
        assert_eq!(
            found(r#"{"x":1e400,"a": -1e999 ,"b":"t"}"#)[0],
            Found::Number(Number::of_f64(f64::NEG_INFINITY))
        );
        assert_eq!(
            found(r#"{"b":1,"a":{"c":1e400}}"#),
            [Found::Other, one(), infinite()]
        );
        assert_eq!(
            found(r#"{"a":{"c":1},"b":1e400,"a":[1]}"#),
            [Found::Other, infinite(), Found::Missing]
        );
        assert_eq!(
            found(r#"{"\u0061":1e400,"b":null}"#),
            [infinite(), Found::Null, Found::Missing]
        );
    }
}
