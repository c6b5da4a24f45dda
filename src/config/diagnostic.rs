//! What is wrong with a configuration, and how it is shown.

use std::sync::Arc;

/// Where something of the configuration stands. Ordered as it is read: along the file, then by variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// From this byte of the file to that.
    File(usize, usize),
    /// Nowhere in particular: something that is missing.
    Document,
    /// In this environment variable, from this byte on.
    EnvVar(Arc<str>, usize),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub(super) location: Location,
    pub(super) title: String,
    pub(super) label: Option<String>,
    pub(super) help: Option<String>,
    pub(super) related: Option<(Location, String)>,
    only_if_parsed: bool,
}

/// A value, or everything that is wrong with it.
pub(super) type ParseResult<T> = Result<T, Vec<Diagnostic>>;

impl Diagnostic {
    pub(super) fn new(location: Location, title: impl Into<String>) -> Self {
        Self {
            location,
            title: title.into(),
            label: None,
            help: None,
            related: None,
            only_if_parsed: false,
        }
    }

    /// Stands beside the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a second place.
    pub(super) fn related(mut self, location: Location, label: impl Into<String>) -> Self {
        self.related = Some((location, label.into()));
        self
    }

    /// Whether both are about one place.
    pub(super) fn shares_location_with(&self, other: &Self) -> bool {
        let locations = |fault: &Self| {
            [
                Some(fault.location.clone()),
                fault.related.clone().map(|(location, _)| location),
            ]
        };
        locations(self)
            .into_iter()
            .flatten()
            .any(|location| locations(other).contains(&Some(location)))
    }

    /// Counts only if the whole text could be read: else what it misses may stand in the rest.
    pub(super) fn only_if_parsed(mut self) -> Self {
        self.only_if_parsed = true;
        self
    }

    /// Whether it counts though some of the text could not be read.
    pub(super) fn is_conclusive(&self) -> bool {
        !self.only_if_parsed
    }

    /// Whether it is about something that was said.
    pub(super) fn has_location(&self) -> bool {
        self.location != Location::Document
    }
}

/// A user's text inside a message: in backticks, without control characters, cut when long, and where a value begins: a name
/// with an `=` in it is a key and its value, and one with a `@` has a password before it.
pub(super) fn quoted(text: &str) -> String {
    let end = match text.rfind('@') {
        Some(_) => 0,
        None => text.find('=').unwrap_or(text.len()),
    };
    let short: String = text[..end].chars().take(MAX_QUOTE_LEN).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", short.escape_debug())
}

/// The longest key is half of it.
const MAX_QUOTE_LEN: usize = 80;
