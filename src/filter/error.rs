//! The errors of filters.

/// The error of a filter, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at column {column}")]
pub struct FilterError {
    /// The character at which the filter is wrong, counted from 1.
    pub column: usize,
    /// The kind of error.
    pub fault: FilterErrorKind,
}

/// The kind of error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterErrorKind {
    /// Another token is expected here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A quote is not closed.
    #[error("unclosed quote")]
    Unclosed,
    /// A backslash is followed by something other than a quote or a backslash.
    #[error("invalid escape (allowed are \\\" and \\\\)")]
    BadEscape,
    /// A word begins like a number and is none.
    #[error("invalid number (put it in quotes if it is a text)")]
    BadNumber,
    /// No event has this number in the field, whose largest is given.
    #[error("test that no event can pass (the field is a whole number from 0 to {0})")]
    NoSuchNumber(i64),
    /// What `$name` stands for is missing, or has a type that the test does not take.
    #[error("a claim that is missing or of another type")]
    MissingClaim,
    /// Kafka has no metadata of this name.
    #[error("unknown metadata (expected @key, @header.NAME, @topic, @partition, @offset or @timestamp)")]
    UnknownMetadata,
    /// The filter is longer than this many bytes.
    #[error("the filter exceeds {0} bytes")]
    TooLong(usize),
    /// The filter is nested deeper than this.
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// The filter has more tests than this.
    #[error("more than {0} tests")]
    TooManyTests(usize),
    /// The filter has more values than this.
    #[error("more than {0} values")]
    TooManyValues(usize),
    /// A path has more names than this.
    #[error("a path of more than {0} names")]
    PathTooLong(usize),
}
