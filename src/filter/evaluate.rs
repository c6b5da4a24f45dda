//! The compiled form of a filter, which is evaluated once per event.

use std::{borrow::Cow, str};

use memchr::{memchr, memmem::Finder};

use super::{
    expr::{EventField, Expr, FieldTest, Value},
    extract::{FieldValue, PathTree},
    number::Number,
};
use crate::{
    event::Headers,
    position::{Offset, Timestamp},
};

/// An event, as far as a filter can test it.
#[derive(Clone, Copy, Debug)]
pub struct FilterInput<'a> {
    /// The event's topic.
    pub topic: &'a str,
    /// The event's partition.
    pub partition: i32,
    /// The event's offset.
    pub offset: Offset,
    /// The event's timestamp, -1 if it has none.
    pub timestamp: Timestamp,
    /// The event's key. A key that is not UTF-8 equals no text.
    pub key: Option<&'a [u8]>,
    /// The event's headers. A value that is not UTF-8 equals no text either.
    pub headers: Headers<'a>,
    /// The event's JSON document, if it is one.
    pub document: Option<&'a [u8]>,
}

/// A compiled filter.
pub(super) struct Program {
    path_tree: PathTree,
    slots: usize,
    root: CompiledExpr,
    /// Text that every accepted document contains, unless it is written with escapes.
    needle: Option<Finder<'static>>,
}

enum CompiledExpr {
    All(Vec<CompiledExpr>),
    Any(Vec<CompiledExpr>),
    Not(Box<CompiledExpr>),
    FieldTest(Operand, FieldTest),
}

enum Operand {
    Metadata(EventField),
    /// A test of the value in this slot, which is taken from the document.
    Slot(usize),
}

impl Program {
    pub(super) fn of(expr: &Expr) -> Self {
        let mut paths = Vec::new();
        let root = compile_expr(expr, &mut paths);
        let mut path_tree = PathTree::default();
        for (slot, path) in paths.iter().enumerate() {
            path_tree.add(path, slot);
        }
        path_tree.shrink();
        Self {
            path_tree,
            slots: paths.len(),
            root,
            needle: needle(expr).map(|text| Finder::new(start_of(text)).into_owned()),
        }
    }

    /// Returns the memory it takes besides the tests, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.path_tree.bytes()
    }

    /// Returns whether the event passes. `unknown` is the result where that cannot be told, because headers were not kept.
    pub(super) fn accepts(&self, subject: &FilterInput<'_>, unknown: bool) -> bool {
        if self.slots == 0 {
            return evaluate(&self.root, subject, &[], unknown);
        }
        let mut slots = vec![FieldValue::Missing; self.slots];
        if let Some(document) = subject.document {
            if self.cannot_accept(document) {
                return false;
            }
            self.path_tree.find(document, &mut slots);
        }
        evaluate(&self.root, subject, &slots, unknown)
    }

    /// Returns whether the document lacks the needle and has no escapes. The search costs a twentieth of parsing.
    fn cannot_accept(&self, document: &[u8]) -> bool {
        let lacks = |needle: &Finder<'_>| needle.find(document).is_none();
        self.needle.as_ref().is_some_and(lacks) && memchr(b'\\', document).is_none()
    }
}

fn compile_expr<'e>(expr: &'e Expr, paths: &mut Vec<&'e [Box<str>]>) -> CompiledExpr {
    match expr {
        Expr::All(parts) => CompiledExpr::All(parts.iter().map(|part| compile_expr(part, paths)).collect()),
        Expr::Any(parts) => CompiledExpr::Any(parts.iter().map(|part| compile_expr(part, paths)).collect()),
        Expr::Not(inner) => CompiledExpr::Not(Box::new(compile_expr(inner, paths))),
        Expr::FieldTest(EventField::Json(path), test) => {
            let known = paths.iter().position(|own| own == path);
            let slot = known.unwrap_or_else(|| {
                paths.push(path);
                paths.len() - 1
            });
            CompiledExpr::FieldTest(Operand::Slot(slot), test.clone())
        }
        Expr::FieldTest(field, test) => {
            CompiledExpr::FieldTest(Operand::Metadata(field.clone()), test.clone())
        }
    }
}

/// Returns the longest text that every accepted document contains, or `None` if there is none that is easy to see.
fn needle(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::All(parts) => parts.iter().filter_map(needle).max_by_key(|text| text.len()),
        Expr::FieldTest(EventField::Json(_), FieldTest::Prefix(text)) => plain(text),
        Expr::FieldTest(EventField::Json(_), FieldTest::In(values)) => match values.first() {
            Some(Value::Text(text)) if values.len() == 1 => plain(text),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the start of a text, long enough to distinguish documents. The cost of preparing a search grows with the length of the
/// text.
fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_NEEDLE)]
}

/// The longest needle, in bytes.
const MAX_NEEDLE: usize = 64;

/// Returns the text if JSON writes it literally, escapes aside.
fn plain(text: &str) -> Option<&str> {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    (!text.is_empty() && text.chars().all(is_plain)).then_some(text)
}

