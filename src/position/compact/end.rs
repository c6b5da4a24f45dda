//! The mark of an end in a compact id: one more topic, with a tag of its own and without partitions. The second mark is two of these.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{END_TAG, MARKER, read::split_restriction, write::write_varint};
use crate::position::EndMark;

/// Returns a compact id with the mark. Returns `None` if `id` is not one.
pub(crate) fn marked(id: &[u8], mark: EndMark) -> Option<Vec<u8>> {
    let (version, binary, restriction) = split_restriction(id).ok()?;
    let (restriction, binary) = binary.split_at(restriction);
    let (topics, rest) = split_head(binary)?;
    let mut marked = Vec::with_capacity(restriction.len() + binary.len() + MARK_BYTES);
    marked.extend_from_slice(restriction);
    // The lowest bit says whether the id has a cluster.
    let times = match mark {
        EndMark::First => 1,
        EndMark::Second => 2,
    };
    write_varint(topics.checked_add(2 * times)?, &mut marked);
    marked.extend_from_slice(rest);
    for _ in 0..times {
        marked.extend_from_slice(&END_TAG.to_be_bytes());
        write_varint(0, &mut marked);
    }
    let mut text = [MARKER, version].concat();
    text.extend_from_slice(URL_SAFE_NO_PAD.encode(&marked).as_bytes());
    Some(text)
}

/// Splits the varint off with which an id begins.
fn split_head(binary: &[u8]) -> Option<(u64, &[u8])> {
    let length = binary.iter().position(|byte| *byte < 0x80)? + 1;
    let (head, rest) = binary.split_at(length);
    let digits = head.iter().zip((0..u64::BITS).step_by(7));
    let value = digits.fold(0, |value, (byte, shift)| value | u64::from(byte & 0x7f) << shift);
    Some((value, rest))
}

/// How many bytes the mark takes at most: two tags, each with a varint of one byte, and one more byte for the number of topics.
const MARK_BYTES: usize = 11;
