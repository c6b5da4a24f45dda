//! Faults of a configuration, as parsing collects them.
//!
//! Not here: how faults and warnings are shown (`report`).

use std::{
    collections::btree_map::{BTreeMap, Entry},
    sync::Arc,
};

/// A location in the configuration. Ordered as users read it: along the file, then by variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// A range of bytes in the file: start and end.
    File(usize, usize),
    /// The configuration as a whole, for something that is missing.
    Document,
    /// An environment variable, and the first byte in its value.
    EnvVar(Arc<str>, usize),
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub(super) location: Location,
    pub(super) title: String,
    pub(super) label: Option<String>,
    pub(super) help: Option<String>,
    pub(super) related: Option<(Location, String)>,
    only_if_parsed: bool,
}

/// A value, or all faults that it has.
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

    /// Sets the text beside the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the advice on what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a second location.
    pub(super) fn related(mut self, location: Location, label: impl Into<String>) -> Self {
        self.related = Some((location, label.into()));
        self
    }

    /// Returns whether both faults have a location in common.
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

    /// Marks the fault as one that counts only if the whole file was parsed: what it misses may be in the part that was not.
    pub(super) fn only_if_parsed(mut self) -> Self {
        self.only_if_parsed = true;
        self
    }

    /// Returns whether the fault counts even if part of the file was not parsed.
    pub(super) fn is_conclusive(&self) -> bool {
        !self.only_if_parsed
    }

    /// Returns whether the fault is about a value that is set, in the file or in a variable.
    pub(super) fn has_location(&self) -> bool {
        self.location != Location::Document
    }
}

/// Returns the faults as an error, if there are any.
pub(super) fn fail_if_any(faults: Vec<Diagnostic>) -> ParseResult<()> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults),
    }
}

/// Returns a fault for each key that occurred before. `title` says what occurs twice.
pub(super) fn repeated<K: Ord>(
    keys: impl IntoIterator<Item = (K, Location)>,
    title: impl Fn(&K) -> String,
) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<K, Location> = BTreeMap::new();
    let mut faults = Vec::new();
    for (key, location) in keys {
        match seen.entry(key) {
            Entry::Occupied(first) => {
                let fault = Diagnostic::new(location, title(first.key()));
                faults.push(fault.related(first.get().clone(), "first here"));
            }
            Entry::Vacant(slot) => _ = slot.insert(location),
        }
    }
    faults
}

/// Quotes a user's text for a message: in backticks, without control characters, and cut if it is long. It is also cut where a
/// value may begin: a name with an `=` in it is a key and its value, and a name with a `@` has a password before it.
pub(super) fn quoted(text: &str) -> String {
    let end = match text.rfind('@') {
        Some(_) => 0,
        None => text.find('=').unwrap_or(text.len()),
    };
    let short: String = text[..end].chars().take(MAX_QUOTE_LEN).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", short.escape_debug())
}

/// The longest key has half this length, in characters.
const MAX_QUOTE_LEN: usize = 80;
