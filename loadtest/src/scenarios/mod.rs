//! What can be run.

pub mod resume;
