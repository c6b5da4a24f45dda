//! From a record's value to `data:` lines.

use super::{Encoding, Kind, Record};

/// Why a record cannot be sent; it is counted, logged with its coordinates and skipped alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Not a JSON document.
    #[error("not a JSON object or array")]
    NotJson,
}

/// Appends the lines of `record` to `out`.
///
/// # Errors
/// When the value is not what `encoding` says; `out` is then as it was.
pub fn encode(_encoding: Encoding, _record: &Record<'_>, _out: &mut Vec<u8>) -> Result<Kind, Reject> {
    Err(Reject::NotJson)
}
