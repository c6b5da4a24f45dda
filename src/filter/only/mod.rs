//! Filters that are made of what is known of a client (claims), and that the client cannot leave out.
//!
//! A template is written as a filter is, with `$name` in place of a value. Claims enter the parsed expression as values, never as
//! text, so that no claim can change what the template means. A claim that is missing, or of a type that its test does not take,
//! makes the whole template false, whatever `not` or `or` stands around it.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::{Map, Value as Claim};

use super::{
    FilterError,
    claims::ClaimSource,
    expr::{EventField, Expr, FieldTest, Value},
    parse,
};
use crate::position::TextSlice;

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
    parse::parse_template(text, ClaimSource::Any(&RefCell::default())).map(drop)
}

/// Returns the names of the claims in a template that was checked. Of a claim inside an object it is the name of the object.
pub fn claims_of(text: &str) -> BTreeSet<String> {
    let names = RefCell::default();
    // It was checked.
    _ = parse::parse_template(text, ClaimSource::Any(&names));
    names.into_inner()
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
        self.parts
            .push((topics.into_iter().map(Box::from).collect(), only));
        Ok(())
    }

    /// Returns the condition of all streams together: what any of them passes of its own topics. Returns `None` if that is everything.
    pub(super) fn into_expr(self) -> Option<Expr> {
        let mut alike: Vec<(Vec<Box<str>>, Option<Expr>)> = Vec::new();
        for (topics, only) in self.parts {
            match alike.iter_mut().find(|(_, own)| *own == only) {
                Some((own, _)) => own.extend(topics),
                None => alike.push((topics, only)),
            }
        }
        if alike.len() <= 1 {
            // There are no other topics in the request.
            return alike.pop()?.1;
        }
        let parts = alike
            .into_iter()
            .map(|(topics, only)| (Self::of_topics(&topics), only));
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

#[cfg(test)]
mod tests;
