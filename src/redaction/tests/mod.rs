mod apply;
mod model;
mod properties;
mod texts;

use super::Redaction;
use crate::{
    catalog::{Condition, RecordRules, RedactRule},
    encoding::Payload,
    event::{EncodeError, Headers, Record, RecordOrigin, Transform, TransformBuffers, Transformed},
};

/// Where the records of tests come from.
const ORIGIN: RecordOrigin<'_> = RecordOrigin {
    topic: "eqiad.edits",
    partition: 3,
};

/// The offset of the records of tests.
const OFFSET: i64 = 42;

fn condition(text: &str) -> Option<Condition> {
    Some(Condition::new(text, text))
}

fn rule(when: &str, remove: &[&str], blank: &[&str]) -> RedactRule {
    let texts = |fields: &[&str]| fields.iter().map(|field| (*field).into()).collect();
    RedactRule {
        when: condition(when).filter(|_| !when.is_empty()),
        remove: texts(remove),
        blank: texts(blank),
    }
}

fn redacting(rules: impl IntoIterator<Item = RedactRule>) -> Redaction {
    compiled(RecordRules {
        redact: rules.into_iter().collect(),
        ..RecordRules::default()
    })
}

fn compiled(rules: RecordRules) -> Redaction {
    Redaction::compile(&rules, Payload::Json).expect("rules")
}

fn record(value: Option<&[u8]>) -> Record<'_> {
    Record::bare(OFFSET, value)
}

/// Returns what is left of a value; `None` if it is dropped.
fn left_of(redaction: &Redaction, value: &str) -> Result<Option<String>, EncodeError> {
    let mut buffers = TransformBuffers::default();
    let record = record(Some(value.as_bytes()));
    Ok(match redaction.apply(&record, ORIGIN, &mut buffers)? {
        Transformed::Dropped => None,
        Transformed::Kept { record, is_redacted } => {
            let left = record.value.expect("a value");
            assert!(is_redacted || redaction.annotates || left == value.as_bytes());
            Some(String::from_utf8(left.to_vec()).expect("UTF-8"))
        }
    })
}

/// Returns the headers as pairs of texts.
fn pairs(headers: Headers<'_>) -> Vec<(String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers
        .map(|(name, value)| (text(name), value.map(text)))
        .collect()
}
