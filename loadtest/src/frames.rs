//! Frames and header blocks of HTTP/2, as the bytes of a client.

/// Encodes a frame (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes()[..], payload].concat()
}

/// Encodes a header block in HPACK: the pseudo-header fields of a GET, then `fields`, without the dynamic
/// table and without Huffman codes. `scheme` is [`HTTP`] or [`HTTPS`].
pub(crate) fn header_block(scheme: u8, authority: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    // Indexed `:method: GET` and `:scheme`; `:authority` and `:path` by their static names.
    let mut out = vec![0x82, scheme, 0x01];
    string(authority, &mut out);
    out.push(0x04);
    string(path, &mut out);
    for (name, value) in fields {
        out.extend(literal(name, value));
    }
    out
}

/// Encodes a field of a header block that is in no table.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    string(name, &mut out);
    string(value, &mut out);
    out
}

/// Encodes a string (RFC 7541, sections 5.1 and 5.2).
fn string(text: &str, out: &mut Vec<u8>) {
    let length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            out.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text.as_bytes());
}

/// What a client sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The indexed fields `:scheme: http` and `:scheme: https`.
pub(crate) const HTTP: u8 = 0x86;
pub(crate) const HTTPS: u8 = 0x87;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// The flag of a SETTINGS and of a PING that answer one. It has the bit of [`END_STREAM`].
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// The largest frame that every server accepts.
pub(crate) const MAX_FRAME: usize = 16_384;
