//! Projection: the fields of an event that a client wants, spliced out of the text of its value.
//!
//! The text of what is kept stays byte for byte, in its order and at its place. Nothing is parsed into values and
//! written again, so no number loses digits.
//!
//! Not here: which events a client gets (`filter`), and when a projection is applied.
//!
//! ```
//! use riverhead::projection::Projection;
//!
//! let fields = Projection::parse("title, meta.domain")?;
//! let mut out = Vec::new();
//! let value = br#"{"id":1.0,"meta":{"dt":"2026","domain":"a.example"},"title":"A"}"#;
//! fields.splice(value, &mut out)?;
//! assert_eq!(out, br#"{"meta":{"domain":"a.example"},"title":"A"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cursor;
mod parse;
mod splice;

use std::fmt;

pub use self::{cursor::NotADocument, parse::ProjectionError};

/// A set of fields, each a path of names. Two that mean the same are equal, however they were written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Projection(FieldTree);

/// The fields below one place of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum FieldTree {
    /// The whole value.
    Whole,
    /// The members of these names, sorted. Never empty.
    Members(Vec<(Box<str>, FieldTree)>),
}

impl FieldTree {
    /// Adds a path. What is whole already has everything below it.
    fn add(&mut self, path: &[Box<str>]) {
        let Some((name, rest)) = path.split_first() else {
            *self = Self::Whole;
            return;
        };
        let Self::Members(members) = self else { return };
        let place = members.binary_search_by(|(own, _)| own.cmp(name));
        let index = place.unwrap_or_else(|index| {
            members.insert(index, (name.clone(), Self::Members(Vec::new())));
            index
        });
        members[index].1.add(rest);
    }

    /// Returns the memory that it takes besides itself, in bytes.
    fn bytes(&self) -> usize {
        let Self::Members(members) = self else { return 0 };
        let names: usize = members
            .iter()
            .map(|(name, below)| name.len() + below.bytes())
            .sum();
        members.capacity() * size_of::<(Box<str>, Self)>() + names
    }

    /// Writes every path, in order, with a comma before all but the first.
    fn write(&self, path: &mut Vec<String>, is_first: &mut bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Members(members) = self else {
            if !std::mem::take(is_first) {
                f.write_str(",")?;
            }
            return f.write_str(&path.join("."));
        };
        for (name, below) in members {
            path.push(parse::quoted(name));
            below.write(path, is_first, f)?;
            path.pop();
        }
        Ok(())
    }
}

impl Projection {
    /// Returns the memory that it takes, in bytes, the allocator's own aside.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.0.bytes()
    }
}

impl fmt::Display for Projection {
    /// Writes the canonical text, which parses to an equal projection: every path once, sorted, without those that another
    /// one covers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(&mut Vec::new(), &mut true, f)
    }
}

#[cfg(test)]
mod tests;
