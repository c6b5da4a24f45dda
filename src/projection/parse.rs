//! The text of a projection: paths separated by commas, names within a path by dots, as in filters.

use super::{FieldTree, Projection};

/// Why a text is no projection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// A name is missing: at the start, at the end, or between two separators.
    #[error("expected the name of a field at column {0}")]
    NoName(usize),
    /// A character that only a name in quotes can have.
    #[error("unexpected {0:?} at column {1}; put a name that is not a single word in double quotes")]
    Unexpected(char, usize),
    /// A quote is not closed.
    #[error("unclosed quote at column {0}")]
    Unclosed(usize),
    /// A backslash is followed by something other than a quote or a backslash.
    #[error("invalid escape (allowed are \\\" and \\\\) at column {0}")]
    BadEscape(usize),
    /// The text is longer than `MAX_TEXT` bytes.
    #[error("the fields are longer than {MAX_TEXT} bytes")]
    TooLong,
    /// There are more than `MAX_PATHS` paths.
    #[error("more than {MAX_PATHS} fields")]
    TooMany,
    /// A path has more than `MAX_NAMES` names.
    #[error("a field of more than {MAX_NAMES} names")]
    TooDeep,
}

impl Projection {
    /// Parses a list of paths such as `title,user,meta.domain`. Spaces around names are ignored.
    ///
    /// # Errors
    /// [`ProjectionError`] if it is none. An empty text is none: a client that wants no field wants no event.
    pub fn parse(text: &str) -> Result<Self, ProjectionError> {
        if text.len() > MAX_TEXT {
            return Err(ProjectionError::TooLong);
        }
        let mut reader = Reader { text, at: 0 };
        let mut tree = FieldTree::Members(Vec::new());
        for _ in 0..MAX_PATHS {
            tree.add(&reader.path()?);
            match reader.next() {
                Some(',') => {}
                Some(other) => return Err(ProjectionError::Unexpected(other, reader.column() - 1)),
                None => return Ok(Self(tree)),
            }
        }
        Err(ProjectionError::TooMany)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// Reads a path, and the spaces behind it.
    fn path(&mut self) -> Result<Vec<Box<str>>, ProjectionError> {
        let mut names = Vec::new();
        loop {
            self.skip_spaces();
            names.push(self.name()?);
            self.skip_spaces();
            if names.len() > MAX_NAMES {
                return Err(ProjectionError::TooDeep);
            }
            if self.rest().starts_with('.') {
                self.next();
            } else {
                return Ok(names);
            }
        }
    }

    fn name(&mut self) -> Result<Box<str>, ProjectionError> {
        if self.rest().starts_with('"') {
            return self.quoted_name();
        }
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())];
        match (word, rest.chars().next()) {
            ("", None | Some(',' | '.')) => Err(ProjectionError::NoName(self.column())),
            ("", Some(other)) => Err(ProjectionError::Unexpected(other, self.column())),
            _ => {
                let name = Box::from(word);
                self.at += word.len();
                Ok(name)
            }
        }
    }

    fn quoted_name(&mut self) -> Result<Box<str>, ProjectionError> {
        let begin = self.column();
        self.next();
        let mut name = String::new();
        loop {
            match self.next().ok_or(ProjectionError::Unclosed(begin))? {
                '"' => return Ok(name.into()),
                '\\' => match self.next() {
                    Some(escaped @ ('"' | '\\')) => name.push(escaped),
                    _ => return Err(ProjectionError::BadEscape(self.column() - 1)),
                },
                other => name.push(other),
            }
        }
    }

    fn skip_spaces(&mut self) {
        while self.rest().starts_with(' ') {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Returns the place of the next character, counted from 1.
    fn column(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }
}

/// Returns a name as it stands in a projection: in quotes unless it is a word.
pub(super) fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(is_of_word) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a name outside of quotes can have this character. These are the words of filters.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "_-$@:/".contains(c)
}

/// The longest text, in bytes: that of a filter.
const MAX_TEXT: usize = 4096;

/// The most paths: as many as a filter has tests.
const MAX_PATHS: usize = 64;

/// The most names of a path: as in filters.
const MAX_NAMES: usize = 16;
