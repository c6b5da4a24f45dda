//! What is known of a client, as values of a filter.
//!
//! Not here: the templates that name claims (`only`).

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::{Map, Number as ClaimNumber, Value as Claim};

use super::{
    expr::{Value, ValueSet},
    number::Number,
};
use crate::position::TextSlice;

/// Where the values behind `$` come from.
#[derive(Clone, Copy)]
pub(super) enum ClaimSource<'c> {
    /// There are none: `$name` is a word like any other.
    None,
    /// Any values will do, to check the template. The names are added to these.
    Any(&'c RefCell<BTreeSet<String>>),
    /// These.
    Claims(&'c Map<String, Claim>),
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

    /// Returns a value with which every test that is possible for some value is possible: `@offset < $n` is not for 0.
    fn example(self) -> Value {
        match self {
            Self::Any | Self::Text => Value::Text(TextSlice::from("x")),
            Self::Number => Value::Number(Number::Integer(1)),
        }
    }
}

/// Returns the value of a claim behind a sign or a comma. Returns `None` if it is missing, or if the test does not take it.
pub(super) fn single(source: ClaimSource<'_>, path: &[String], wanted: Wanted) -> Option<Value> {
    match source {
        ClaimSource::None => None,
        ClaimSource::Any(names) => Some(named(names, path, wanted)),
        ClaimSource::Claims(claims) => taken(find(claims, path)?, wanted),
    }
}

/// Returns the values of a claim behind `in`: those of an array, or the one. An array counts as missing if one of its elements
/// cannot be used, because nobody can tell what it was meant to be.
pub(super) fn list(source: ClaimSource<'_>, path: &[String], wanted: Wanted) -> Option<ValueSet> {
    let one = |value| ValueSet::from_iter([value]);
    match source {
        ClaimSource::None => None,
        ClaimSource::Any(names) => Some(one(named(names, path, wanted))),
        ClaimSource::Claims(claims) => match find(claims, path)? {
            Claim::Array(items) if (1..=MAX_ITEMS).contains(&items.len()) => {
                let values: Option<Vec<_>> = items.iter().map(|item| taken(item, wanted)).collect();
                values.map(ValueSet::from_iter)
            }
            claim => taken(claim, wanted).map(one),
        },
    }
}

/// Records the claim at this path, and returns a value that the test takes.
fn named(names: &RefCell<BTreeSet<String>>, path: &[String], wanted: Wanted) -> Value {
    names.borrow_mut().extend(path.first().cloned());
    wanted.example()
}

/// Returns the claim at this path: the name of a claim, and then those of fields of objects.
fn find<'c>(claims: &'c Map<String, Claim>, path: &[String]) -> Option<&'c Claim> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(claims.get(first)?, |claim, name| claim.as_object()?.get(name))
}

fn taken(claim: &Claim, wanted: Wanted) -> Option<Value> {
    value(claim).filter(|value| wanted.takes(value))
}

/// Returns a claim as a value, of the type that it has: the text "7" is not the number 7. What is empty or has parts is none.
fn value(claim: &Claim) -> Option<Value> {
    match claim {
        Claim::Bool(flag) => Some(Value::Bool(*flag)),
        Claim::Number(number) => exact(number).map(Value::Number),
        Claim::String(text) if !text.is_empty() => Some(Value::Text(text.as_str().into())),
        Claim::String(_) | Claim::Null | Claim::Array(_) | Claim::Object(_) => None,
    }
}

/// Returns a number, unless it may have been rounded when it was read: then it might be another one's.
fn exact(number: &ClaimNumber) -> Option<Number> {
    let is_rounded = number.is_f64() && number.as_f64().is_none_or(|value| value.abs() > LARGEST_EXACT);
    (!is_rounded).then(|| Number::parse(&number.to_string()))?
}

/// 2^53: up to here, and in no number beyond, a double is one whole number only.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The most elements of an array that are used: the most values that a filter of a client has.
const MAX_ITEMS: usize = 512;
