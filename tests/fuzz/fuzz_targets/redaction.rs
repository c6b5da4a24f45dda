//! Any rules and any document: it is refused as an event would be, or what is left is a document without what is removed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use riverhead::{
    catalog::{RecordRules, RedactRule},
    encoding::Payload,
    event::{
        EncodeError, Headers, Record, RecordOrigin, Transform, TransformBuffers, Transformed, check_document,
    },
    filter::EventField,
    redaction::Redaction,
};
use serde_json::Value;

fuzz_target!(|input: (&str, &str, bool, Option<&[u8]>, &[u8])| {
    let (remove, blank, annotate, key, document) = input;
    let (remove, blank) = (fields(remove), fields(blank));
    let texts = |fields: &[EventField]| fields.iter().map(|field| field.to_string().into()).collect();
    let rules = RecordRules {
        redact: vec![RedactRule {
            when: None,
            remove: texts(&remove),
            blank: texts(&blank),
        }],
        annotate,
        ..RecordRules::default()
    };
    // Quotes may make a field longer than one may be.
    let Ok(redaction) = Redaction::compile(&rules, Payload::Json) else {
        return;
    };
    let left = match left_of(&redaction, key, document) {
        Ok(left) => left,
        Err(error) => {
            assert_eq!(check_document(document).err(), Some(error));
            return;
        }
    };
    assert!(check_document(document).is_ok());
    assert!(check_document(&left).is_ok(), "what is left is a document");
    if annotate {
        // What was removed from `meta` may be set at another place.
        return;
    }
    assert_eq!(left_of(&redaction, key, &left), Ok(left.clone()), "it stays as it is");
    // serde_json reads 127 levels of nesting, and no number beyond all floats.
    if let Ok(value) = serde_json::from_slice::<Value>(&left) {
        let paths = remove.iter().filter_map(|field| match field {
            EventField::Json(path) => Some(&path[..]),
            _ => None,
        });
        paths.for_each(|path| assert!(!is_there(&value, path), "{path:?} in {value}"));
    }
});

/// Returns the fields of the lines that name one.
fn fields(lines: &str) -> Vec<EventField> {
    let fields = lines.lines().filter_map(|line| EventField::parse(line).ok());
    fields.take(8).collect()
}

fn left_of(redaction: &Redaction, key: Option<&[u8]>, document: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let origin = RecordOrigin {
        topic: "t",
        partition: 0,
    };
    let record = Record {
        offset: 7,
        timestamp: -1,
        epoch: 0,
        key,
        headers: Headers::default(),
        value: Some(document),
        canary: false,
    };
    let mut buffers = TransformBuffers::default();
    match redaction.apply(&record, origin, &mut buffers)? {
        Transformed::Kept { record, .. } => Ok(record.value.expect("a value").to_vec()),
        Transformed::Dropped => unreachable!("there is no condition"),
    }
}

/// Whether any object has a member at this path, also in arrays.
fn is_there(value: &Value, path: &[Box<str>]) -> bool {
    match (value, path) {
        (_, []) => true,
        (Value::Array(items), path) => items.iter().any(|item| is_there(item, path)),
        (Value::Object(members), [name, rest @ ..]) => {
            members.get(&**name).is_some_and(|value| is_there(value, rest))
        }
        _ => false,
    }
}
