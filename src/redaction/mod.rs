//! Redaction: what of a record nobody gets, and annotation: what the gateway adds to its value. The rules are those of a
//! stream's configuration.
//!
//! They are applied where a record becomes an event, so that nothing above ever holds what they remove. The conditions of
//! rules see the record as Kafka has it. What stays of a value stays byte for byte: it is spliced, not parsed and written
//! again, so no number loses digits.
//!
//! Not here: where records become events (`partition`), and how rules are written (`config`).
//!
//! ```
//! use riverhead::{
//!     catalog::{RecordRules, RedactRule},
//!     encoding::Payload,
//!     event::{Headers, Record, RecordOrigin, Transform, TransformBuffers, Transformed},
//!     redaction::Redaction,
//! };
//!
//! let always = RedactRule { remove: vec!["user".into()], blank: vec!["comment".into()], ..RedactRule::default() };
//! let rules = RecordRules { redact: vec![always], ..RecordRules::default() };
//! let redaction = Redaction::compile(&rules, Payload::Json)?;
//!
//! let value = Some(&br#"{"id": 1.0, "user": "Ada", "comment": "hello"}"#[..]);
//! let record = Record { offset: 7, timestamp: 0, epoch: 0, key: None, headers: Headers::default(), value, canary: false };
//! let origin = RecordOrigin { topic: "edits", partition: 0 };
//! let mut buffers = TransformBuffers::default();
//! let Transformed::Kept { record, .. } = redaction.apply(&record, origin, &mut buffers)? else {
//!     panic!("nothing drops it");
//! };
//! assert_eq!(record.value, Some(&br#"{"id": 1.0, "comment": ""}"#[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod annotate;
mod apply;
mod arrays;
mod compile;
mod edits;
mod fields;
mod splice;
#[cfg(test)]
mod tests;

use crate::{encoding::Payload, filter::Filter};
use fields::{FieldTree, Treatment};

/// The compiled rules of a stream.
#[derive(Debug)]
pub struct Redaction {
    payload: Payload,
    /// Records that nobody gets.
    drop: Option<Filter>,
    /// Records that only clients get that ask for canaries.
    canary: Option<Filter>,
    rules: Vec<Rule>,
    /// Whether the value of a record says where it comes from.
    annotates: bool,
}

/// One rule of redaction.
#[derive(Debug)]
struct Rule {
    /// The condition. `None` for a rule that always applies.
    when: Option<Condition>,
    key: Option<Treatment>,
    headers: Vec<(Box<str>, Treatment)>,
    /// The fields of the value.
    fields: FieldTree,
}

/// When a rule applies.
#[derive(Debug)]
struct Condition {
    filter: Filter,
    /// The fields of the value that it tests. A tombstone lacks them.
    tested: FieldTree,
}
