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
        wanted.shrink();
        Self {
            wanted,
            slots: paths.len(),
            root,
            needle: needle(expr).map(|text| Finder::new(start_of(text)).into_owned()),
        }
    }

    /// What it costs in memory beside the tests, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.wanted.bytes()
    }

    pub(super) fn accepts(&self, subject: &Subject<'_>) -> bool {
        if self.slots == 0 {
            return holds(&self.root, subject, &[], true);
        }
        let mut slots = vec![Found::Missing; self.slots];
        if let Some(document) = subject.document {
            if self.cannot_accept(document) {
                return false;
            }
            self.wanted.find(document, &mut slots);
        }
        holds(&self.root, subject, &slots, true)
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

/// The beginning of a text, as far as it tells documents apart. To make ready for a search costs as much as the text is long.
fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(NEEDLE)]
}

/// The longest needle, in bytes.
const NEEDLE: usize = 64;

/// A text that JSON writes as itself, if not with escapes.
fn plain(text: &str) -> Option<&str> {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    (!text.is_empty() && text.chars().all(is_plain)).then_some(text)
}

/// Whether it holds; `unknown` is what counts for a test of what was not kept. An event of which it cannot be told is
/// accepted, so that nobody loses one that it asked for.
fn holds(step: &Step, subject: &Subject<'_>, slots: &[Found<'_>], unknown: bool) -> bool {
    match step {
        Step::All(parts) => parts.iter().all(|part| holds(part, subject, slots, unknown)),
        Step::Any(parts) => parts.iter().any(|part| holds(part, subject, slots, unknown)),
        Step::Not(inner) => !holds(inner, subject, slots, !unknown),
        Step::Test(Source::Slot(slot), test) => passes(test, &slots[*slot]),
        Step::Test(Source::Metadata(Field::Header(_)), _) if !subject.headers.are_kept() => unknown,
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

#[cfg(test)]
mod tests {
    use crate::{
        event::{HeadersBuf, MAX_HEADERS_BYTES},
        filter::{Filter, Subject},
    };

    /// Whether an event whose headers are `d = 2` and, if `large`, more than are kept, passes.
    fn passes(filter: &str, large: bool) -> bool {
        let mut headers = HeadersBuf::default();
        headers.push(b"d", Some(b"2"));
        if large {
            headers.push(b"rest", Some(&[0; MAX_HEADERS_BYTES]));
        }
        Filter::parse(filter).unwrap().accepts(&Subject {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: None,
            headers: headers.headers(),
            document: Some(br#"{"a":1,"big":1e400}"#),
        })
    }

    #[test]
    fn headers_that_were_not_kept_are_not_taken_for_none() {
        for filter in [
            "@header.d = 2",
            "exists @header.d",
            "not @header.d = 3",
            "a = 1 and @header.d = 2",
        ] {
            assert!(passes(filter, false) && passes(filter, true), "{filter}");
        }
        for filter in [
            "@header.d = 3",
            "exists @header.e",
            "not exists @header.d",
            "@header.d != 2",
        ] {
            assert!(!passes(filter, false), "{filter}");
            assert!(passes(filter, true), "it cannot be told: {filter}");
        }
        for filter in ["a = 2 and @header.d = 2", "not (a = 1 or @header.d = 3)"] {
            assert!(!passes(filter, true), "whatever the headers are: {filter}");
        }
    }

    #[test]
    fn a_number_beyond_all_floats_exists() {
        for filter in ["exists big", "big > 1", "big != 1", "exists big and a = 1"] {
            assert!(passes(filter, false), "{filter}");
        }
        assert!(!passes("big < 1", false));
    }
}
