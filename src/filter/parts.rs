//! A filter that is put together from what a query asks for here and there.

use super::{Filter, FilterError, canonical::canonical, parse, values::Expr};

/// What events must all be. It is compiled once, when all of it is known.
#[derive(Debug, Default)]
pub struct FilterBuilder(Vec<Expr>);

impl FilterBuilder {
    /// Adds a filter.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(&mut self, text: &str) -> Result<(), FilterError> {
        self.0.push(parse::parse(text)?);
        Ok(())
    }

    /// Adds that a field is one of these values; `path` as a filter has it. A value stands for the text and, if it looks like
    /// one, for the number or the truth value: who writes `?namespace=0` cannot say which.
    ///
    /// # Errors
    /// When there are more of them than a filter may have.
    pub fn one_of<'v>(
        &mut self,
        path: &str,
        values: impl Iterator<Item = &'v str>,
    ) -> Result<(), FilterError> {
        self.0.push(parse::one_of(path, values)?);
        Ok(())
    }

    /// Compiles what was added; `None` if that is nothing.
    ///
    /// # Errors
    /// When it is too much for one filter.
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
