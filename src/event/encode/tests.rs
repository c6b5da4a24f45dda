use proptest::{collection, prelude::*};

use super::*;

fn encoded(payload: Payload, value: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let encoding = Encoding {
        payload,
        tombstones: Tombstones::Skip,
    };
    let mut out = b"before".to_vec();
    let result = encode(encoding, &record(None, Some(value)), &mut out);
    let lines = out.split_off(6);
    match result {
        Ok(kind) => assert_eq!(kind, EventKind::Message),
        Err(_) => assert_eq!(lines, b"", "a rejected value left something behind"),
    }
    result.map(|_| lines)
}

fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Record<'a> {
    Record {
        key,
        ..Record::bare(7, value)
    }
}

fn json(value: impl AsRef<[u8]>) -> Result<String, EncodeError> {
    encoded(Payload::Json, value.as_ref()).map(|lines| String::from_utf8(lines).unwrap())
}

#[test]
fn json_passes_unchanged() {
    let value = r#" { "b" : 1.0, "a":[ 12345678901234567890123, 1e999, "\u00e9é\ud800\n", {} ] , "a":null}	"#;
    assert_eq!(json(value), Ok(format!("data: {value}\n")));
    assert_eq!(json("[]").as_deref(), Ok("data: []\n"));
}

#[test]
fn line_breaks_between_tokens_are_dropped() {
    assert_eq!(
        json("\r\n{\n\t\"a\":\r1\r\n}\n").as_deref(),
        Ok("data: {\t\"a\":1}\n")
    );
}

#[test]
fn what_python_takes_for_a_line_break_is_escaped_and_its_neighbours_are_not() {
    let value = "[\"\u{85}\u{2028}\u{2029}\u{84}\u{86}\u{2027}\u{202a}\u{2085}é€\"]";
    let expected = "data: [\"\\u0085\\u2028\\u2029\u{84}\u{86}\u{2027}\u{202a}\u{2085}é€\"]\n";
    assert_eq!(json(value).as_deref(), Ok(expected));
}

#[test]
fn scalars_null_and_broken_documents_are_not_json() {
    for value in [
        "",
        " ",
        "null",
        "1",
        "\"a\"",
        "true",
        "{",
        "{}}",
        "{}{}",
        "[1,]",
        "{'a':1}",
        "[\"\n\"]",
        "[NaN]",
        "\u{feff}{}",
        "\u{85}{}",
        "[1\u{2028}]",
    ] {
        assert_eq!(json(value), Err(EncodeError::NotJson), "{value:?}");
    }
    assert_eq!(json(b"[\"\xff\"]"), Err(EncodeError::NotUtf8));
    assert_eq!(json(b"[\"\xc2\"]"), Err(EncodeError::NotUtf8));
}

#[test]
fn depth_is_counted_outside_strings_and_128_is_allowed() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(nested(128)).is_ok());
    assert_eq!(json(nested(129)), Err(EncodeError::TooDeep));
    assert_eq!(json(nested(100_000)), Err(EncodeError::TooDeep));
    assert_eq!(json("[".repeat(100_000)), Err(EncodeError::NotJson));
    assert_eq!(
        json(format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129))),
        Err(EncodeError::TooDeep)
    );
    assert!(json(format!("[{}]", ["[],{}"; 200].join(","))).is_ok());
    let in_a_string = format!("[\"{}\\\"{}\\\\\",[]]", "[".repeat(200), "{".repeat(200));
    assert!(json(in_a_string).is_ok());
    let behind_a_string = format!("[\"\\\\\",{}]", nested(128));
    assert_eq!(json(behind_a_string), Err(EncodeError::TooDeep));
}

#[test]
fn a_value_of_8_mib_passes_and_one_byte_more_does_not() {
    let value = |length: usize| format!("[\"{}\"]", "x".repeat(length - 4));
    assert_eq!(
        json(value(MAX_VALUE_BYTES)).map(|lines| lines.len()),
        Ok(MAX_VALUE_BYTES + 7)
    );
    assert_eq!(json(value(MAX_VALUE_BYTES + 1)), Err(EncodeError::TooLarge));
    let bytes = vec![0; MAX_VALUE_BYTES + 1];
    assert_eq!(encoded(Payload::Raw, &bytes), Err(EncodeError::TooLarge));
    assert_eq!(encoded(Payload::Base64, &bytes), Err(EncodeError::TooLarge));
}

#[test]
fn raw_text_is_one_line_for_each_of_its_lines() {
    assert_eq!(
        encoded(Payload::Raw, b"a\r\nb\n").as_deref(),
        Ok(&b"data: a\ndata: b\ndata: \n"[..])
    );
    assert_eq!(encoded(Payload::Raw, b"").as_deref(), Ok(&b"data: \n"[..]));
    assert_eq!(encoded(Payload::Raw, b"\xff"), Err(EncodeError::NotUtf8));
}

#[test]
fn bytes_are_one_line_of_padded_base64() {
    assert_eq!(
        encoded(Payload::Base64, b"\xff\xfb\n").as_deref(),
        Ok(&b"data: //sK\n"[..])
    );
    assert_eq!(
        encoded(Payload::Base64, b"a").as_deref(),
        Ok(&b"data: YQ==\n"[..])
    );
    assert_eq!(encoded(Payload::Base64, b"").as_deref(), Ok(&b"data: \n"[..]));
}

