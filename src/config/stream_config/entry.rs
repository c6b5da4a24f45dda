//! One entry of a document, as a stream.

use std::slice;

use serde_json::{Map, Value};

use super::{
    super::{
        diagnostic::{Diagnostic, Location, ParseResult, fail_if_any},
        node::{Node, NodeKind, TableEntry, below},
        stream_catalog::contradictions,
        streams::StreamDraft,
    },
    StreamConfigSettings,
};
use crate::catalog::Catalog;

/// What the stream of an entry must fit.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a StreamConfigSettings,
    /// The names of all clusters.
    pub(super) clusters: &'a [&'a str],
    pub(super) has_auth: bool,
}

impl Surroundings<'_> {
    /// Returns the stream of an entry.
    ///
    /// # Errors
    /// Says what is wrong with it, for an operator.
    pub(super) fn stream_of(&self, name: &str, entry: &Value) -> Result<StreamDraft, String> {
        let Value::Object(entry) = entry else {
            return Err("its entry is not an object".to_owned());
        };
        for key in NAMES {
            if entry.get(key).is_some_and(|own| own != name && !own.is_null()) {
                return Err(format!("`{key}` is another name than that of its entry"));
            }
        }
        let draft = self.read(&self.node_of(name, entry));
        let draft = draft.map_err(|faults| faults.iter().map(sentence).collect::<Vec<_>>().join("; "))?;
        match Catalog::new(vec![draft.stream.clone()]) {
            Ok(_) => Ok(draft),
            Err(conflicts) => {
                let conflicts = conflicts.iter().map(|conflict| conflict.kind.to_string());
                Err(conflicts.collect::<Vec<_>>().join("; "))
            }
        }
    }

    fn read(&self, node: &Node) -> ParseResult<StreamDraft> {
        let draft = StreamDraft::read(node)?;
        let drafts = slice::from_ref(&draft);
        let faults = contradictions(slice::from_ref(node), drafts, self.clusters, self.has_auth);
        fail_if_any(faults).map(|()| draft)
    }

    /// Returns the entry as a table of `[[streams]]`.
    fn node_of(&self, name: &str, entry: &Map<String, Value>) -> Node {
        let is_own = |key: &str, value: &Value| {
            let is_inline_schema = key == SCHEMA && value.is_object();
            !NAMES.contains(&key) && !IGNORED.contains(&key) && !is_inline_schema
        };
        let own = entry.iter().filter(|(key, value)| is_own(key, value));
        let own = own.filter_map(|(key, value)| {
            let key = if key == ALIASES { "aliases" } else { key };
            Some(table_entry(key, node(value, key)?))
        });
        let mut entries = vec![table_entry(
            "name",
            node_with("name", NodeKind::Text(name.to_owned())),
        )];
        entries.extend(own);
        let defaults = self.settings.defaults.entries().unwrap_or_default();
        for default in defaults {
            if entries.iter().all(|own| own.name != default.name) {
                entries.push(default.clone());
            }
        }
        node_with("", NodeKind::Table(entries))
    }
}

/// Returns a value as a node, or `None` for `null`, which EventStreams takes for a setting that is not there.
fn node(value: &Value, path: &str) -> Option<Node> {
    let kind = match value {
        Value::Null => return None,
        Value::Bool(flag) => NodeKind::Flag(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => NodeKind::Integer(number),
            None => NodeKind::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => NodeKind::Text(text.clone()),
        Value::Array(items) => NodeKind::List(items.iter().filter_map(|item| node(item, path)).collect()),
        Value::Object(object) => {
            let entries = object
                .iter()
                .filter_map(|(key, value)| Some(table_entry(key, node(value, &below(path, key))?)));
            NodeKind::Table(entries.collect())
        }
    };
    Some(node_with(path, kind))
}

fn node_with(path: &str, kind: NodeKind) -> Node {
    Node {
        path: path.to_owned(),
        location: Location::Document,
        kind,
        raw: None,
    }
}

fn table_entry(key: &str, node: Node) -> TableEntry {
    TableEntry {
        name: key.to_owned(),
        location: Location::Document,
        node,
    }
}

/// Returns a fault in one line.
fn sentence(fault: &Diagnostic) -> String {
    let more = fault.label.iter().chain(&fault.help);
    more.fold(fault.title.clone(), |line, more| format!("{line}: {more}"))
}

/// The keys that repeat the name of an entry.
const NAMES: [&str; 2] = ["name", "stream"];

/// The key of EventStreams for `aliases`.
const ALIASES: &str = "stream_aliases";

/// The key that is a file or a URL in `[[streams]]`, and may be a whole schema in an entry, which nobody needs here.
const SCHEMA: &str = "schema";

/// Settings of EventStreamConfig that are for those who write events, or for other readers. Any other key that is none of
/// `[[streams]]` is a fault: it may be a misspelt `redact`.
const IGNORED: [&str; 10] = [
    "schema_title",
    "$schema",
    "destination_event_service",
    "topic_prefixes",
    "canary_events_enabled",
    "message_key_fields",
    "producers",
    "consumers",
    "sample",
    "sampling",
];
