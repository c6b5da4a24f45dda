//! Events as single JSON documents, for clients that asked for `application/json`.

use std::borrow::Cow;

use serde_json::Value;

use super::{EventKind, Payload, encode::write_one_line};

/// Appends the JSON document of an event, made from its encoded `lines`, without the LF that ends the document's line.
///
/// A JSON value is its own document, an [`EventKind::Delete`] is `{"delete":{"key":...}}`, and raw text and base64 are
/// a JSON string, with LF between the lines of the text. [`EventKind::Skipped`] has no document and appends nothing.
///
/// ```
/// use riverhead::event::{EventKind, Payload, write_json};
///
/// let mut document = Vec::new();
/// write_json(Payload::Json, EventKind::Delete, b"data: {\"key\":\"a\"}\n", &mut document);
/// assert_eq!(document, br#"{"delete":{"key":"a"}}"#);
/// ```
pub fn write_json(payload: Payload, kind: EventKind, lines: &[u8], out: &mut Vec<u8>) {
    match (kind, payload) {
        (EventKind::Skipped, _) => {}
        (EventKind::Delete, _) => {
            out.extend_from_slice(b"{\"delete\":");
            out.extend_from_slice(&joined(lines));
            out.push(b'}');
        }
        (EventKind::Message, Payload::Json) => out.extend_from_slice(&joined(lines)),
        (EventKind::Message, Payload::Raw | Payload::Base64) => write_string(&joined(lines), out),
    }
}

/// Returns the JSON document in the only line of an [`EventKind::Message`] with a JSON payload, as clients get it.
pub fn json_document(lines: &[u8]) -> &[u8] {
    text_of(lines.strip_suffix(b"\n").unwrap_or(lines))
}

/// Returns the text of `data:` lines, borrowed if there is only one line.
fn joined(lines: &[u8]) -> Cow<'_, [u8]> {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let mut texts = lines.split(|byte| *byte == b'\n').map(text_of);
    let first = texts.next().unwrap_or_default();
    texts.fold(Cow::Borrowed(first), |mut joined, next| {
        joined.to_mut().push(b'\n');
        joined.to_mut().extend_from_slice(next);
        joined
    })
}

fn text_of(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"data: ").unwrap_or(line)
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    let string = Value::from(String::from_utf8_lossy(text)).to_string();
    write_one_line(&string, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Encoding, Record, Tombstones, encode};

    fn document(payload: Payload, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let encoding = Encoding {
            payload,
            tombstones: Tombstones::Delete,
        };
        let record = Record {
            key,
            ..Record::bare(0, value)
        };
        let mut lines = Vec::new();
        let kind = encode(encoding, &record, &mut lines).expect("a good value");
        let mut out = Vec::new();
        write_json(payload, kind, &lines, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn json_is_itself() {
        assert_eq!(
            document(Payload::Json, None, Some(b"{\"a\":\n 1.0}")),
            "{\"a\": 1.0}"
        );
    }

    #[test]
    fn bytes_are_a_string_of_their_base64() {
        assert_eq!(document(Payload::Base64, None, Some(b"\xff\n")), "\"/wo=\"");
    }

    #[test]
    fn a_tombstone_says_what_is_deleted() {
        assert_eq!(
            document(Payload::Raw, Some(b"k"), None),
            "{\"delete\":{\"key\":\"k\"}}"
        );
    }

    #[test]
    fn a_skipped_record_has_no_document() {
        let mut out = Vec::new();
        write_json(Payload::Json, EventKind::Skipped, b"", &mut out);
        assert_eq!(out, b"");
    }

    proptest! {
        #[test]
        fn text_is_one_line_and_reads_back(text in "(\\PC|[\r\n\0\u{85}\u{2028}\"\\\\]){0,40}") {
            let document = document(Payload::Raw, None, Some(text.as_bytes()));
            let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            prop_assert!(!document.contains(breaks));
            let expected = text.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(serde_json::from_str::<String>(&document).unwrap(), expected);
        }
    }
}
