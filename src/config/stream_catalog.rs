//! The catalog built from the streams, and what of them contradicts the rest of the configuration.

use super::{
    diagnostic::{Diagnostic, Location, ParseResult, quoted},
    node::{Node, NodeKind},
    record_rules,
    section_names::{AUTH_NAME, CLUSTERS_NAME, STREAM_CONFIG_NAME, STREAMS_NAME},
    streams::StreamDraft,
    table::{did_you_mean, nearest},
};
use crate::catalog::{Catalog, Conflict, ConflictKind, ConflictLocation};

/// Builds the catalog of these streams, which were read from `root`.
pub(super) fn catalog(root: &Node, drafts: &[StreamDraft]) -> ParseResult<Catalog> {
    let known = cluster_names(root);
    let items = root.get(STREAMS_NAME).map_or(&[][..], Node::items);
    let mut faults = contradictions(items, drafts, &known, root.get(AUTH_NAME).is_some());
    let valid: Vec<_> = drafts.iter().map(|draft| draft.valid).collect();
    let streams = drafts.iter().map(|draft| draft.to_stream(&known));
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

/// Returns the fault of a configuration that has no streams, and does not say where there are some.
pub(super) fn no_streams(root: &Node) -> Option<Diagnostic> {
    let has_none = [STREAMS_NAME, STREAM_CONFIG_NAME]
        .iter()
        .all(|name| root.get(name).is_none());
    let fault = Diagnostic::new(root.location.clone(), format!("`{STREAMS_NAME}` is missing"));
    let help = "add the streams that are public, as [[streams]]";
    has_none.then(|| fault.help(help).only_if_parsed())
}

/// Returns what of these streams contradicts the rest of the configuration.
pub(super) fn contradictions(
    items: &[Node],
    drafts: &[StreamDraft],
    clusters: &[&str],
    has_auth: bool,
) -> Vec<Diagnostic> {
    let mut faults = unknown_clusters(items, clusters);
    let streams = drafts.iter().map(|draft| &draft.stream);
    faults.extend(record_rules::faults(items, streams));
    faults.extend(match has_auth {
        false => closed_to_all(items, drafts),
        true => fields_named_ticket(items, drafts),
    });
    faults
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
        ConflictKind::Disagreement { .. } => is_valid(conflict.at) && conflict.with.is_none_or(is_valid),
        ConflictKind::Name { .. }
        | ConflictKind::Parameter(_)
        | ConflictKind::NameTaken(_)
        | ConflictKind::DuplicateTopic(_)
        | ConflictKind::CurrentAndFormer(_) => true,
    }
}

/// Returns the names of all clusters, including those with faults: a stream that names one of these is not at fault.
pub(super) fn cluster_names(root: &Node) -> Vec<&str> {
    let clusters = root.get(CLUSTERS_NAME).map_or(&[][..], Node::items);
    let names = clusters.iter().filter_map(|cluster| cluster.get("name"));
    names.filter_map(|name| name.string().ok()).collect()
}

pub(super) fn unknown_clusters(items: &[Node], known: &[&str]) -> Vec<Diagnostic> {
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
    let closed = closed.filter(|(_, draft)| draft.is_closed());
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

/// The name of the query parameter that is a credential.
const TICKET: &str = "ticket";
