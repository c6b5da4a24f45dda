//! A filter as it is run, once per event.

use std::{borrow::Cow, str};

use memchr::{memchr, memmem::Finder};

use super::{
    extract::{Found, Wanted},
    values::{Expr, Field, Number, Test, Value},
};
use crate::{
    event::Headers,
    position::{Offset, Timestamp},
};

/// An event as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The topic it is of.
    pub topic: &'a str,
    /// The partition it is of.
    pub partition: i32,
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; -1 when it has none.
    pub timestamp: Timestamp,
    /// Its key; one that is not UTF-8 equals no text.
    pub key: Option<&'a [u8]>,
    /// Its headers; a value that is not UTF-8 equals no text either.
    pub headers: Headers<'a>,
    /// Its JSON document, if it is one.
    pub document: Option<&'a [u8]>,
}

/// A filter, made ready.
pub(super) struct Program {
    wanted: Wanted,
    slots: usize,
    root: Step,
    /// What a document must contain to be accepted, unless it writes it with escapes.
    needle: Option<Finder<'static>>,
}

enum Step {
    All(Vec<Step>),
    Any(Vec<Step>),
    Not(Box<Step>),
    Test(Source, Test),
}

enum Source {
    Metadata(Field),
    /// Of what was found in the document.
    Slot(usize),
}

impl Program {
    pub(super) fn of(expr: &Expr) -> Self {
        let mut paths = Vec::new();
        let root = step(expr, &mut paths);
        let mut wanted = Wanted::default();
        for (slot, path) in paths.iter().enumerate() {
            wanted.add(path, slot);
        }
        Self {
            wanted,
            slots: paths.len(),
            root,
            needle: needle(expr).map(|text| Finder::new(text).into_owned()),
        }
    }

    pub(super) fn accepts(&self, subject: &Subject<'_>) -> bool {
        if self.slots == 0 {
            return holds(&self.root, subject, &[]);
        }
        let mut slots = vec![Found::Missing; self.slots];
        if let Some(document) = subject.document {
            if self.cannot_accept(document) {
                return false;
            }
            self.wanted.find(document, &mut slots);
        }
        holds(&self.root, subject, &slots)
    }

    /// A look that costs a twentieth of parsing.
    fn cannot_accept(&self, document: &[u8]) -> bool {
        let lacks = |needle: &Finder<'_>| needle.find(document).is_none();
        self.needle.as_ref().is_some_and(lacks) && memchr(b'\\', document).is_none()
    }
}

fn step<'e>(expr: &'e Expr, paths: &mut Vec<&'e [Box<str>]>) -> Step {
    match expr {
        Expr::All(parts) => Step::All(parts.iter().map(|part| step(part, paths)).collect()),
        Expr::Any(parts) => Step::Any(parts.iter().map(|part| step(part, paths)).collect()),
        Expr::Not(inner) => Step::Not(Box::new(step(inner, paths))),
        Expr::Test(Field::Json(path), test) => {
            let known = paths.iter().position(|own| own == path);
            let slot = known.unwrap_or_else(|| {
                paths.push(path);
                paths.len() - 1
            });
            Step::Test(Source::Slot(slot), test.clone())
        }
        Expr::Test(field, test) => Step::Test(Source::Metadata(field.clone()), test.clone()),
    }
}

/// The longest text that every accepted document contains, as far as that is plain.
fn needle(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::All(parts) => parts.iter().filter_map(needle).max_by_key(|text| text.len()),
        Expr::Test(Field::Json(_), Test::Prefix(text)) => plain(text),
        Expr::Test(Field::Json(_), Test::In(values)) => match values.first() {
            Some(Value::Text(text)) if values.len() == 1 => plain(text),
            _ => None,
        },
        _ => None,
    }
}

/// A text that JSON writes as itself, if not with escapes.
fn plain(text: &str) -> Option<&str> {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    (!text.is_empty() && text.chars().all(is_plain)).then_some(text)
}

fn holds(step: &Step, subject: &Subject<'_>, slots: &[Found<'_>]) -> bool {
    match step {
        Step::All(parts) => parts.iter().all(|part| holds(part, subject, slots)),
        Step::Any(parts) => parts.iter().any(|part| holds(part, subject, slots)),
        Step::Not(inner) => !holds(inner, subject, slots),
        Step::Test(Source::Slot(slot), test) => passes(test, &slots[*slot]),
        Step::Test(Source::Metadata(field), test) => passes(test, &metadata(field, subject)),
    }
}

fn metadata<'a>(field: &Field, subject: &Subject<'a>) -> Found<'a> {
    let whole = |number: i64| Found::Number(Number::Whole(number.into()));
    match field {
        Field::Key => subject.key.map_or(Found::Missing, text),
        Field::Header(name) => match subject.headers.last(name) {
            Some(value) => value.map_or(Found::Null, text),
            None => Found::Missing,
        },
        Field::Topic => Found::Text(Cow::Borrowed(subject.topic)),
        Field::Partition => whole(subject.partition.into()),
        Field::Offset => whole(subject.offset),
        Field::Timestamp if subject.timestamp >= 0 => whole(subject.timestamp),
        Field::Timestamp | Field::Json(_) => Found::Missing,
    }
}

fn text(bytes: &[u8]) -> Found<'_> {
    str::from_utf8(bytes).map_or(Found::Other, |text| Found::Text(Cow::Borrowed(text)))
}

fn passes(test: &Test, found: &Found<'_>) -> bool {
    match (test, found) {
        (_, Found::Missing) => false,
        (Test::Exists, _) => true,
        (Test::Prefix(prefix), Found::Text(text)) => text.starts_with(&**prefix),
        (Test::Compare(comparison, bound), Found::Number(number)) => comparison.holds(number.cmp(bound)),
        (Test::In(values), found) => values.iter().any(|value| is(value, found)),
        _ => false,
    }
}

fn is(value: &Value, found: &Found<'_>) -> bool {
    match (value, found) {
        (Value::Null, Found::Null) => true,
        (Value::Bool(value), Found::Bool(found)) => value == found,
        (Value::Number(value), Found::Number(found)) => value == found,
        (Value::Text(value), Found::Text(found)) => **value == **found,
        _ => false,
    }
}
