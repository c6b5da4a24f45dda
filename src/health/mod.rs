//! Cells that others write and `http` reads.
//!
//! Not here: deciding what a value means for an operator, or how it is shown (`http::admin`).

mod readiness;

pub use readiness::Readiness;