/// Evaluates an expression. `unknown` is the result of a test of headers that were not kept.
fn evaluate(expr: &CompiledExpr, subject: &FilterInput<'_>, slots: &[FieldValue<'_>], unknown: bool) -> bool {
    match expr {
        CompiledExpr::All(parts) => parts.iter().all(|part| evaluate(part, subject, slots, unknown)),
        CompiledExpr::Any(parts) => parts.iter().any(|part| evaluate(part, subject, slots, unknown)),
        CompiledExpr::Not(inner) => !evaluate(inner, subject, slots, !unknown),
        CompiledExpr::FieldTest(Operand::Slot(slot), test) => passes(test, &slots[*slot]),
        CompiledExpr::FieldTest(Operand::Metadata(EventField::Header(_)), _)
            if !subject.headers.are_kept() =>
        {
            unknown
        }
        CompiledExpr::FieldTest(Operand::Metadata(field), test) => passes(test, &metadata(field, subject)),
    }
}

/// Returns the value of a field that is not in the document.
pub(super) fn metadata<'a>(field: &EventField, subject: &FilterInput<'a>) -> FieldValue<'a> {
    let whole = |number: i64| FieldValue::Number(Number::Integer(number.into()));
    match field {
        EventField::Key => subject.key.map_or(FieldValue::Missing, text),
        EventField::Header(name) => match subject.headers.last(name) {
            Some(value) => value.map_or(FieldValue::Null, text),
            None => FieldValue::Missing,
        },
        EventField::Topic => FieldValue::Text(Cow::Borrowed(subject.topic)),
        EventField::Partition => whole(subject.partition.into()),
        EventField::Offset => whole(subject.offset),
        EventField::Timestamp if subject.timestamp >= 0 => whole(subject.timestamp),
        EventField::Timestamp | EventField::Json(_) => FieldValue::Missing,
    }
}

fn text(bytes: &[u8]) -> FieldValue<'_> {
    str::from_utf8(bytes).map_or(FieldValue::Other, |text| FieldValue::Text(Cow::Borrowed(text)))
}

fn passes(test: &FieldTest, found: &FieldValue<'_>) -> bool {
    match (test, found) {
        (_, FieldValue::Missing) => false,
        (FieldTest::Exists, _) => true,
        (FieldTest::Prefix(prefix), FieldValue::Text(text)) => text.starts_with(&**prefix),
        (FieldTest::Compare(comparison, bound), FieldValue::Number(number)) => {
            comparison.holds(number.cmp(bound))
        }
        (FieldTest::In(values), found) => values.iter().any(|value| is(value, found)),
        _ => false,
    }
}

fn is(value: &Value, found: &FieldValue<'_>) -> bool {
    match (value, found) {
        (Value::Null, FieldValue::Null) => true,
        (Value::Bool(value), FieldValue::Bool(found)) => value == found,
        (Value::Number(value), FieldValue::Number(found)) => value == found,
        (Value::Text(value), FieldValue::Text(found)) => **value == **found,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        event::{Headers, HeadersBuf, MAX_HEADERS_BYTES},
        filter::{Filter, FilterInput},
    };

    /// Returns whether an event passes whose headers are `d = 2` and, if `large`, more than are kept.
    fn passes(filter: &str, large: bool) -> bool {
        let mut headers = HeadersBuf::default();
        headers.push(b"d", Some(b"2"));
        if large {
            headers.push(b"rest", Some(&[0; MAX_HEADERS_BYTES]));
        }
        Filter::parse(filter).unwrap().accepts(&FilterInput {
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

    /// Returns whether an event with this document passes.
    fn passes_document(filter: &str, document: &str) -> bool {
        Filter::parse(filter).unwrap().accepts(&FilterInput {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: None,
            headers: Headers::default(),
            document: Some(document.as_bytes()),
        })
    }

    #[test]
    fn numbers_are_exact_if_they_are_whole_without_a_fraction_and_of_64_bits() {
        for (filter, document, expected) in [
            ("a = 9007199254740993", r#"{"a":9007199254740993}"#, true),
            ("a = 9007199254740993", r#"{"a":9007199254740992}"#, false),
            ("a > 9007199254740992", r#"{"a":9007199254740993}"#, true),
            ("a = 18446744073709551615", r#"{"a":18446744073709551615}"#, true),
            ("a = 18446744073709551615", r#"{"a":18446744073709551614}"#, false),
            ("a = -9223372036854775808", r#"{"a":-9223372036854775807}"#, false),
            ("a = 5", r#"{"a":5.0}"#, true),
            ("a = 5e0", r#"{"a":5}"#, true),
            // Whole numbers of more bits, and numbers with a fraction or an exponent, are doubles.
            ("a = 18446744073709551616", r#"{"a":18446744073709551617}"#, true),
            ("a = 9007199254740993.0", r#"{"a":9007199254740992.0}"#, true),
            ("a = 9007199254740993", r#"{"a":9007199254740993.0}"#, false),
            ("a = 9007199254740992", r#"{"a":9007199254740993.0}"#, true),
        ] {
            assert_eq!(
                passes_document(filter, document),
                expected,
                "{filter}: {document}"
            );
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
