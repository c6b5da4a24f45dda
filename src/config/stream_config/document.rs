//! A document with streams, in the shape that the stream-config service of EventStreams has: an object with an entry for each
//! stream, whose settings are those of EventStreams and those of `[[streams]]`.
//!
//! Not here: what an entry says (`entry`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StreamConfigSettings, strict_value::StrictValue};

/// What was read of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamDocument {
    /// The streams that can be served, each as it is in the document.
    pub entries: StreamEntries,
    /// The others.
    pub left_out: LeftOut,
}

/// Streams of a document, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamEntries(pub(super) BTreeMap<String, Value>);

/// Streams of a document that cannot be served, and are not meant to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Names that are regular expressions. They are for whoever writes events.
    pub patterns: Vec<String>,
    /// Names of streams without topics.
    pub without_topics: Vec<String>,
    /// How many streams are not among those that are allowed.
    pub not_allowed: usize,
}

impl LeftOut {
    /// Returns the names that an operator should know of, by the reason.
    pub fn by_reason(&self) -> [(&'static str, &[String]); 2] {
        [
            ("their names are patterns", &self.patterns),
            ("they have no topics", &self.without_topics),
        ]
    }
}

impl StreamConfigSettings {
    /// Reads a document, which is JSON or YAML.
    ///
    /// # Errors
    /// Says why nothing of it can be used, for an operator.
    pub fn parse(&self, text: &[u8]) -> Result<StreamDocument, String> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(format!("longer than {MAX_DOCUMENT_BYTES} bytes"));
        }
        let document = value(text)?;
        let at = |value: Value, key: &String| match value {
            Value::Object(mut object) => object.remove(key),
            _ => None,
        };
        let streams = self.object_path.iter().try_fold(document, at);
        let path = self.object_path.join(".");
        let Some(Value::Object(streams)) = streams else {
            return Err(match &*path {
                "" => "it is not an object with streams".to_owned(),
                path => format!("it has no object with streams at `{path}`"),
            });
        };
        let document = self.sort(streams);
        match document.entries.0.len() {
            // Somebody's mistake, or a database that was not there: it would end everything.
            0 => Err("it has no stream that can be served".to_owned()),
            1..=MAX_STREAMS => Ok(document),
            _ => Err(format!(
                "it has more than {MAX_STREAMS} streams: list those to be served in `stream_config.allowed`"
            )),
        }
    }

    /// Sorts out which streams can be served.
    fn sort(&self, streams: impl IntoIterator<Item = (String, Value)>) -> StreamDocument {
        let mut document = StreamDocument::default();
        let left_out = &mut document.left_out;
        for (name, entry) in streams {
            if is_pattern(&name)
                || entry
                    .get("stream")
                    .and_then(Value::as_str)
                    .is_some_and(is_pattern)
            {
                left_out.patterns.push(name);
            } else if !self.allows(&name) {
                left_out.not_allowed += 1;
            } else if has_no_topics(&entry) {
                left_out.without_topics.push(name);
            } else {
                document.entries.0.insert(name, entry);
            }
        }
        document
    }

    /// Returns the streams of these that are still to be served.
    pub fn allowed_of(&self, entries: &StreamEntries) -> StreamEntries {
        let own = entries.0.iter().filter(|(name, _)| self.allows(name));
        StreamEntries(own.map(|(name, entry)| (name.clone(), entry.clone())).collect())
    }
}

impl StreamEntries {
    /// Returns how many streams there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parses JSON, or else YAML.
fn value(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
    let not_json = match serde_json::from_str(text) {
        Ok(StrictValue(value)) => return Ok(value),
        Err(error) => error,
    };
    // Most of YAML begins in another way, and the error of a broken JSON document is of more help.
    if text.trim_start().starts_with(['{', '[']) {
        return Err(format!("it is not JSON: {not_json}"));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED_EVENTS },
    };
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(StrictValue(value)) => Ok(value),
        Err(error) => Err(format!("it is neither JSON nor YAML: {error}")),
    }
}

/// Whether a name is a regular expression for names, as EventStreams tells it: `/^mediawiki\.job\..+/`.
fn is_pattern(name: &str) -> bool {
    name.starts_with('/')
}

fn has_no_topics(entry: &Value) -> bool {
    match entry.get("topics") {
        None => entry.is_object(),
        Some(Value::Null) => true,
        Some(topics) => topics.as_array().is_some_and(Vec::is_empty),
    }
}

/// The longest document that is read, in bytes. That of all of Wikimedia's streams has 300 KB.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// How many streams are served of a document: as many as a configuration may have itself.
const MAX_STREAMS: usize = 1_000;

/// How many values the aliases of a YAML document may stand for: a hundred for each stream. A few lines of aliases of aliases could
/// stand for billions.
const MAX_REPLAYED_EVENTS: usize = 100_000;
