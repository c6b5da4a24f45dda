//! Any rules on any document: what is left is what the model says.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

use super::{
    model::{self, Node, PathRule, document, path_rules},
    *,
};
use crate::event::{EventKind, encode};

/// Returns one rule of all paths, or as many rules as there are paths.
fn rules_of(paths: &[PathRule], spread: bool) -> Vec<RedactRule> {
    let one = |path: &PathRule| {
        let text = path.text();
        let (remove, blank) = if path.removes {
            (vec![&*text], vec![])
        } else {
            (vec![], vec![&*text])
        };
        rule("", &remove, &blank)
    };
    let rules: Vec<_> = paths.iter().map(one).collect();
    match spread {
        true => rules,
        false => vec![RedactRule {
            when: None,
            remove: rules.iter().flat_map(|rule| rule.remove.clone()).collect(),
            blank: rules.iter().flat_map(|rule| rule.blank.clone()).collect(),
        }],
    }
}

fn applied(rules: RecordRules, text: &str) -> String {
    let left = super::left_of(&compiled(rules), text);
    left.expect("a document").expect("not dropped")
}

/// Returns a document as serde_json reads it, of members of one name the last; `None` if it cannot.
fn read(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

proptest! {
    #[test]
    fn the_text_that_is_left_is_the_models_byte_for_byte(
        document in document(),
        paths in path_rules(),
        spread in any::<bool>(),
    ) {
        let text = document.text();
        let redact = rules_of(&paths, spread);
        let left = applied(RecordRules { redact, ..RecordRules::default() }, &text);
        prop_assert_eq!(&left, &document.redacted(&paths));
        if let Some(whole) = read(&text) {
            prop_assert_eq!(read(&left).expect("JSON"), model::left_of(&whole, &paths));
        }
    }

    #[test]
    fn annotation_sets_its_members_and_nothing_else(
        document in document(),
        paths in path_rules(),
        key in proptest::option::of("\\PC{0,5}"),
    ) {
        let text = document.text();
        let rules = RecordRules { redact: rules_of(&paths, true), annotate: true, ..RecordRules::default() };
        let redaction = compiled(rules);
        let mut buffers = TransformBuffers::default();
        let record = Record { key: key.as_deref().map(str::as_bytes), ..record(Some(text.as_bytes())) };
        let Ok(Transformed::Kept { record, .. }) = redaction.apply(&record, ORIGIN, &mut buffers) else {
            panic!("not kept");
        };
        let left = str::from_utf8(record.value.expect("a value")).expect("UTF-8");
        let mut lines = Vec::new();
        prop_assert_eq!(encode(Default::default(), &record, &mut lines), Ok(EventKind::Message));
        if let Some(whole) = read(&text) {
            let expected = annotated(model::left_of(&whole, &paths), key.as_deref());
            prop_assert_eq!(read(left).expect("JSON"), expected);
        }
        if paths.is_empty() {
            let mut pairs = vec![
                ("topic", format!("\"{}\"", ORIGIN.topic)),
                ("partition", ORIGIN.partition.to_string()),
                ("offset", OFFSET.to_string()),
            ];
            pairs.extend(key.as_deref().map(|key| ("key", Value::from(key).to_string())));
            prop_assert_eq!(left, document.annotated(&pairs));
        }
    }

    #[test]
    fn whatever_a_producer_writes_is_refused_or_left_without_what_is_removed(
        text in hostile(),
        paths in path_rules(),
        annotate in any::<bool>(),
    ) {
        let redact = rules_of(&paths, true);
        let redaction = compiled(RecordRules { redact, annotate, ..RecordRules::default() });
        let mut buffers = TransformBuffers::default();
        let raw = record(Some(text.as_bytes()));
        let mut lines = Vec::new();
        let is_good = encode(Default::default(), &raw, &mut lines);
        match redaction.apply(&raw, ORIGIN, &mut buffers) {
            Ok(Transformed::Kept { record, .. }) => {
                prop_assert_eq!(is_good, Ok(EventKind::Message));
                lines.clear();
                prop_assert_eq!(encode(Default::default(), &record, &mut lines), Ok(EventKind::Message));
            }
            Ok(Transformed::Dropped) => prop_assert!(false, "nothing drops it"),
            Err(error) => prop_assert_eq!(is_good, Err(error)),
        }
    }
}

/// Texts that are nearly JSON: pieces of it in any order, and documents with a piece cut out or put in.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\"",
        "\"a\":",
        "\"meta\":{",
        "1e400",
        "-",
        "0",
        "null",
        "tru",
        " ",
        "\n",
        "\u{0}",
        "\\u0061",
        "\\ud83d",
        "\u{2028}",
        "\u{e9}",
    ];
    let deep = (0..140_usize).prop_map(|depth| "[".repeat(depth) + "{\"a\":1}" + &"]".repeat(depth));
    let piece = proptest::sample::select(pieces.to_vec());
    let torn = (
        document(),
        any::<prop::sample::Index>(),
        piece.clone(),
        any::<bool>(),
    );
    let torn = torn.prop_map(|(document, at, piece, cuts): (Node, _, _, _)| {
        let text = document.text();
        let at = text.floor_char_boundary(at.index(text.len()));
        let behind = text.ceil_char_boundary(at + usize::from(cuts));
        format!("{}{piece}{}", &text[..at], &text[behind..])
    });
    prop_oneof![vec(piece, 0..30).prop_map(|pieces| pieces.concat()), deep, torn]
}

/// Returns what serde_json makes of a document that is annotated.
fn annotated(mut document: Value, key: Option<&str>) -> Value {
    if let Value::Object(members) = &mut document {
        let meta = members.entry("meta").or_insert(Value::Null);
        if !meta.is_object() {
            *meta = Value::Object(Map::new());
        }
        meta["topic"] = ORIGIN.topic.into();
        meta["partition"] = ORIGIN.partition.into();
        meta["offset"] = OFFSET.into();
        if let Some(key) = key {
            meta["key"] = json!(key);
        }
    }
    document
}
