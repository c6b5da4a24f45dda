//! The fields that a rule is about, as a tree of names.

use crate::projection::cursor::{member_named, unescaped};

/// What is done to a field. If several rules name it, the greatest is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Treatment {
    /// It keeps its place, with the empty value of its type.
    Blank,
    /// It goes, as if it had never been there.
    Remove,
}

/// What is done at one place of a document, and below it.
#[derive(Debug, Default)]
pub(super) struct FieldTree {
    pub(super) treatment: Option<Treatment>,
    /// Sorted by name.
    below: Vec<(Box<str>, FieldTree)>,
}

impl FieldTree {
    /// Adds what is done to the field at this path.
    pub(super) fn add(&mut self, path: &[Box<str>], treatment: Treatment) {
        let Some((name, rest)) = path.split_first() else {
            self.treatment = self.treatment.max(Some(treatment));
            return;
        };
        let place = self.below.binary_search_by(|(own, _)| own.cmp(name));
        let index = place.unwrap_or_else(|index| {
            self.below.insert(index, (name.clone(), Self::default()));
            index
        });
        self.below[index].1.add(rest, treatment);
    }

    /// Whether nothing is done below this place.
    pub(super) fn is_empty(&self) -> bool {
        self.below.is_empty()
    }

    /// Returns what is done to a member. `name` is its name as it stands, with its quotes.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Self> {
        member_named(&self.below, name)
    }
}

/// Whether a name as it stands, with its quotes, is this one.
pub(super) fn is_named(name: &[u8], wanted: &str) -> bool {
    match name.contains(&b'\\') {
        true => unescaped(name).is_some_and(|name| name == wanted),
        false => name.get(1..name.len() - 1) == Some(wanted.as_bytes()),
    }
}
