//! Filters that are made of what is known of a client (claims), and that the client cannot leave out.
//!
//! A template is written as a filter is, with `$name` in place of a value. Claims enter the parsed expression as values, never as
//! text, so that no claim can change what the template means. A claim that is missing, or of a type that its test does not take,
//! makes the whole template false, whatever `not` or `or` stands around it.

use serde_json::{Map, Value as Claim};

use super::{
    FilterError,
    expr::{EventField, Expr, FieldTest, Value, ValueSet},
    number::Number,
    parse,
};
use crate::position::TextSlice;

/// Where the values behind `$` come from.
#[derive(Clone, Copy)]
pub(super) enum ClaimSource<'c> {
    /// There are none: `$name` is a word like any other.
    None,
    /// Any values will do, to check the template.
    Any,
    /// These.
    Claims(&'c Map<String, Claim>),
}

/// The value behind a `$` cannot be used, so the template is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingClaim;

/// The conditions of some streams, each with the topics that it is for.
#[derive(Debug, Default)]
pub struct OnlyBuilder {
    parts: Vec<(Vec<Box<str>>, Option<Expr>)>,
}

/// Checks a template.
///
/// # Errors
/// [`FilterError`], with the kind of error and its place in the text.
pub fn check_template(text: &str) -> Result<(), FilterError> {
    parse::parse_template(text, ClaimSource::Any).map(drop)
}

impl OnlyBuilder {
    /// Adds a stream with these topics, which passes what its template passes with these claims. Without a template it passes
    /// everything.
    ///
    /// # Errors
    /// [`MissingClaim`] if the template is false with these claims.
    pub fn stream<'t>(
        &mut self,
        topics: impl IntoIterator<Item = &'t str>,
        template: Option<&str>,
        claims: &Map<String, Claim>,
    ) -> Result<(), MissingClaim> {
        let bind = |text| parse::parse_template(text, ClaimSource::Claims(claims));
        // The template was checked when it was configured: what is wrong now is wrong with the claims.
        let only = template.map(bind).transpose().map_err(|_| MissingClaim)?;
        self.parts.push((topics.into_iter().map(Box::from).collect(), only));
        Ok(())
    }

    /// Returns the condition of all streams together: what any of them passes of its own topics. Returns `None` if that is everything.
    pub(super) fn into_expr(self) -> Option<Expr> {
        if self.parts.iter().all(|(_, only)| only.is_none()) {
            return None;
        }
        let mut parts = self.parts.into_iter().map(|(topics, only)| (Self::of_topics(&topics), only));
        if parts.len() == 1 {
            return parts.next()?.1;
        }
        let parts = parts.map(|(topics, only)| match only {
            Some(only) => Expr::All(vec![topics, only]),
            None => topics,
        });
        Some(Expr::Any(parts.collect()))
    }

    fn of_topics(topics: &[Box<str>]) -> Expr {
        let names = topics.iter().map(|topic| Value::Text(TextSlice::from(&**topic)));
        Expr::FieldTest(EventField::Topic, FieldTest::In(names.collect()))
    }
}

/// Returns the value of a claim behind a sign or a comma.
pub(super) fn single(source: ClaimSource<'_>, path: &[String], wanted: Wanted) -> Option<Value> {
    match source {
        ClaimSource::None => None,
        ClaimSource::Any => Some(wanted.example()),
        ClaimSource::Claims(claims) => value(find(claims, path)?).filter(|value| wanted.takes(value)),
    }
}

/// Returns the values of a claim behind `in`: those of an array, or the one.
pub(super) fn list(source: ClaimSource<'_>, path: &[String], wanted: Wanted) -> Option<ValueSet> {
    let one = |value| ValueSet::from_iter([value]);
    match source {
        ClaimSource::None => None,
        ClaimSource::Any => Some(one(wanted.example())),
        ClaimSource::Claims(claims) => match find(claims, path)? {
            Claim::Array(items) if (1..=MAX_ITEMS).contains(&items.len()) => {
                let values = items.iter().map(|item| value(item).filter(|value| wanted.takes(value)));
                values.collect::<Option<Vec<_>>>().map(ValueSet::from_iter)
            }
            claim => value(claim).filter(|value| wanted.takes(value)).map(one),
        },
    }
}

/// The values that a test takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Text,
    Number,
}

impl Wanted {
    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => matches!(value, Value::Text(_)),
            Self::Number => matches!(value, Value::Number(_)),
        }
    }

    fn example(self) -> Value {
        match self {
            Self::Any | Self::Text => Value::Text(TextSlice::from("x")),
            Self::Number => Value::Number(Number::Integer(0)),
        }
    }
}

/// Returns the claim at this path: the name of a claim, and then those of fields of objects.
fn find<'c>(claims: &'c Map<String, Claim>, path: &[String]) -> Option<&'c Claim> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |claim, name| claim.as_object()?.get(name))
}

/// Returns a claim as a value, of the type that it has: the text "7" is not the number 7. What is empty or has parts is none.
fn value(claim: &Claim) -> Option<Value> {
    match claim {
        Claim::Bool(flag) => Some(Value::Bool(*flag)),
        Claim::Number(number) => Number::parse(&number.to_string()).map(Value::Number),
        Claim::String(text) if !text.is_empty() => Some(Value::Text(text.as_str().into())),
        Claim::String(_) | Claim::Null | Claim::Array(_) | Claim::Object(_) => None,
    }
}

/// The most elements of an array that are used: the most values that a filter of a client has.
const MAX_ITEMS: usize = 512;
