//! Encoding a record's value, or a tombstone's key, as `data:` lines.

use std::str;

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::{memchr2, memchr2_iter};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Encoding, EventKind, Payload, Record, Tombstones};
use crate::{encoding::MAX_DEPTH, sse};

/// The size of the largest value that is sent, and of the largest key of a tombstone, in bytes.
///
/// Kafka's usual limit is 1 MiB and few raise it beyond 8 MiB. A large event is a batch of its own that many clients
/// may be reading at once, and the parsers of several clients take time quadratic in its length.
pub const MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;

/// The reason why a record cannot be sent. Only that record is skipped; it is counted, and logged with its coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncodeError {
    /// The value, or the key of a tombstone, is longer than [`MAX_VALUE_BYTES`].
    #[error("larger than 8 MiB")]
    TooLarge,
    /// The value is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The value is not exactly one JSON document, or it is a scalar or null.
    #[error("not a JSON object or array")]
    NotJson,
    /// The value is nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested deeper than 128")]
    TooDeep,
}

impl EncodeError {
    /// All variants, in order.
    pub const ALL: [Self; 4] = [Self::TooLarge, Self::NotUtf8, Self::NotJson, Self::TooDeep];

    /// Returns the error's label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::TooDeep => "too_deep",
        }
    }
}

/// Appends the `data:` lines of `record` to `out`.
///
/// The data of an [`EventKind::Delete`] is the record's key: `{"key":"..."}`, `{"key_base64":"..."}` if the key is not
/// UTF-8, and `{"key":null}` if there is none.
///
/// # Errors
/// Fails if the value is not what `encoding` says, or exceeds a limit. `out` is then unchanged.
pub fn encode(encoding: Encoding, record: &Record<'_>, out: &mut Vec<u8>) -> Result<EventKind, EncodeError> {
    let Some(value) = record.value else {
        return tombstone(encoding.tombstones, record.key, out);
    };
    check_size(value)?;
    match encoding.payload {
        Payload::Json => json(value, out)?,
        Payload::Raw => sse::data_lines(out, utf8(value)?),
        Payload::Base64 => base64_line(value, out),
    }
    Ok(EventKind::Message)
}

/// Appends `value` as one line of base64. It encodes in place: a large value is in memory often enough without another
/// copy.
fn base64_line(value: &[u8], out: &mut Vec<u8>) {
    const NAME: &[u8] = b"data: ";
    let length = value.len().div_ceil(3) * 4;
    out.reserve_exact(NAME.len() + length + 1);
    out.extend_from_slice(NAME);
    let from = out.len();
    out.resize(from + length, 0);
    // Cannot fail: the buffer has exactly the encoded length.
    let written = STANDARD.encode_slice(value, &mut out[from..]).unwrap_or(0);
    out.truncate(from + written);
    out.push(b'\n');
}

/// Appends a JSON document as clients get it: without line breaks, and with the characters escaped at which Python's
/// `str.splitlines` cuts. Two client libraries split by it.
///
/// `document` must be valid JSON: then CR and LF occur only between tokens, and the other characters only inside
/// strings.
pub(super) fn write_one_line(document: &str, out: &mut Vec<u8>) {
    let bytes = document.as_bytes();
    out.reserve(bytes.len());
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = position_of_a_line_break(&bytes[at..]) {
        at += found;
        let Some((length, replacement)) = line_break(&bytes[at..]) else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(replacement);
        at += length;
        copied = at;
    }
    out.extend_from_slice(&bytes[copied..]);
}

fn tombstone(
    tombstones: Tombstones,
    key: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<EventKind, EncodeError> {
    if tombstones == Tombstones::Skip {
        return Ok(EventKind::Skipped);
    }
    check_size(key.unwrap_or_default())?;
    let (name, key) = match key.map(|key| (key, str::from_utf8(key))) {
        None => ("key", Value::Null),
        Some((_, Ok(key))) => ("key", Value::from(key)),
        Some((key, Err(_))) => ("key_base64", Value::from(STANDARD.encode(key))),
    };
    write_data(&format!("{{\"{name}\":{key}}}"), out);
    Ok(EventKind::Delete)
}

/// Checks that a value is what an event of [`Payload::Json`] can be made of: one JSON object or array within the limits.
/// Returns its text.
///
/// # Errors
/// [`EncodeError`] with what is wrong.
pub fn check_document(value: &[u8]) -> Result<&str, EncodeError> {
    check_size(value)?;
    let text = utf8(value)?;
    check_json(text)?;
    Ok(text)
}

fn json(value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let text = check_document(value)?;
    write_data(text, out);
    Ok(())
}

fn write_data(document: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_one_line(document, out);
    out.push(b'\n');
}

fn check_size(bytes: &[u8]) -> Result<(), EncodeError> {
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(EncodeError::TooLarge);
    }
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&str, EncodeError> {
    str::from_utf8(bytes).map_err(|_| EncodeError::NotUtf8)
}

fn check_json(text: &str) -> Result<(), EncodeError> {
    let start = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if !start.starts_with(['{', '[']) {
        return Err(EncodeError::NotJson);
    }
    // serde_json skips a value without recursion at any depth, so this check may run before the depth is known.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| EncodeError::NotJson)?;
    // A cheap bound: nearly every document has too few brackets to be too deep.
    let brackets = memchr2_iter(b'{', b'[', text.as_bytes()).count();
    if brackets > MAX_DEPTH && depth(text.as_bytes()) > MAX_DEPTH {
        return Err(EncodeError::TooDeep);
    }
    Ok(())
}

/// Returns the nesting depth of a valid document.
fn depth(mut document: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    while let [byte, rest @ ..] = document {
        document = rest;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => document = behind_string(rest),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Returns the bytes after a string; its opening quote stands right before `bytes`.
fn behind_string(mut bytes: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', bytes) {
        if bytes[at] == b'"' {
            return &bytes[at + 1..];
        }
        bytes = bytes.get(at + 2..).unwrap_or_default();
    }
    &[]
}

/// Returns the length of the line break that `bytes` begin with, as clients may see it, and its replacement; `None` if
/// they begin with something else.
fn line_break(bytes: &[u8]) -> Option<(usize, &'static [u8])> {
    match bytes {
        [b'\r' | b'\n', ..] => Some((1, b"")),
        [0xc2, 0x85, ..] => Some((2, b"\\u0085")),
        [0xe2, 0x80, 0xa8, ..] => Some((3, b"\\u2028")),
        [0xe2, 0x80, 0xa9, ..] => Some((3, b"\\u2029")),
        _ => None,
    }
}

/// Returns the first index at which a [`line_break`] may begin.
fn position_of_a_line_break(bytes: &[u8]) -> Option<usize> {
    // Most events have none. The compiler vectorizes a loop without an early exit.
    let is_plain = |stretch: &[u8]| {
        !stretch
            .iter()
            .fold(false, |any, byte| any | may_begin_a_line_break(byte))
    };
    let plain = SCAN_CHUNK
        * bytes
            .chunks_exact(SCAN_CHUNK)
            .take_while(|stretch| is_plain(stretch))
            .count();
    bytes[plain..]
        .iter()
        .position(may_begin_a_line_break)
        .map(|at| plain + at)
}

/// Returns whether a [`line_break`] can begin with `byte`.
fn may_begin_a_line_break(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0xc2 | 0xe2)
}

/// The number of bytes tested together, in one vectorized loop.
const SCAN_CHUNK: usize = 64;

#[cfg(test)]
mod tests;
