//! What is wrong with a filter.

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at column {column}")]
pub struct FilterError {
    /// The character at which it is wrong, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: FilterErrorKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterErrorKind {
    /// Something else should stand there.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A quote without its other one.
    #[error("this text is not closed")]
    Unclosed,
    /// A backslash before something else than a quote or a backslash.
    #[error("in a text, \\ stands before \" or \\ only")]
    BadEscape,
    /// It begins like a number and is none.
    #[error("this is not a number; put texts in quotes")]
    BadNumber,
    /// A number that no event has there.
    #[error("no event has this: it is a whole number from 0 to {0}")]
    NoSuchNumber(i64),
    /// Kafka says nothing by that name.
    #[error("unknown: there are @key, @header.NAME, @topic, @partition, @offset and @timestamp")]
    UnknownMetadata,
    /// More bytes than a filter may have.
    #[error("a filter has at most {0} bytes; this one goes on")]
    TooLong(usize),
    /// Nested deeper than a filter may be.
    #[error("nested deeper than {0}")]
    TooDeep(usize),
    /// More tests than a filter may have.
    #[error("more than {0} tests")]
    TooManyTests(usize),
    /// More values than a filter may have.
    #[error("more than {0} values")]
    TooManyValues(usize),
    /// A path of more names than are looked for.
    #[error("a path of more than {0} names")]
    PathTooLong(usize),
}
