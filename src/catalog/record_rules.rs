//! What happens to the records of a stream before they become events: its rules, as texts.
//!
//! Not here: what the texts mean (`redaction`), and whether they are right (`config`).

use std::{cmp::Ordering, fmt, sync::Arc};

/// The rules of a stream. All streams that share a topic have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordRules {
    /// What nobody gets to see, in a stable order.
    pub redact: Vec<RedactRule>,
    /// Which records nobody gets.
    pub drop: Option<Condition>,
    /// Whether `meta` of a value says where the record comes from.
    pub annotate: bool,
    /// Which records are canaries, besides those with the header for it.
    pub canary: Option<Condition>,
}

impl RecordRules {
    /// Whether records stay as they are.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is removed and blanked, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedactRule {
    /// The condition. `None` for always.
    pub when: Option<Condition>,
    /// The fields that go, sorted, each once.
    pub remove: Vec<Arc<str>>,
    /// The fields that keep their places with the empty value of their types, sorted, each once.
    pub blank: Vec<Arc<str>>,
}

impl fmt::Display for RedactRule {
    /// Writes the rule as a sentence does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("remove", &self.remove), ("blank", &self.blank)];
        let parts = lists.into_iter().filter(|(_, fields)| !fields.is_empty());
        let parts: Vec<_> = parts
            .map(|(what, fields)| format!("{what} {}", fields.join(", ")))
            .collect();
        f.write_str(&parts.join("; "))?;
        match &self.when {
            Some(when) => write!(f, " when {when}"),
            None => Ok(()),
        }
    }
}

/// A filter that an operator wrote. Two with the same canonical form are equal.
#[derive(Clone, Debug)]
pub struct Condition {
    text: Arc<str>,
    canonical: Arc<str>,
}

impl Condition {
    /// Creates the condition of a filter, from the text that was written and from its canonical form. The two are kept, because
    /// the canonical form may be longer than a filter may be.
    pub fn new(text: &str, canonical: &str) -> Self {
        Self {
            text: text.into(),
            canonical: canonical.into(),
        }
    }

    /// Returns the text that was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Condition {
    /// Writes the canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Condition {}

impl PartialOrd for Condition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Condition {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}
