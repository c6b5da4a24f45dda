//! Any value: it is rejected and leaves nothing behind, or becomes lines from which a reader gets the same
//! value.
//!
//! The first byte of the input chooses the kind of the value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use riverhead::{
    event::{Encoding, Headers, EventKind, Payload, Record, Tombstones, encode, write_json},
    sse::SseReader,
};
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let [choice, value @ ..] = input else { return };
    let payload = match choice % 8 {
        0 => Payload::Raw,
        1 => Payload::Base64,
        _ => Payload::Json,
    };
    // 2 makes it a tombstone, with the input as key.
    let (key, value) = if choice % 8 == 2 {
        (Some(value), None)
    } else {
        (None, Some(value))
    };
    let record = Record {
        offset: 0,
        timestamp: 0,
        epoch: 0,
        key,
        headers: Headers::default(),
        value,
        canary: false,
    };
    let encoding = Encoding {
        payload,
        tombstones: Tombstones::Delete,
    };
    let mut lines = Vec::new();
    match encode(encoding, &record, &mut lines) {
        Ok(kind) => reads_back(payload, kind, value, &lines),
        Err(_) => assert!(lines.is_empty()),
    }
});

fn reads_back(payload: Payload, kind: EventKind, value: Option<&[u8]>, lines: &[u8]) {
    let data = data_of(lines);
    let mut document = Vec::new();
    write_json(payload, kind, lines, &mut document);
    let document = String::from_utf8(document).expect("UTF-8");
    assert!(!document.contains(['\r', '\n', '\u{85}', '\u{2028}', '\u{2029}']));
    match (payload, value) {
        (Payload::Json, Some(value)) => {
            assert_eq!(document, data);
            same_meaning(value, &data);
        }
        (_, Some(_)) => assert_eq!(serde_json::from_str::<String>(&document).expect("a string"), data),
        (_, None) => assert_eq!(document, format!("{{\"delete\":{data}}}")),
    }
}

/// Compares parsed values, if serde_json can parse them: it refuses 1e999 and lone surrogates, which are
/// accepted here.
fn same_meaning(value: &[u8], data: &str) {
    match serde_json::from_slice::<Value>(value) {
        Ok(before) => assert_eq!(before, serde_json::from_str::<Value>(data).expect("JSON")),
        Err(_) => assert!(serde_json::from_str::<Value>(data).is_err()),
    }
}

fn data_of(lines: &[u8]) -> String {
    let mut reader = SseReader::new(usize::MAX);
    reader.push(lines).expect("no limit");
    reader.push(b"\n").expect("no limit");
    let message = reader.next_message().expect("one event");
    assert_eq!(reader.next_message(), None);
    message.data
}
