//! The fields of a document that a filter looks at, found in one pass over it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::values::Number;

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
    pub(super) fn find<'a>(&self, document: &'a [u8], slots: &mut [Found<'a>]) {
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        let _ = Search { wanted: self, slots }.deserialize(&mut deserializer);
    }

    fn forget(&self, slots: &mut [Found<'_>]) {
        if let Some(slot) = self.slot {
            slots[slot] = Found::Missing;
        }
        self.below.iter().for_each(|(_, wanted)| wanted.forget(slots));
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
