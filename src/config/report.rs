//! Reports for users: all faults of a configuration, and its warnings.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{
    diagnostic::{Diagnostic, Location},
    redact::redact,
};

/// All faults of a configuration, in the order of the file, then of the variables. `Display` writes the whole report: each fault
/// with its location, the line itself and a caret, with secrets blanked.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    path: String,
    text: String,
    faults: Vec<Diagnostic>,
}

impl ConfigErrors {
    pub(super) fn new(path: &str, text: &str, mut faults: Vec<Diagnostic>) -> Self {
        faults.sort_by(|a, b| a.location.cmp(&b.location));
        Self {
            path: path.into(),
            text: redact(text),
            faults,
        }
    }

    /// Returns the report on a configuration that does not exist or cannot be read.
    pub fn unreadable(path: &str, why: &dyn fmt::Display) -> Self {
        let fault = Diagnostic::new(
            Location::Document,
            format!("cannot read the configuration: {why}"),
        );
        Self::new(path, "", vec![fault])
    }

    /// Returns the number of faults.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    fn group<'a>(&'a self, fault: &'a Diagnostic) -> Group<'a> {
        let title = Level::ERROR.primary_title(&fault.title);
        let group = match &fault.location {
            Location::File(..) => title.element(self.snippet(fault)),
            Location::Document => title.element(Origin::path(&*self.path)),
            Location::EnvVar(name, _) => title.element(Origin::path(&**name)),
        };
        // Without a source line there is no caret, so the label becomes a note.
        let note = fault
            .label
            .as_ref()
            .filter(|_| !matches!(fault.location, Location::File(..)));
        let group = group.elements(note.map(|label| Level::NOTE.message(label)));
        group.elements(fault.help.as_ref().map(|help| Level::HELP.message(help)))
    }

    fn snippet<'a>(&'a self, fault: &'a Diagnostic) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let primary = self.range(&fault.location).map(|range| {
            let label = fault.label.as_deref();
            AnnotationKind::Primary.span(range).label(label)
        });
        let related = fault.related.as_ref().and_then(|(location, label)| {
            let range = self.range(location)?;
            Some(AnnotationKind::Context.span(range).label(&**label))
        });
        Snippet::source(&*self.text)
            .path(&*self.path)
            .annotations(primary.into_iter().chain(related))
    }

    /// Returns the range in the text, cut to its first line.
    fn range(&self, location: &Location) -> Option<Range<usize>> {
        let Location::File(start, end) = *location else {
            return None;
        };
        let start = self.text.floor_char_boundary(start);
        let end = self.text.floor_char_boundary(end).max(start);
        let line = self.text[start..end].lines().next().unwrap_or_default();
        Some(start..start + line.len())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let renderer = Renderer::plain();
        for fault in self.faults.iter().take(MAX_SHOWN) {
            writeln!(f, "{}\n", renderer.render(&[self.group(fault)]))?;
        }
        match self.faults.len() {
            1 => write!(f, "1 error"),
            count if count <= MAX_SHOWN => write!(f, "{count} errors"),
            count => write!(f, "{count} errors, of which the first {MAX_SHOWN} are shown"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// A warning about a valid configuration that may surprise its author. `Display` writes one line, `location: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    location: String,
    text: String,
}

impl Warning {
    pub(super) fn new(path: &str, source: &str, location: &Location, text: impl Into<String>) -> Self {
        let location = match location {
            Location::File(start, _) => {
                let start = source.floor_char_boundary(*start);
                let line = source[..start].matches('\n').count() + 1;
                format!("{path}:{line}")
            }
            Location::Document => path.into(),
            Location::EnvVar(name, _) => name.to_string(),
        };
        Self {
            location,
            text: text.into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.text)
    }
}

/// More faults than one person reads at once, and enough to show that the wrong file was given.
const MAX_SHOWN: usize = 100;
