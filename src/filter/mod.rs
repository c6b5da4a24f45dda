//! Filters: a small language for the events that a client wants.
//!
//! A filter is compiled once, to a canonical form, so that clients with equivalent filters share a lane.
//!
//! ```text
//! wiki = "enwiki" and type in (edit, new) and not bot = true
//! length.new > 10000 or title prefix "User:" or exists log_id
//! @topic prefix "eqiad." and @key = "Q42" and @header.source != test
//! ```
//!
//! A bare path is a field of the event's JSON. `@key`, `@header.NAME`, `@topic`, `@partition`, `@offset` and `@timestamp` (ms)
//! are Kafka's metadata. A test of a missing value, or of one of another type, is false. Everything is bounded, because
//! strangers write filters, and a filter is evaluated for every event.
//!
//! ```
//! use riverhead::{
//!     event::Headers,
//!     filter::{Filter, FilterInput},
//! };
//!
//! let filter = Filter::parse(r#"wiki = "enwiki" and not bot = true"#)?;
//! let same = Filter::parse("not (bot = true) and wiki = enwiki")?;
//! assert_eq!(filter, same, "clients with either share a lane");
//!
//! let of_person = FilterInput {
//!     topic: "eqiad.edits",
//!     partition: 0,
//!     offset: 42,
//!     timestamp: 1_790_487_705_415,
//!     key: None,
//!     headers: Headers::default(),
//!     document: Some(br#"{"wiki": "enwiki", "bot": false}"#),
//! };
//! let of_bot = FilterInput { document: Some(br#"{"wiki": "enwiki", "bot": true}"#), ..of_person };
//! assert!(filter.accepts(&of_person) && !filter.accepts(&of_bot));
//! # Ok::<(), riverhead::filter::FilterError>(())
//! ```

mod builder;
mod canonical;
mod display;
mod error;
mod evaluate;
mod expr;
mod extract;
mod lex;
mod number;
mod parse;
#[cfg(test)]
mod properties;
mod registry;

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

pub use builder::FilterBuilder;
pub use error::{FilterError, FilterErrorKind};
pub use evaluate::FilterInput;
pub use registry::{FilterPermit, FilterRegistry, MAX_FILTERS, MAX_FILTERS_PER_CLIENT, TooManyFilters};

use self::{
    canonical::canonical,
    evaluate::Program,
    expr::{ALLOCATION, Expr, ValueSet},
};

/// A compiled filter. Two filters with the same canonical form are equal.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    text: String,
    /// The hash of the text, computed once: a text may be long, and each request looks it up half a dozen times.
    hash: u64,
    expr: Expr,
    program: Program,
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// [`FilterError`], with the kind of error and its place in the text.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self::of(parse::parse(text)?))
    }

    /// Returns the memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let Compiled {
            text, expr, program, ..
        } = &*self.0;
        // The program repeats the expression's tests, except for the values that they share, and has the paths as a tree.
        let tests = expr.bytes(ValueSet::bytes) + expr.bytes(|_| 0);
        let mut texts = Vec::new();
        expr.add_shared_texts(&mut texts);
        let texts: usize = texts.iter().map(|text| text.len() + ALLOCATION).sum();
        size_of::<Compiled>() + 2 * text.len() + tests + texts + program.bytes()
    }

    /// Returns whether the filter accepts this event.
    pub fn accepts(&self, subject: &FilterInput<'_>) -> bool {
        self.0.program.accepts(subject)
    }

    fn of(expr: Expr) -> Self {
        Self::of_canonical(canonical(expr))
    }

    fn of_canonical(expr: Expr) -> Self {
        let text = expr.text();
        Self(Arc::new(Compiled {
            hash: KEYS.hash_one(&text),
            text,
            program: Program::of(&expr),
            expr,
        }))
    }
}

impl fmt::Display for Filter {
    /// Writes the canonical text, which compiles to the same filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

/// The keys of the hashes. They are random, because strangers write filters.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
