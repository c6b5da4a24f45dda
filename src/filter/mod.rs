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

mod builder;
mod canonical;
mod claims;
mod display;
mod error;
mod evaluate;
mod expr;
mod extract;
mod lex;
mod number;
mod only;
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
pub use only::{MissingClaim, OnlyBuilder, check_template, claims_of};
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
    origin: FilterOrigin,
}

/// Who has chosen a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterOrigin {
    /// The client.
    Client,
    /// The configuration, with what is known of the client.
    Operator,
    /// Both: events must pass what either of them has chosen.
    Both,
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
        Self::of_canonical(canonical(expr), FilterOrigin::Client)
    }

    /// Whether the client has not chosen all of it. How much it leaves out is not for the client then.
    pub fn is_restricted(&self) -> bool {
        self.0.origin != FilterOrigin::Client
    }

    fn of_canonical(expr: Expr, origin: FilterOrigin) -> Self {
        let text = expr.text();
        Self(Arc::new(Compiled {
            hash: KEYS.hash_one(&text),
            text,
            program: Program::of(&expr),
            expr,
            origin,
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
        self.0.text == other.0.text && self.0.origin == other.0.origin
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