#[test]
fn a_tombstone_is_skipped_or_names_its_key() {
    let tombstone = |tombstones, key| {
        let encoding = Encoding {
            payload: Payload::Json,
            tombstones,
        };
        let mut out = Vec::new();
        let kind = encode(encoding, &record(key, None), &mut out)?;
        Ok((kind, String::from_utf8(out).unwrap()))
    };
    let delete = |key| tombstone(Tombstones::Delete, key);
    let deleted = |data: &str| Ok((EventKind::Delete, format!("data: {data}\n")));
    assert_eq!(
        tombstone(Tombstones::Skip, Some(b"k")),
        Ok((EventKind::Skipped, String::new()))
    );
    assert_eq!(delete(Some(b"k\"\n")), deleted(r#"{"key":"k\"\n"}"#));
    assert_eq!(
        delete(Some("\u{2028}".as_bytes())),
        deleted(r#"{"key":"\u2028"}"#)
    );
    assert_eq!(delete(Some(b"")), deleted(r#"{"key":""}"#));
    assert_eq!(delete(Some(b"\xff")), deleted(r#"{"key_base64":"/w=="}"#));
    assert_eq!(delete(None), deleted(r#"{"key":null}"#));
    assert_eq!(
        delete(Some(&vec![0; MAX_VALUE_BYTES + 1])),
        Err(EncodeError::TooLarge)
    );
}

#[test]
fn every_reject_has_its_own_label() {
    let rejects = [
        EncodeError::TooLarge,
        EncodeError::NotUtf8,
        EncodeError::NotJson,
        EncodeError::TooDeep,
    ];
    let labels: std::collections::BTreeSet<_> = rejects.map(EncodeError::label).into();
    assert_eq!(labels.len(), rejects.len());
}

/// All characters that some client takes for a line break.
const LINE_BREAKS: [char; 5] = ['\r', '\n', '\u{85}', '\u{2028}', '\u{2029}'];

proptest! {
    #[test]
    fn a_document_means_the_same_on_its_one_line(text in document()) {
        let lines = json(&text).expect("valid JSON");
        prop_assert!(!lines.trim_end_matches('\n').contains(LINE_BREAKS));
        let mut reader = sse::SseReader::new(1 << 20);
        reader.push(format!("{lines}\n").as_bytes()).unwrap();
        let data = reader.next_message().expect("one event").data;
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        prop_assert_eq!(parsed(&data), parsed(&text));
        prop_assert_eq!(reader.next_message(), None);
    }

    #[test]
    fn the_quick_look_at_the_depth_agrees_with_the_whole(text in document()) {
        fn height(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(height).max().unwrap_or(0),
                Value::Object(fields) => 1 + fields.values().map(height).max().unwrap_or(0),
                _ => 0,
            }
        }
        prop_assert_eq!(depth(text.as_bytes()), height(&serde_json::from_str(&text).unwrap()));
    }

    #[test]
    fn rubbish_is_rejected_or_clean(value in collection::vec(any::<u8>(), 0..100)) {
        for payload in [Payload::Json, Payload::Raw, Payload::Base64] {
            if let Ok(lines) = encoded(payload, &value) {
                prop_assert!(lines.starts_with(b"data: ") && lines.ends_with(b"\n"));
            }
        }
    }

    #[test]
    fn almost_json_never_panics(value in "[\\[\\]{}\",:0-9a-z\\\\ \n\u{85}\u{2028}]{0,60}") {
        let _ = json(&value);
    }

    #[test]
    fn raw_text_reads_back(text in "(\\PC|[\r\n\0 ]){0,40}") {
        let mut lines = encoded(Payload::Raw, text.as_bytes()).unwrap();
        lines.push(b'\n');
        let mut reader = sse::SseReader::new(1 << 20);
        reader.push(&lines).unwrap();
        let expected = text.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(reader.next_message().map(|message| message.data), Some(expected));
    }
}

/// Generates valid documents with unusual white space, strings and numbers. Keys are distinct within an object.
fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("-0.0e-7".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        string(),
    ];
    let value = scalar.prop_recursive(5, 40, 6, |value| prop_oneof![array(value.clone()), object(value)]);
    prop_oneof![array(value.clone()), object(value)]
}

fn array(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (collection::vec(value, 0..6), space())
        .prop_map(|(items, space)| format!("{space}[{space}{}{space}]", items.join(&format!("{space},"))))
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (collection::vec(value, 0..6), space()).prop_map(|(values, space)| {
        let field = |(index, value)| format!("\"{index}\u{2029}[\"{space}:{space}{value}");
        let fields: Vec<_> = values.into_iter().enumerate().map(field).collect();
        format!("{{{}{space}}}{space}", fields.join(&format!(",{space}")))
    })
}

fn string() -> impl Strategy<Value = String> {
    "(\\PC|[\r\n\u{85}\u{2028}\u{2029}\"\\\\{}\\[\\]]){0,12}".prop_map(|text| Value::from(text).to_string())
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,3}"
}
