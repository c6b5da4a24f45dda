//! Parsing of the configuration file into a tree of nodes.

use toml_span::{Error, ErrorKind, Span};

use super::{
    Config,
    diagnostic::{Diagnostic, Location, quoted},
    node::Node,
};

/// Parses a TOML document. Returns the tree, as far as it can be read, and the syntax errors.
///
/// The parser stops at its first error. If that is one bad value or one duplicate key, its line is blanked and the rest is
/// parsed again, so that a forgotten quote does not hide the other faults.
pub(super) fn read(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let mut faults = Vec::new();
    if text.len() > Config::MAX_TEXT_BYTES {
        let title = format!(
            "expected a configuration of at most {} bytes, found more",
            Config::MAX_TEXT_BYTES
        );
        return (None, vec![Diagnostic::new(Location::Document, title)]);
    }
    let mut rest = text.to_owned();
    loop {
        let error = match toml_span::parse(&rest) {
            Ok(value) => return (Some(Node::of(&value, String::new(), &in_file)), faults),
            Err(error) => error,
        };
        faults.push(fault(&error));
        if faults.len() == MAX_ERRORS
            || !is_of_one_line(&error.kind)
            || !blank_line(&mut rest, error.span.start)
        {
            return (None, faults);
        }
    }
}

fn fault(error: &Error) -> Diagnostic {
    let fault = Diagnostic::new(in_file(error.span), message(error));
    match &error.kind {
        ErrorKind::DuplicateKey { first, .. } | ErrorKind::DuplicateTable { first, .. } => {
            fault.related(in_file(*first), "first here")
        }
        _ => fault,
    }
}

/// Describes a syntax error in a sentence.
pub(super) fn message(error: &Error) -> String {
    match &error.kind {
        ErrorKind::UnquotedString | ErrorKind::InvalidNumber => {
            "expected a number, true or false; strings must be quoted".into()
        }
        // The parser's own messages name the character, which may be part of a password.
        ErrorKind::InvalidCharInString(_) => "this character is not allowed in a string".into(),
        ErrorKind::InvalidEscape(_) | ErrorKind::InvalidHexEscape(_) | ErrorKind::InvalidEscapeValue(_) => {
            "unknown escape in a string; write a backslash as `\\\\`".into()
        }
        ErrorKind::Unexpected(_) => "unexpected character".into(),
        ErrorKind::DuplicateKey { key, .. } => format!("duplicate key: {}", quoted(key)),
        ErrorKind::DuplicateTable { name, .. } => format!("redefinition of table {}", quoted(name)),
        _ => error.to_string(),
    }
}

fn in_file(span: Span) -> Location {
    Location::File(span.start, span.end)
}

fn is_of_one_line(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnquotedString
            | ErrorKind::InvalidNumber
            | ErrorKind::DuplicateKey { .. }
            | ErrorKind::InvalidEscape(_)
            | ErrorKind::InvalidEscapeValue(_)
            | ErrorKind::InvalidHexEscape(_)
    )
}

/// Blanks the line. Returns `false` if it is empty or a table header: without the header, the lines below would belong to the
/// table before.
fn blank_line(text: &mut String, at: usize) -> bool {
    let at = text.floor_char_boundary(at);
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let line = text[start..end].trim_start();
    if line.is_empty() || line.starts_with('[') {
        return false;
    }
    text.replace_range(start..end, &" ".repeat(end - start));
    true
}

/// A file with more syntax errors is not a configuration.
const MAX_ERRORS: usize = 20;
