//! A builder for a filter that is combined from several parameters of a query.

use super::{Filter, FilterError, canonical::canonical, expr::Expr, parse};

/// Conditions that an event must all meet. They are compiled once, when all are known.
#[derive(Debug, Default)]
pub struct FilterBuilder(Vec<Expr>);

impl FilterBuilder {
    /// Adds a filter.
    ///
    /// # Errors
    /// [`FilterError`], with the kind of error and its place in the text.
    pub fn parse(&mut self, text: &str) -> Result<(), FilterError> {
        self.0.push(parse::parse(text)?);
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
        self.0.push(parse::one_of(path, values)?);
        Ok(())
    }

    /// Compiles the conditions. Returns `None` if there are none.
    ///
    /// # Errors
    /// If they are more than one filter may have.
    pub fn compile(self) -> Result<Option<Filter>, FilterError> {
        let count = self.0.len();
        let expr = canonical(Expr::All(self.0));
        match count {
            0 => return Ok(None),
            1 => {}
            _ => parse::within_limits(&expr)?,
        }
        Ok(Some(Filter::of_canonical(expr)))
    }
}
