//! The methods of the routes that only read.

/// The value of the header `Allow`, written as EventStreams writes it.
pub(in crate::http) const ALLOWED_METHODS: &str = "GET,HEAD";
