//! The array `streams`, and the catalog built from it.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    clusters::name,
    diagnostic::{Diagnostic, Location, ParseResult, quoted},
    limits::limit_or_unlimited,
    node::{Node, NodeKind},
    record_rules::{self, condition},
    section_names::{AUTH_NAME, CLUSTERS_NAME, STREAMS_NAME},
    table::{KeySpec, did_you_mean, fill, nearest, optional, required},
};
use crate::{
    catalog::{Access, Catalog, Conflict, ConflictKind, ConflictLocation, RecordRules, Stream, schema_url},
    encoding::{Payload, Tombstones},
    filter::check_template,
    limits::settings::LimitSettings,
};

/// A stream, as far as it could be read.
pub(super) struct StreamDraft {
    stream: Stream,
    /// The stream's own limit of clients, if it sets one: a number, or `None` for unlimited.
    max_clients: Option<Option<NonZeroU32>>,
    /// Whether the stream has no fault of its own.
    valid: bool,
}

/// The keys of one stream.
pub(super) const KEYS: &[KeySpec<StreamDraft>] = &[
    required("name", "set the name that clients use", |draft, node| {
        node.string().map(|v| draft.stream.name = v.into())
    }),
    optional("aliases", |draft, node| {
        names(node).map(|v| draft.stream.aliases = v)
    }),
    required("topics", "list the topics of the stream", |draft, node| {
        names(node).map(|v| draft.stream.topics = v)
    }),
    optional("former_topics", |draft, node| {
        names(node).map(|v| draft.stream.former_topics = v)
    }),
    optional("filter_fields", |draft, node| {
        names(node).map(|v| draft.stream.filter_fields = v)
    }),
    optional("description", |draft, node| {
        node.string().map(|v| draft.stream.description = v.into())
    }),
    optional("payload", |draft, node| {
        node.choice(Payload::ALL, Payload::name)
            .map(|v| draft.stream.encoding.payload = v)
    }),
    optional("tombstones", |draft, node| {
        node.choice(Tombstones::ALL, Tombstones::name)
            .map(|v| draft.stream.encoding.tombstones = v)
    }),
    optional("clusters", |draft, node| {
        preference(node).map(|v| draft.stream.clusters = v)
    }),
    optional("access", |draft, node| {
        access(node).map(|v| draft.stream.access = v)
    }),
    optional("only", |draft, node| only(node).map(|v| draft.stream.only = v)),
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
    optional("schema", |draft, node| {
        schema(node).map(|v| draft.stream.schema = v)
    }),
    optional("max_clients", |draft, node| {
        limit_or_unlimited(node).map(|v| draft.max_clients = Some(v))
    }),
    optional("expect_event_within", |draft, node| {
        max_silence(node).map(|v| draft.stream.expect_event_within = v)
    }),
];

