//! HTTP/2 of one of many clients: a connection with one stream, whose windows are never used up.

use std::{io, net::SocketAddr};

use crate::{
    ask::Ask,
    frames::{
        ACK, DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, HTTPS, PADDED, PING, PREFACE, RESET, SETTINGS,
        WINDOW, frame, header_block,
    },
};

/// Takes the body of the only stream out of its frames.
#[derive(Debug, Default)]
pub(super) struct Http2Framing {
    /// The received part of the next frame.
    carry: Vec<u8>,
    /// Whether the response head has come, with the status 200.
    has_head: bool,
}

/// Returns what a client sends first: its settings, and the request.
pub(super) fn opening(server: SocketAddr, ask: &Ask) -> Vec<u8> {
    let window = (MAX_WINDOW - INITIAL_WINDOW).to_be_bytes();
    let stream_window = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &MAX_WINDOW.to_be_bytes()].concat();
    let id = ask
        .last_event_id
        .as_deref()
        .map(|id| ("last-event-id".to_owned(), id));
    let lines = ask.headers.iter().filter_map(|line| line.split_once(": "));
    let lines = lines.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let fields: Vec<(String, &str)> = id.into_iter().chain(lines).collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let request = header_block(HTTPS, &server.to_string(), &ask.target, &fields);
    [
        PREFACE,
        &frame(SETTINGS, 0, 0, &stream_window),
        &frame(WINDOW, 0, 0, &window),
        &frame(HEADERS, END_STREAM | END_HEADERS, STREAM, &request),
    ]
    .concat()
}

impl Http2Framing {
    /// Returns whether the response head has come.
    pub(super) fn has_head(&self) -> bool {
        self.has_head
    }

    /// Takes what was received. Returns the part of the body in it, and what is to be answered.
    ///
    /// # Errors
    /// If the status is not 200, or the stream or the connection ends.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        self.carry.extend_from_slice(bytes);
        let (mut body, mut answer, mut taken) = (Vec::new(), Vec::new(), 0);
        while let Some((head, rest)) = self.carry[taken..].split_first_chunk::<FRAME_HEAD>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some(payload) = rest.get(..length) else { break };
            let (kind, flags) = (head[3], head[4]);
            taken += FRAME_HEAD + length;
            match kind {
                SETTINGS if flags & ACK == 0 => answer.extend(frame(SETTINGS, ACK, 0, &[])),
                PING if flags & ACK == 0 => answer.extend(frame(PING, ACK, 0, payload)),
                HEADERS if is_ok(unpadded(flags, payload)?) => self.has_head = true,
                DATA => body.extend_from_slice(unpadded(flags, payload)?),
                HEADERS | RESET | GO_AWAY => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
            if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.carry.drain(..taken);
        Ok((body, answer))
    }
}

/// Returns the payload without its padding.
fn unpadded(flags: u8, payload: &[u8]) -> io::Result<&[u8]> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    let unpadded = payload.split_first().and_then(|(padding, rest)| {
        let length = rest.len().checked_sub(usize::from(*padding))?;
        rest.get(..length)
    });
    unpadded.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Returns whether a header block begins with the indexed field `:status: 200`, which every server uses. Changes of the
/// table's size may stand before it (RFC 7541, section 6.3).
fn is_ok(block: &[u8]) -> bool {
    block.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88)
}

/// The only stream.
const STREAM: u32 = 1;

/// The length of a frame's head.
const FRAME_HEAD: usize = 9;

/// The setting of a stream's window.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The largest window. A client gets fewer bytes than that in a run, so it never has to enlarge one.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The window of a connection before it is enlarged.
const INITIAL_WINDOW: u32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_comes_out_of_its_frames_wherever_they_are_cut() {
        let wire = [
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, STREAM, &[0x20, 0x88, 0x76]),
            frame(DATA, 0, STREAM, b"hel"),
            frame(PING, 0, 0, b"12345678"),
            frame(DATA, PADDED, STREAM, b"\x02lo##"),
        ]
        .concat();
        let expected = [frame(SETTINGS, ACK, 0, &[]), frame(PING, ACK, 0, b"12345678")].concat();
        for cut in 0..wire.len() {
            let mut framing = Http2Framing::default();
            let (head, tail) = wire.split_at(cut);
            let (first, answered) = framing.take(head).unwrap();
            let (second, answer) = framing.take(tail).unwrap();
            assert!(framing.has_head());
            assert_eq!([first, second].concat(), b"hello", "cut at {cut}");
            assert_eq!([answered, answer].concat(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn refusals_and_ends_are_noticed() {
        let refused = frame(HEADERS, END_HEADERS, STREAM, &[0x8d]);
        let ended = frame(DATA, END_STREAM, STREAM, b"bye");
        let reset = frame(RESET, 0, STREAM, &[0; 4]);
        for wire in [refused, ended, reset] {
            assert!(Http2Framing::default().take(&wire).is_err(), "{wire:?}");
        }
    }
}
