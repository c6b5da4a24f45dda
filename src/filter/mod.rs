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
mod claims;
mod display;
mod error;
mod evaluate;
mod expr;
mod extract;
mod fields;
mod lex;
mod number;
mod only;
mod parse;
#[cfg(test)]
mod properties;
mod registry;
mod required;

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

pub use builder::FilterBuilder;
pub use error::{FilterError, FilterErrorKind};
pub use evaluate::FilterInput;
pub use expr::EventField;
pub use fields::fields_of_template;
pub use only::{MissingClaim, OnlyBuilder, check_template, claims_of};
pub use registry::{
    FieldsPermit, FilterPermit, FilterRegistry, MAX_FILTERS, MAX_FILTERS_PER_CLIENT, TooManyFilters,
};
pub use required::{EventKey, KeyFields, KeyReader, RequiredKeys};

use self::{
    canonical::canonical,
    evaluate::Program,
    expr::{ALLOCATION, Expr, ValueSet},
};

/// A compiled filter. Two filters with the same canonical form are equal.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    text: Arc<CanonicalText>,
    expr: Expr,
    program: Program,
    // Both on the heap, because most filters have neither, and two thousand filters have to fit into a small budget.
    required: Option<Box<RequiredKeys>>,
    /// `None` if the client has chosen all of the filter.
    restriction: Option<Box<Restriction>>,
}

/// What is known of a filter that the client has not chosen, or not all of it.
struct Restriction {
    /// The part that the client has chosen.
    chosen: Option<Arc<CanonicalText>>,
    /// The other part, if it tests headers. A client is sent what may be for it if that is its own choice, and what is certainly
    /// for it if it is not.
    header_tests: Option<Program>,
    /// The memory that both take, in bytes.
    bytes: usize,
}

/// The text of a canonical expression.
#[derive(Debug)]
struct CanonicalText {
    text: String,
    /// The hash of the text, computed once: a text may be long, and each request looks it up half a dozen times.
    hash: u64,
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
        let required = self
            .0
            .required
            .as_ref()
            .map_or(0, |it| it.bytes() + size_of::<RequiredKeys>());
        let restriction = self.0.restriction.as_ref();
        let restriction = restriction.map_or(0, |it| it.bytes + size_of::<Restriction>());
        size_of::<Compiled>() + text.bytes() + tests + texts + program.bytes() + required + restriction
    }

    /// Returns whether the filter accepts this event. If a part that the client has chosen tests headers that were not kept, the
    /// event is accepted, so that no client loses an event that it asked for. If another part does, it is not.
    pub fn accepts(&self, subject: &FilterInput<'_>) -> bool {
        let Compiled {
            program, restriction, ..
        } = &*self.0;
        #[cfg(test)]
        tests::count_evaluation();
        let header_tests = restriction.as_ref().and_then(|it| it.header_tests.as_ref());
        let header_tests = header_tests.filter(|_| !subject.headers.are_kept());
        program.accepts(subject, true) && header_tests.is_none_or(|program| program.accepts(subject, false))
    }

    /// Returns the values that an event must have to be accepted, by which filters can be found. Returns `None` if it accepts
    /// events with any values. If there are such values in what the client has not chosen, they are those: clients differ in
    /// them, whatever else they choose.
    pub fn required(&self) -> Option<&RequiredKeys> {
        self.0.required.as_deref()
    }

    /// Whether the client has not chosen all of it. How much it leaves out is not for the client then.
    pub fn is_restricted(&self) -> bool {
        self.0.restriction.is_some()
    }

    fn of(expr: Expr) -> Self {
        Self::of_canonical(canonical(expr))
    }

    /// Compiles a filter that the client has chosen.
    fn of_canonical(expr: Expr) -> Self {
        let required = RequiredKeys::of(&expr);
        Self::new(expr, required, None)
    }

    /// Compiles a filter of which the client has chosen one part at most.
    fn restricted(only: Expr, chosen: Option<Expr>) -> Self {
        let only = canonical(only);
        let restriction = Restriction::of(&only, chosen.as_ref());
        let required = RequiredKeys::of(&only);
        let expr = match chosen {
            None => only,
            Some(chosen) => canonical(Expr::All(vec![only, chosen])),
        };
        let required = required.or_else(|| RequiredKeys::of(&expr));
        Self::new(expr, required, Some(restriction))
    }

    fn new(expr: Expr, required: Option<RequiredKeys>, restriction: Option<Restriction>) -> Self {
        Self(Arc::new(Compiled {
            text: CanonicalText::of(&expr),
            program: Program::of(&expr),
            expr,
            required: required.map(Box::new),
            restriction: restriction.map(Box::new),
        }))
    }

    /// Returns what the client has chosen. Returns `None` if that is nothing.
    fn chosen(&self) -> Option<&Arc<CanonicalText>> {
        match &self.0.restriction {
            None => Some(&self.0.text),
            Some(restriction) => restriction.chosen.as_ref(),
        }
    }
}

impl Restriction {
    fn of(only: &Expr, chosen: Option<&Expr>) -> Self {
        let chosen = chosen.map(CanonicalText::of);
        let header_tests = only.tests_headers().then(|| Program::of(only));
        let of_tests = |program: &Program| program.bytes() + only.bytes(|_| 0);
        Self {
            bytes: chosen.as_ref().map_or(0, |chosen| chosen.bytes())
                + header_tests.as_ref().map_or(0, of_tests),
            chosen,
            header_tests,
        }
    }
}

impl CanonicalText {
    fn of(expr: &Expr) -> Arc<Self> {
        let text = expr.text();
        let hash = KEYS.hash_one(&text);
        Arc::new(Self { text, hash })
    }

    /// Returns the memory it takes, in bytes. The text may have grown to twice its length while it was written.
    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.text.len() + ALLOCATION
    }
}

impl PartialEq for CanonicalText {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for CanonicalText {}

impl Hash for CanonicalText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl fmt::Display for Filter {
    /// Writes the canonical text, which compiles to the same filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        // The same text may be chosen by one client, and forced on another one.
        self.0.text == other.0.text
            && self.is_restricted() == other.is_restricted()
            && self.chosen() == other.chosen()
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// The keys of the hashes. They are random, because strangers write filters.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    thread_local! {
        static EVALUATIONS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count_evaluation() {
        EVALUATIONS.set(EVALUATIONS.get() + 1);
    }

    /// Returns how many filters were evaluated for an event in this thread so far.
    pub(crate) fn evaluations() -> u64 {
        EVALUATIONS.get()
    }
}