impl StreamDraft {
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
        let mut draft = StreamDraft {
            stream: Stream::new("", []),
            max_clients: None,
            valid: true,
        };
        let filled = fill(KEYS, item, &mut draft);
        draft.valid = filled.is_ok();
        streams.push(draft);
        faults.extend(filled.err().into_iter().flatten());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns the streams whose limit differs from the one for all streams.
pub(super) fn max_clients(
    drafts: &[StreamDraft],
    limits: &LimitSettings,
) -> BTreeMap<Arc<str>, Option<NonZeroU32>> {
    let own = drafts
        .iter()
        .filter_map(|draft| Some((Arc::clone(&draft.stream.name), draft.max_clients?)));
    own.filter(|(_, limit)| *limit != limits.clients_per_stream)
        .collect()
}

/// Builds the catalog of these streams, which were read from `root`.
pub(super) fn catalog(root: &Node, drafts: Vec<StreamDraft>) -> ParseResult<Catalog> {
    let known = cluster_names(root);
    let items = root.get(STREAMS_NAME).map_or(&[][..], Node::items);
    let mut faults = unknown_clusters(items, &known);
    faults.extend(record_rules::faults(
        items,
        drafts.iter().map(|draft| &draft.stream),
    ));
    faults.extend(match root.get(AUTH_NAME) {
        None => closed_to_all(items, &drafts),
        Some(_) => fields_named_ticket(items, &drafts),
    });
    let valid: Vec<_> = drafts.iter().map(|draft| draft.valid).collect();
    let streams = drafts.into_iter().map(|StreamDraft { mut stream, .. }| {
        if stream.clusters.is_empty() {
            stream.clusters = known.iter().take(1).map(|name| Arc::from(*name)).collect();
        }
        stream
    });
    match Catalog::new(streams.collect()) {
        Ok(catalog) if faults.is_empty() => Ok(catalog),
        catalog => {
            let conflicts = catalog.err().unwrap_or_default().into_iter();
            let real = conflicts.filter(|conflict| is_real(items, &valid, conflict));
            faults.extend(real.map(|conflict| fault(items, &conflict)));
            Err(faults)
        }
    }
}

/// Returns whether a conflict is real. It is not if it only follows from a value that could not be read and is at its default.
fn is_real(items: &[Node], valid: &[bool], conflict: &Conflict) -> bool {
    let is_valid = |part: ConflictLocation| valid.get(part.stream()).copied().unwrap_or_default();
    match conflict.kind {
        ConflictKind::NoTopics(_) => {
            let topics = items
                .get(conflict.at.stream())
                .and_then(|item| item.get("topics"));
            topics.is_some_and(|topics| matches!(&topics.kind, NodeKind::List(topics) if topics.is_empty()))
        }
        ConflictKind::Payload(_)
        | ConflictKind::Tombstones(_)
        | ConflictKind::Rules { .. }
        | ConflictKind::Clusters(_) => is_valid(conflict.at) && conflict.with.is_none_or(is_valid),
        ConflictKind::Name { .. }
        | ConflictKind::Parameter(_)
        | ConflictKind::NameTaken(_)
        | ConflictKind::DuplicateTopic(_)
        | ConflictKind::CurrentAndFormer(_) => true,
    }
}

/// Returns the names of all clusters, including those with faults: a stream that names one of these is not at fault.
fn cluster_names(root: &Node) -> Vec<&str> {
    let clusters = root.get(CLUSTERS_NAME).map_or(&[][..], Node::items);
    let names = clusters.iter().filter_map(|cluster| cluster.get("name"));
    names.filter_map(|name| name.string().ok()).collect()
}

fn unknown_clusters(items: &[Node], known: &[&str]) -> Vec<Diagnostic> {
    let named = items
        .iter()
        .filter_map(|item| item.get("clusters"))
        .flat_map(Node::items);
    let named = named.filter_map(|node| Some((node.string().ok()?, node)));
    let unknown = named.filter(|(name, _)| !known.contains(name));
    let faults = unknown.map(|(name, node)| {
        let title = format!("there is no cluster {}", quoted(name));
        let fault = Diagnostic::new(node.location.clone(), title).only_if_parsed();
        match nearest(name, known.iter().copied()) {
            Some(known) => fault.label(did_you_mean(known)),
            None => fault,
        }
    });
    faults.collect()
}

/// Returns the streams that need a credential, where no credential is looked at.
fn closed_to_all(items: &[Node], drafts: &[StreamDraft]) -> Vec<Diagnostic> {
    let closed = items.iter().zip(drafts);
    let closed =
        closed.filter(|(_, draft)| draft.stream.access != Access::Public || draft.stream.only.is_some());
    let faults = closed.map(|(item, draft)| {
        let name = quoted(&draft.stream.name);
        let title = format!("stream {name} needs a credential, but there is no [auth]: nobody could read it");
        let key = if draft.stream.only.is_some() {
            "only"
        } else {
            "access"
        };
        Diagnostic::new(item.location_of(key), title).only_if_parsed()
    });
    faults.collect()
}

/// Returns the streams with a field that takes the place of the parameter `ticket`, where a ticket is a credential.
fn fields_named_ticket(items: &[Node], drafts: &[StreamDraft]) -> Vec<Diagnostic> {
    let has_field = |draft: &StreamDraft| draft.stream.filter_fields.iter().any(|field| **field == *TICKET);
    let taken = items.iter().zip(drafts).filter(|(_, draft)| has_field(draft));
    let faults = taken.map(|(item, draft)| {
        let name = quoted(&draft.stream.name);
        let title = format!(
            "stream {name} has the filter field `{TICKET}`, but with [auth] `?{TICKET}=` is a credential"
        );
        let fault = Diagnostic::new(item.location_of("filter_fields"), title);
        fault
            .help("leave the field out; `?filter=` can name it")
            .only_if_parsed()
    });
    faults.collect()
}

/// Returns the conflict as a fault at its location in the text.
fn fault(items: &[Node], conflict: &Conflict) -> Diagnostic {
    let location = |part| location(items, part).unwrap_or(Location::Document);
    let fault = Diagnostic::new(location(conflict.at), conflict.kind.to_string());
    match conflict.with {
        Some(with) => fault.related(location(with), "first here"),
        None => fault,
    }
}

fn location(items: &[Node], part: ConflictLocation) -> Option<Location> {
    let (key, element) = match part {
        ConflictLocation::Name(_) => ("name", None),
        ConflictLocation::Alias(_, number) => ("aliases", Some(number)),
        ConflictLocation::Topics(_) => ("topics", None),
        ConflictLocation::Topic(_, number) => ("topics", Some(number)),
        ConflictLocation::FormerTopic(_, number) => ("former_topics", Some(number)),
        ConflictLocation::FilterField(_, number) => ("filter_fields", Some(number)),
    };
    let item = items.get(part.stream())?;
    let element = element.and_then(|number| item.get(key)?.items().get(number));
    Some(element.map_or_else(|| item.location_of(key), |node| node.location.clone()))
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

/// The name of the query parameter that is a credential.
const TICKET: &str = "ticket";

/// The value for a stream that everybody may read.
const PUBLIC: &str = "public";

/// The value for a stream from which no event is expected.
const NEVER: &str = "never";
