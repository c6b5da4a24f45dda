//! The array `clusters`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fault::{Fault, Place, Read, quoted},
    node::{Entry, Kind, Node},
    table::{Key, did_you_mean, fill, nearest, optional, required},
};
use crate::{
    catalog::check_name,
    kafka::settings::{BrokerAddr, Settings, passthrough, properties},
};

/// The keys of one cluster.
pub(super) const KEYS: &[Key<Settings>] = &[
    required("name", "it is what streams call the cluster", |cluster, node| {
        name(node).map(|v| cluster.name = v.into())
    }),
    required(
        "bootstrap",
        "list the brokers to ask first: [\"b1.example:9092\", ...]",
        |cluster, node| brokers(node).map(|v| cluster.bootstrap = v),
    ),
    optional("allow_single_bootstrap", |cluster, node| {
        node.flag().map(|v| cluster.allow_single_bootstrap = v)
    }),
    optional("cluster_id", |cluster, node| {
        node.string()
            .map(|v| cluster.cluster_id = Some(v).filter(|id| !id.is_empty()).map(Into::into))
    }),
    optional("history_rate", |cluster, node| {
        node.size().map(|v| cluster.history_rate = v)
    }),
    optional("renew_after", |cluster, node| {
        node.duration().map(|v| cluster.renew_after = v)
    }),
    optional("failover_after", |cluster, node| {
        node.duration().map(|v| cluster.failover_after = v)
    }),
    optional("failover_overlap", |cluster, node| {
        node.pause().map(|v| cluster.failover_overlap = v)
    }),
    optional("transaction_patience", |cluster, node| {
        node.duration().map(|v| cluster.transaction_patience = v)
    }),
    optional("librdkafka", |cluster, node| {
        passed_through(node).map(|v| cluster.librdkafka = v)
    }),
];

/// Reads every cluster; those without a fault are in `clusters` even when others have some.
pub(super) fn read(node: &Node, clusters: &mut Vec<Settings>) -> Read<()> {
    let items = node.list("an array of tables, [[clusters]]", |item| Ok(cluster(item)))?;
    if items.is_empty() {
        return Err(node.refused("at least one cluster", "this is empty"));
    }
    let mut faults = same_names(node);
    for item in items {
        match item {
            Ok(cluster) => clusters.push(cluster),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn cluster(node: &Node) -> Read<Settings> {
    let mut cluster = Settings::new("", Vec::new());
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

/// A text that can be a name.
pub(super) fn name(node: &Node) -> Read<&str> {
    let name = node.string()?;
    check_name(name).map_err(|why| node.refused("a name", why.to_string()))?;
    Ok(name)
}

/// The brokers, each once, in their order.
fn brokers(node: &Node) -> Read<Vec<BrokerAddr>> {
    let mut brokers = node.list("an array of brokers", |item| {
        item.parsed::<BrokerAddr>("brokers such as \"b1.example:9092\"")
    })?;
    if brokers.is_empty() {
        return Err(node.refused("at least two brokers", "this is empty"));
    }
    let mut seen = BTreeSet::new();
    brokers.retain(|broker| seen.insert(broker.clone()));
    Ok(brokers)
}

/// The outage of 2019 begins with a list like this one.
fn single_bootstrap(cluster: &Settings, item: &Node) -> Option<Fault> {
    if cluster.bootstrap.len() != 1 || cluster.allow_single_bootstrap {
        return None;
    }
    let title = "one bootstrap broker alone: when it is decommissioned nothing can connect any more, which is how \
                 EventStreams went down in 2019";
    let fault = Fault::new(item.place_of("bootstrap"), title)
        .label("all of these are one broker")
        .help("list two or more, or set `allow_single_bootstrap = true`, for instance for a name that follows the brokers")
        .if_whole();
    Some(fault)
}

fn same_names(node: &Node) -> Vec<Fault> {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    let mut faults = Vec::new();
    let names = node.items().iter().filter_map(|item| item.get("name"));
    for (name, node) in names.filter_map(|node| Some((node.string().ok()?, node))) {
        match seen.get(name) {
            Some(first) => faults.push(
                Fault::new(
                    node.place.clone(),
                    format!("two clusters are called {}", quoted(name)),
                )
                .related(first.clone(), "first here"),
            ),
            None => _ = seen.insert(name, node.place.clone()),
        }
    }
    faults
}

/// What is passed through. `security.protocol = "ssl"` and `"security.protocol" = "ssl"` mean the same.
fn passed_through(node: &Node) -> Read<BTreeMap<String, String>> {
    let mut flat = Vec::new();
    flatten(node.entries()?, "", &mut flat);
    let mut faults = Vec::new();
    let mut places = BTreeMap::new();
    let mut properties = BTreeMap::new();
    for (property, entry) in flat {
        if let Some(first) = places.insert(property.clone(), entry.place.clone()) {
            let title = format!("{} is set twice", quoted(&property));
            faults.push(Fault::new(entry.place.clone(), title).related(first, "first here"));
        }
        match value(&property, entry) {
            Ok(value) => _ = properties.insert(property, value),
            Err(more) => faults.extend(more),
        }
    }
    let flaws = passthrough::flaws(&properties).into_iter().map(|flaw| {
        let place = places.get(&flaw.property).unwrap_or(&node.place);
        Fault::new(place.clone(), format!("`{}` {}", flaw.property, flaw.problem))
    });
    faults.extend(flaws);
    passthrough::complete(&mut properties);
    if faults.is_empty() {
        Ok(properties)
    } else {
        Err(faults)
    }
}

/// The keys with their whole dotted names, to the leaves. (As deep as the parser goes, which stops at 128.)
fn flatten<'a>(entries: &'a [Entry], prefix: &str, flat: &mut Vec<(String, &'a Entry)>) {
    for entry in entries {
        let name = match prefix {
            "" => entry.name.clone(),
            prefix => format!("{prefix}.{}", entry.name),
        };
        match &entry.node.kind {
            Kind::Table(deeper) => flatten(deeper, &name, flat),
            _ => flat.push((name, entry)),
        }
    }
}

fn value(property: &str, entry: &Entry) -> Read<String> {
    if let Some(reason) = properties::refusal(property) {
        let title = format!("{} is not passed to librdkafka: {reason}", quoted(property));
        return Err(vec![Fault::new(entry.place.clone(), title)]);
    }
    if !properties::PASSED.contains(&property) {
        let fault = Fault::new(
            entry.place.clone(),
            format!("librdkafka's readers know no {}", quoted(property)),
        );
        return Err(vec![
            match nearest(property, properties::PASSED.iter().copied()) {
                Some(known) => fault.label(did_you_mean(known)),
                None => fault,
            },
        ]);
    }
    match &entry.node.kind {
        Kind::Text(text) if text.contains('\0') => {
            Err(entry.node.refused("a value", "this holds a NUL character"))
        }
        Kind::Text(text) => Ok(text.clone()),
        Kind::Integer(number) => Ok(number.to_string()),
        Kind::Float(number) => Ok(number.to_string()),
        Kind::Flag(flag) => Ok(flag.to_string()),
        Kind::List(_) | Kind::Table(_) => Err(entry.node.wrong_type("a string, a number, true or false")),
    }
}
