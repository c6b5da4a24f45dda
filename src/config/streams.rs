//! The array `streams`, as far as each stream can be read by itself.
//!
//! Not here: what contradicts the rest of the configuration, and the catalog (`stream_catalog`).

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    clusters::name,
    diagnostic::ParseResult,
    limits::limit_or_unlimited,
    node::{Node, NodeKind},
    record_rules::{self, condition},
    table::{KeySpec, fill, key, optional},
};
use crate::{
    catalog::{Access, RecordRules, Stream, schema_url},
    encoding::{Payload, Tombstones},
    filter::check_template,
    limits::settings::LimitSettings,
};

/// A stream, as far as it could be read.
pub(super) struct StreamDraft {
    pub(super) stream: Stream,
    /// The stream's own limit of clients, if it sets one: a number, or `None` for unlimited.
    pub(super) max_clients: Option<Option<NonZeroU32>>,
    /// Whether the stream has no fault of its own.
    pub(super) valid: bool,
}

/// The keys of one stream.
pub(super) const KEYS: &[KeySpec<StreamDraft>] = &[
    key!([stream] name: Node::string, "set the name that clients use"),
    key!([stream] aliases: names),
    key!([stream] topics: names, "list the topics of the stream"),
    key!([stream] former_topics: names),
    key!([stream] filter_fields: names),
    key!([stream] description: Node::string),
    key!([stream.encoding] payload: |node: &Node| node.choice(Payload::ALL, Payload::name)),
    key!([stream.encoding] tombstones: |node: &Node| node.choice(Tombstones::ALL, Tombstones::name)),
    key!([stream] clusters: preference),
    key!([stream] access: access),
    key!([stream] only: only),
    optional("redact", |draft, node| {
        record_rules::redact(node).map(|v| draft.rules().redact = v)
    }),
    optional("drop", |draft, node| {
        condition(node).map(|v| draft.rules().drop = v)
    }),
    optional("annotate", |draft, node| {
        node.flag().map(|v| draft.rules().annotate = v)
    }),
    optional("canary", |draft, node| {
        condition(node).map(|v| draft.rules().canary = v)
    }),
    key!([stream] schema: schema),
    key!(max_clients: limit_or_unlimited),
    key!([stream] expect_event_within: max_silence),
];

impl Default for StreamDraft {
    fn default() -> Self {
        Self {
            stream: Stream::new("", []),
            max_clients: None,
            valid: true,
        }
    }
}

impl StreamDraft {
    /// Reads a stream that is not one of the array.
    pub(super) fn read(node: &Node) -> ParseResult<Self> {
        let mut draft = Self::default();
        fill(KEYS, node, &mut draft).map(|()| draft)
    }

    /// Whether not everybody may read the stream.
    pub(super) fn is_closed(&self) -> bool {
        self.stream.access != Access::Public || self.stream.only.is_some()
    }

    /// Returns the stream, which is read from the first of these clusters if it names none.
    pub(super) fn to_stream(&self, clusters: &[&str]) -> Stream {
        let mut stream = self.stream.clone();
        if stream.clusters.is_empty() {
            stream.clusters = clusters.iter().take(1).map(|name| Arc::from(*name)).collect();
        }
        stream
    }

    fn rules(&mut self) -> &mut RecordRules {
        Arc::make_mut(&mut self.stream.rules)
    }
}

/// Parses the file or URL of a JSON Schema. An empty string means none.
fn schema(node: &Node) -> ParseResult<Option<Arc<str>>> {
    let text = node.string()?;
    let is_url = schema_url(text).is_some_and(|url| url.authority().is_some());
    match text {
        "" => Ok(None),
        _ if text.contains("://") && !is_url => {
            Err(node.refused("a file, or an http or https URL", "found another URL"))
        }
        _ => Ok(Some(text.into())),
    }
}

/// Parses who may read a stream: everybody, or whoever has one of the scopes in a list.
fn access(node: &Node) -> ParseResult<Access> {
    let wanted = "\"public\", or an array of scopes";
    match &node.kind {
        NodeKind::Text(text) if text == PUBLIC => Ok(Access::Public),
        NodeKind::Text(_) => Err(node.refused(wanted, "found another string")),
        _ => {
            let scopes = node.list(wanted, |item| match item.string()? {
                "" => Err(item.refused("a scope", "found an empty string")),
                scope => Ok(Arc::from(scope)),
            })?;
            match scopes.is_empty() {
                true => Err(node.refused("at least one scope", "found none: nobody could read the stream")),
                false => Ok(Access::Scopes(scopes)),
            }
        }
    }
}

/// Parses the filter that is made of a reader's claims. An empty string means none.
fn only(node: &Node) -> ParseResult<Option<Arc<str>>> {
    match node.string()? {
        "" => Ok(None),
        text => match check_template(text) {
            Ok(()) => Ok(Some(text.into())),
            Err(error) => Err(node.refused("a filter such as 'tenant = $tenant_id'", error.to_string())),
        },
    }
}

/// Parses how long a stream may be quiet. `None` means any time.
fn max_silence(node: &Node) -> ParseResult<Option<Duration>> {
    match &node.kind {
        NodeKind::Text(text) if text == NEVER => Ok(None),
        _ => node.duration().map(Some),
    }
}

/// Reads every stream. Afterwards `streams` has all of them, including those with faults.
pub(super) fn read(node: &Node, streams: &mut Vec<StreamDraft>) -> ParseResult<()> {
    let items = node.list("an array of tables, [[streams]]", Ok)?;
    if items.is_empty() {
        return Err(node.refused("at least one stream", "found none"));
    }
    let mut faults = Vec::new();
    for item in items {
        let mut draft = StreamDraft::default();
        let filled = fill(KEYS, item, &mut draft);
        draft.valid = filled.is_ok();
        streams.push(draft);
        faults.extend(filled.err().into_iter().flatten());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns the streams whose limit differs from the one for all streams.
pub(super) fn max_clients<'d>(
    drafts: impl IntoIterator<Item = &'d StreamDraft>,
    limits: &LimitSettings,
) -> BTreeMap<Arc<str>, Option<NonZeroU32>> {
    let own = drafts
        .into_iter()
        .filter_map(|draft| Some((Arc::clone(&draft.stream.name), draft.max_clients?)));
    own.filter(|(_, limit)| *limit != limits.clients_per_stream)
        .collect()
}

/// Parses a list of names, which the catalog checks.
fn names(node: &Node) -> ParseResult<Vec<Arc<str>>> {
    node.list("an array of names", |item| item.string().map(Arc::from))
}

/// Parses the clusters in order of preference, each at most once.
fn preference(node: &Node) -> ParseResult<Vec<Arc<str>>> {
    let names = node.list("an array of clusters", |item| name(item).map(Arc::<str>::from))?;
    if names.is_empty() {
        let why = "found none; leave the key out to use the first cluster";
        return Err(node.refused("at least one cluster", why));
    }
    let again = (1..names.len()).find(|&later| names[..later].contains(&names[later]));
    match again {
        Some(later) => Err(node.items()[later].refused("each cluster once", "found a duplicate")),
        None => Ok(names),
    }
}

/// The value for a stream that everybody may read.
const PUBLIC: &str = "public";

/// The value for a stream from which no event is expected.
const NEVER: &str = "never";
