//! A builder for a filter that is combined from several parameters of a query.

use super::{Filter, FilterError, canonical::canonical, expr::Expr, only::OnlyBuilder, parse};

/// Conditions that an event must all meet. They are compiled once, when all are known.
#[derive(Debug, Default)]
pub struct FilterBuilder {
    parts: Vec<Expr>,
    /// What the client has not chosen.
    only: Option<Expr>,
}

impl FilterBuilder {
    /// Adds a filter.
    ///
    /// # Errors
    /// [`FilterError`], with the kind of error and its place in the text.
    pub fn parse(&mut self, text: &str) -> Result<(), FilterError> {
        self.parts.push(parse::parse(text)?);
        Ok(())
    }

    /// Adds the condition that a field has one of these values. `path` is written as in a filter. A value stands for the text
    /// and, if it looks like one, for the number or the truth value, because `?namespace=0` cannot tell which is meant.
    ///
    /// # Errors
    /// If there are more values than a filter may have.
    pub fn one_of<'v>(
        &mut self,
        path: &str,
        values: impl Iterator<Item = &'v str>,
    ) -> Result<(), FilterError> {
        self.parts.push(parse::one_of(path, values)?);
        Ok(())
    }

    /// Adds a condition that the client has not chosen.
    pub fn only(&mut self, only: OnlyBuilder) {
        self.only = only.into_expr();
    }

    /// Compiles the conditions. Returns `None` if there are none.
    ///
    /// # Errors
    /// If those that the client has chosen are more than one filter may have.
    pub fn compile(self) -> Result<Option<Filter>, FilterError> {
        let count = self.parts.len();
        let chosen = canonical(Expr::All(self.parts));
        if count > 1 {
            parse::within_limits(&chosen)?;
        }
        Ok(match (self.only, count) {
            (None, 0) => None,
            (None, _) => Some(Filter::of_canonical(chosen)),
            (Some(only), 0) => Some(Filter::restricted(only, None)),
            (Some(only), _) => Some(Filter::restricted(only, Some(chosen))),
        })
    }
}
