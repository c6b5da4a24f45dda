//! A value of the configuration with its location, and the conversions to the types of settings.

use std::{
    fmt::Display,
    num::{NonZeroU32, NonZeroU64},
    str::FromStr,
    time::Duration,
};

use toml_span::{Span, Value, value::ValueInner};

use super::{
    diagnostic::{Diagnostic, Location, ParseResult},
    units,
};

/// A value from the file or the environment.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The path in messages, such as `http.listen`.
    pub(super) path: String,
    pub(super) location: Location,
    pub(super) kind: NodeKind,
    /// The whole text of the variable that the value comes from: where a string is expected, `12345` is one.
    pub(super) raw: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Vec<TableEntry>),
}

/// A key of a table, with its value.
#[derive(Clone, Debug)]
pub(super) struct TableEntry {
    pub(super) name: String,
    /// The location of the key.
    pub(super) location: Location,
    pub(super) node: Node,
}

impl Node {
    /// Builds the tree below `value`. `location` maps a span of the text to its location.
    pub(super) fn of(value: &Value<'_>, path: String, location: &dyn Fn(Span) -> Location) -> Self {
        let kind = match value.as_ref() {
            ValueInner::String(text) => NodeKind::Text(text.to_string()),
            ValueInner::Integer(number) => NodeKind::Integer(*number),
            ValueInner::Float(number) => NodeKind::Float(*number),
            ValueInner::Boolean(flag) => NodeKind::Flag(*flag),
            // All elements have the path of their list; the location tells them apart.
            ValueInner::Array(items) => {
                let items = items.iter().map(|item| Self::of(item, path.clone(), location));
                NodeKind::List(items.collect())
            }
            ValueInner::Table(table) => NodeKind::Table(entries(table, &path, location)),
        };
        Self {
            path,
            location: location(value.span),
            kind,
            raw: None,
        }
    }

    /// Returns a table without entries.
    pub(super) fn empty_table(path: &str, location: Location) -> Self {
        Self {
            path: path.into(),
            location,
            kind: NodeKind::Table(Vec::new()),
            raw: None,
        }
    }

