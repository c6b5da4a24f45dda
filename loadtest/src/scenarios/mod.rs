//! What can be run.

pub mod replay;
pub mod resume;
