//! A parsed expression with what is known of it before any event: that none can pass it, or that each does.
//!
//! A filter that rejects every event is a mistake, and is refused. A test that no event can pass is none where another one may
//! pass, as in `a = 1 or @offset = 1.5`.

use super::{Expr, FilterError};

pub(super) struct ParsedExpr {
    expr: Expr,
    /// The error if no event can pass.
    never: Option<FilterError>,
    /// The error in what is negated, if each event passes because of it.
    always: Option<FilterError>,
}

impl From<Expr> for ParsedExpr {
    fn from(expr: Expr) -> Self {
        Self::test(expr, None)
    }
}

impl ParsedExpr {
    /// Returns a test, which no event can pass if there is an error.
    pub(super) fn test(expr: Expr, never: Option<FilterError>) -> Self {
        Self {
            expr,
            never,
            always: None,
        }
    }

    pub(super) fn any(parts: Vec<Self>) -> Self {
        Self {
            never: error_of_all(parts.iter().map(|part| &part.never)),
            always: parts.iter().find_map(|part| part.always.clone()),
            expr: Expr::Any(parts.into_iter().map(|part| part.expr).collect()),
        }
    }

    pub(super) fn all(parts: Vec<Self>) -> Self {
        Self {
            never: parts.iter().find_map(|part| part.never.clone()),
            always: error_of_all(parts.iter().map(|part| &part.always)),
            expr: Expr::All(parts.into_iter().map(|part| part.expr).collect()),
        }
    }

    pub(super) fn not(inner: Self) -> Self {
        Self {
            never: inner.always,
            always: inner.never,
            expr: Expr::Not(Box::new(inner.expr)),
        }
    }

    /// Returns the expression.
    ///
    /// # Errors
    /// If no event can pass it.
    pub(super) fn into_possible(self) -> Result<Expr, FilterError> {
        match self.never {
            Some(error) => Err(error),
            None => Ok(self.expr),
        }
    }
}

/// Returns the first error if every part has one.
fn error_of_all<'e>(errors: impl Iterator<Item = &'e Option<FilterError>>) -> Option<FilterError> {
    let errors: Option<Vec<_>> = errors.map(Option::as_ref).collect();
    errors?.into_iter().next().cloned()
}
