//! From a request to a body.

pub mod settings;
