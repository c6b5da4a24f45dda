//! The array `clusters`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    diagnostic::{Diagnostic, ParseResult, fail_if_any, quoted, repeated},
    node::{Node, NodeKind, TableEntry},
    table::{KeySpec, did_you_mean, fill, key, nearest},
};
use crate::{
    catalog::check_name,
    kafka::settings::{BrokerAddr, ClusterSettings, passthrough, properties},
};

/// The keys of one cluster.
pub(super) const KEYS: &[KeySpec<ClusterSettings>] = &[
    key!(name: name, "set the name that streams use for it"),
    key!(bootstrap: brokers, "list the brokers to ask first: [\"b1.example:9092\", ...]"),
    key!(allow_single_bootstrap: Node::flag),
    key!(cluster_id: |node: &Node| node.unless_empty(|node| node.string().map(Into::into))),
    key!(history_rate: Node::size),
    key!(renew_after: Node::duration),
    key!(failover_after: Node::duration),
    key!(failover_overlap: Node::duration_or_zero),
    key!(transaction_patience: Node::duration),
    key!(librdkafka: librdkafka_properties),
];

/// Reads every cluster. Those without a fault are added to `clusters` even if others have faults.
pub(super) fn read(node: &Node, clusters: &mut Vec<ClusterSettings>) -> ParseResult<()> {
    let items = node.list("an array of tables, [[clusters]]", |item| Ok(cluster(item)))?;
    if items.is_empty() {
        return Err(node.refused("at least one cluster", "found none"));
    }
    let mut faults = same_names(node);
    for item in items {
        match item {
            Ok(cluster) => clusters.push(cluster),
            Err(more) => faults.extend(more),
        }
    }
    fail_if_any(faults)
}

fn cluster(node: &Node) -> ParseResult<ClusterSettings> {
    let mut cluster = ClusterSettings::new("", Vec::new());
    let filled = fill(KEYS, node, &mut cluster);
    match (filled, single_bootstrap(&cluster, node)) {
        (Ok(()), None) => Ok(cluster),
        (Ok(()), Some(alone)) => Err(vec![alone]),
        (Err(mut faults), alone) => {
            faults.extend(alone);
            Err(faults)
        }
    }
}

/// Parses a name of a cluster.
pub(super) fn name(node: &Node) -> ParseResult<&str> {
    let name = node.string()?;
    check_name(name).map_err(|why| node.refused("a name", why.to_string()))?;
    Ok(name)
}

/// Parses the broker addresses and drops duplicates. The order stays.
fn brokers(node: &Node) -> ParseResult<Vec<BrokerAddr>> {
    let mut brokers = node.list("an array of brokers", |item| {
        item.parsed::<BrokerAddr>("a broker such as \"b1.example:9092\"")
    })?;
    if brokers.is_empty() {
        return Err(node.refused("at least two brokers", "found none"));
    }
    let mut seen = BTreeSet::new();
    brokers.retain(|broker| seen.insert(broker.clone()));
    Ok(brokers)
}

/// Returns the fault of a bootstrap list with one broker. The outage of EventStreams in 2019 began with such a list.
fn single_bootstrap(cluster: &ClusterSettings, item: &Node) -> Option<Diagnostic> {
    if cluster.bootstrap.len() != 1 || cluster.allow_single_bootstrap {
        return None;
    }
    let title = "there is only one bootstrap broker: once it is decommissioned, riverhead cannot connect \
                 (the outage of EventStreams in 2019)";
    let fault = Diagnostic::new(item.location_of("bootstrap"), title)
        .label("this is one broker")
        .help("list two or more, or set `allow_single_bootstrap = true`, for example for a DNS name that follows the brokers")
        .only_if_parsed();
    Some(fault)
}

fn same_names(node: &Node) -> Vec<Diagnostic> {
    let names = node.items().iter().filter_map(|item| item.get("name"));
    let names = names.filter_map(|node| Some((node.string().ok()?, node.location.clone())));
    repeated(names, |name| {
        format!("two clusters have the name {}", quoted(name))
    })
}

/// Parses the properties for librdkafka. `security.protocol = "ssl"` and `"security.protocol" = "ssl"` mean the same.
fn librdkafka_properties(node: &Node) -> ParseResult<BTreeMap<String, String>> {
    let mut flat = Vec::new();
    flatten(node.entries()?, "", &mut flat);
    let locations = flat
        .iter()
        .map(|(property, entry)| (property.clone(), entry.location.clone()));
    let mut faults = repeated(locations.clone(), |property| {
        format!("{} is set twice", quoted(property))
    });
    let locations: BTreeMap<_, _> = locations.collect();
    let mut properties = BTreeMap::new();
    for (property, entry) in &flat {
        match value(property, entry) {
            Ok(value) => _ = properties.insert(property.clone(), value),
            Err(more) => faults.extend(more),
        }
    }
    let flaws = passthrough::flaws(&properties).into_iter().map(|flaw| {
        let location = locations.get(&flaw.property).unwrap_or(&node.location);
        Diagnostic::new(location.clone(), format!("`{}` {}", flaw.property, flaw.problem))
    });
    faults.extend(flaws);
    passthrough::add_ca_location(&mut properties);
    fail_if_any(faults)?;
    Ok(properties)
}

/// Collects all leaves below `entries` with their full dotted names. The recursion is as deep as the parser allows: 128.
fn flatten<'a>(entries: &'a [TableEntry], prefix: &str, flat: &mut Vec<(String, &'a TableEntry)>) {
    for entry in entries {
        let name = match prefix {
            "" => entry.name.clone(),
            prefix => format!("{prefix}.{}", entry.name),
        };
        match &entry.node.kind {
            NodeKind::Table(deeper) => flatten(deeper, &name, flat),
            _ => flat.push((name, entry)),
        }
    }
}

fn value(property: &str, entry: &TableEntry) -> ParseResult<String> {
    if let Some(reason) = properties::refusal(property) {
        let title = format!("{} is not passed to librdkafka: {reason}", quoted(property));
        return Err(vec![Diagnostic::new(entry.location.clone(), title)]);
    }
    if !properties::ALLOWED.contains(&property) {
        let fault = Diagnostic::new(
            entry.location.clone(),
            format!("{} is not a property of librdkafka consumers", quoted(property)),
        );
        return Err(vec![
            match nearest(property, properties::ALLOWED.iter().copied()) {
                Some(known) => fault.label(did_you_mean(known)),
                None => fault,
            },
        ]);
    }
    match &entry.node.kind {
        NodeKind::Text(text) if text.contains('\0') => {
            Err(entry.node.refused("a value without NUL", "found a NUL character"))
        }
        NodeKind::Text(text) => Ok(text.clone()),
        NodeKind::Integer(number) => Ok(number.to_string()),
        NodeKind::Float(number) => Ok(number.to_string()),
        NodeKind::Flag(flag) => Ok(flag.to_string()),
        NodeKind::List(_) | NodeKind::Table(_) => {
            Err(entry.node.wrong_type("a string, a number, true or false"))
        }
    }
}