    /// Returns the value under `name`. Returns `None` also if this node is not a table.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let entry = self.entries().ok()?.iter().find(|entry| entry.name == name);
        entry.map(|entry| &entry.node)
    }

    /// Returns the elements of a list, and none if this node is not a list.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            NodeKind::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the location of the value under `name`, or of this table if there is none.
    pub(super) fn location_of(&self, name: &str) -> Location {
        self.get(name)
            .map_or(&self.location, |node| &node.location)
            .clone()
    }

    pub(super) fn entries(&self) -> ParseResult<&[TableEntry]> {
        match &self.kind {
            NodeKind::Table(entries) => Ok(entries),
            _ => Err(self.wrong_type("a table")),
        }
    }

    pub(super) fn string(&self) -> ParseResult<&str> {
        self.text("a string")
    }

    pub(super) fn flag(&self) -> ParseResult<bool> {
        match self.kind {
            NodeKind::Flag(flag) => Ok(flag),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// Parses a whole number from 1 on.
    pub(super) fn count(&self) -> ParseResult<NonZeroU32> {
        let NodeKind::Integer(number) = self.kind else {
            return Err(self.wrong_type("a whole number"));
        };
        let count = u32::try_from(number).ok().and_then(NonZeroU32::new);
        count.ok_or_else(|| self.refused("a whole number from 1 on", "found a number out of range"))
    }

    /// Parses a duration, which may be zero.
    pub(super) fn duration_or_zero(&self) -> ParseResult<Duration> {
        let text = self.text(A_DURATION)?;
        units::duration(text).map_err(|why| self.refused(A_DURATION, why))
    }

    /// Parses a duration above zero.
    pub(super) fn duration(&self) -> ParseResult<Duration> {
        match self.duration_or_zero()? {
            Duration::ZERO => Err(self.refused("a duration above zero", "found zero")),
            duration => Ok(duration),
        }
    }

    /// Parses a size above zero, in bytes. A bare number is a number of bytes.
    pub(super) fn size(&self) -> ParseResult<NonZeroU64> {
        let bytes = match self.kind {
            NodeKind::Integer(bytes) => u64::try_from(bytes)
                .ok()
                .filter(|bytes| *bytes <= units::MAX_SIZE)
                .ok_or_else(|| self.refused(A_SIZE, "found a number out of range"))?,
            _ => units::size(self.text(A_SIZE)?).map_err(|why| self.refused(A_SIZE, why))?,
        };
        NonZeroU64::new(bytes).ok_or_else(|| self.refused("a size above zero", "found zero"))
    }

    /// Parses one of the values `all` by its name.
    pub(super) fn choice<T: Copy, const N: usize>(
        &self,
        all: [T; N],
        name: fn(T) -> &'static str,
    ) -> ParseResult<T> {
        let names = all.map(|choice| format!("\"{}\"", name(choice)));
        let wanted = format!("one of {}", names.join(", "));
        let text = self.text(&wanted)?;
        let chosen = all.into_iter().find(|choice| name(*choice) == text);
        chosen.ok_or_else(|| self.refused(&wanted, "found another string"))
    }

    /// Parses the text with `FromStr`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, wanted: &str) -> ParseResult<T> {
        let text = self.text(wanted)?;
        text.parse()
            .map_err(|why: T::Err| self.refused(wanted, why.to_string()))
    }

    /// Parses every element with `read`, or returns the faults of all of them.
    pub(super) fn list<'a, T>(
        &'a self,
        wanted: &str,
        read: impl Fn(&'a Self) -> ParseResult<T>,
    ) -> ParseResult<Vec<T>> {
        let NodeKind::List(items) = &self.kind else {
            let fault = self.wrong_type(wanted).into_iter();
            let help = "write a TOML array, with brackets: [\"...\", \"...\"]";
            return Err(fault.map(|fault| fault.help(help)).collect());
        };
        if items.len() > MAX_ELEMENTS {
            return Err(self.refused(&format!("at most {MAX_ELEMENTS} elements"), "found more"));
        }
        let (good, bad): (Vec<_>, Vec<_>) = items.iter().map(read).partition(Result::is_ok);
        if bad.is_empty() {
            Ok(good.into_iter().flatten().collect())
        } else {
            Err(bad.into_iter().filter_map(Result::err).flatten().collect())
        }
    }

    pub(super) fn wrong_type(&self, wanted: &str) -> Vec<Diagnostic> {
        self.refused(wanted, format!("found {}", self.kind.name()))
    }

    pub(super) fn refused(&self, wanted: &str, why: impl Into<String>) -> Vec<Diagnostic> {
        let title = format!("`{}`: expected {wanted}", self.path);
        vec![Diagnostic::new(self.location.clone(), title).label(why)]
    }

    /// Reads a value, for which an empty string means none.
    pub(super) fn unless_empty<T>(
        &self,
        read: impl FnOnce(&Self) -> ParseResult<T>,
    ) -> ParseResult<Option<T>> {
        match self.string() {
            Ok("") => Ok(None),
            _ => read(self).map(Some),
        }
    }

    fn text(&self, wanted: &str) -> ParseResult<&str> {
        match (&self.kind, &self.raw) {
            (NodeKind::Text(text), _) => Ok(text),
            (NodeKind::Integer(_) | NodeKind::Float(_) | NodeKind::Flag(_), Some(raw)) => Ok(raw),
            _ => Err(self.wrong_type(wanted)),
        }
    }
}

impl NodeKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Flag(_) => "a boolean",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Returns the entries in the order of the text. `toml_span` keeps them by name.
fn entries(
    table: &toml_span::value::Table<'_>,
    path: &str,
    location: &dyn Fn(Span) -> Location,
) -> Vec<TableEntry> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| key.span.start);
    let entries = keys.into_iter().map(|(key, value)| TableEntry {
        name: key.name.to_string(),
        location: location(key.span),
        node: Node::of(value, below(path, &key.name), location),
    });
    entries.collect()
}

pub(super) fn below(path: &str, name: &str) -> String {
    let name = name.escape_debug();
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

const A_DURATION: &str = "a duration such as \"15s\"";
const A_SIZE: &str = "a size such as \"64MiB\"";

/// No list of a real deployment (streams, topics of a stream, proxies) comes near it.
const MAX_ELEMENTS: usize = 1_000;
