//! Writing the lines of an event stream.

use memchr::memchr2;

/// The first bytes of every stream. Clients of Wikimedia's EventStreams expect this comment, and without it proxies
/// would hold back a response head with an empty body in their buffers.
pub const PRELUDE: &[u8] = b":ok\n\n";

/// The heartbeat of an idle stream: one comment line, and **no** blank line. At a blank line three real clients emit an
/// empty event (sseclient, httpx-sse, fetch-event-source).
pub const HEARTBEAT: &[u8] = b":\n";

/// Appends `text`, which must not contain a line break, as one `data:` line.
pub fn data_line(out: &mut Vec<u8>, text: &str) {
    debug_assert!(memchr2(b'\r', b'\n', text.as_bytes()).is_none());
    write_line(out, text.as_bytes());
}

/// Appends `text` as `data:` lines. CR, LF and CRLF each begin a new line; the empty text is one empty line.
///
/// A client reads the same text back, with LF in place of each of these breaks.
///
/// ```
/// let mut lines = Vec::new();
/// riverhead::sse::data_lines(&mut lines, "a\r\nb");
/// assert_eq!(lines, b"data: a\ndata: b\n");
/// ```
pub fn data_lines(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(end) = memchr2(b'\r', b'\n', rest) {
        write_line(out, &rest[..end]);
        let crlf = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(crlf)..];
    }
    write_line(out, rest);
}

fn write_line(out: &mut Vec<u8>, line: &[u8]) {
    // Clients that read line by line look for exactly this prefix, also on an empty line.
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> String {
        let mut out = b"before\n".to_vec();
        data_lines(&mut out, text);
        String::from_utf8(out).unwrap().split_off(7)
    }

    #[test]
    fn every_kind_of_line_break_begins_a_line() {
        assert_eq!(lines("a\nb\rc\r\nd"), "data: a\ndata: b\ndata: c\ndata: d\n");
        assert_eq!(lines("\n\r\r\n"), "data: \ndata: \ndata: \ndata: \n");
    }

    #[test]
    fn text_without_a_break_is_one_line_also_when_empty() {
        assert_eq!(lines(""), "data: \n");
        assert_eq!(lines(" a: \u{2028}b"), "data:  a: \u{2028}b\n");
        let mut out = Vec::new();
        data_line(&mut out, "{}");
        assert_eq!(out, b"data: {}\n");
    }
}
