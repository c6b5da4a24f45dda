//! What must hold between keys, and what is legal but would surprise somebody.

use std::net::SocketAddr;

use super::{
    Config,
    fault::{Fault, Place},
    node::Node,
    sections::{ADMIN_NAME, CLUSTERS_NAME, HTTP_NAME, LIMITS_NAME, Sections},
};

/// What does not fit together.
pub(super) fn faults(root: &Node, sections: &Sections) -> Vec<Fault> {
    let rules = [stalls_before_heartbeat, one_address_twice, client_above_total];
    rules
        .into_iter()
        .filter_map(|rule| rule(root, sections))
        .collect()
}

fn stalls_before_heartbeat(root: &Node, Sections { http, .. }: &Sections) -> Option<Fault> {
    if http.heartbeat < http.stall_timeout {
        return None;
    }
    let title = "`http.heartbeat` must be shorter than `http.stall_timeout`";
    let fault = Fault::new(place(root, HTTP_NAME, "heartbeat"), title)
        .help("on a quiet stream nothing but heartbeats shows whether the socket still takes bytes")
        .related(place(root, HTTP_NAME, "stall_timeout"), "this is not longer");
    Some(fault)
}

fn one_address_twice(root: &Node, sections: &Sections) -> Option<Fault> {
    let (public, admin) = (sections.http.listen, sections.admin.listen);
    if !collide(public, admin) {
        return None;
    }
    let title = format!("`http.listen` and `admin.listen` cannot both be bound: {public}, {admin}");
    let fault = Fault::new(place(root, ADMIN_NAME, "listen"), title)
        .related(place(root, HTTP_NAME, "listen"), "the public listener");
    Some(fault)
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}

fn client_above_total(root: &Node, Sections { limits, .. }: &Sections) -> Option<Fault> {
    if limits.streams_per_client <= limits.streams_total {
        return None;
    }
    let title = format!(
        "`limits.streams_per_client` ({}) is above `limits.streams_total` ({}): one client could hold every stream",
        limits.streams_per_client, limits.streams_total
    );
    let fault = Fault::new(place(root, LIMITS_NAME, "streams_per_client"), title)
        .related(place(root, LIMITS_NAME, "streams_total"), "the total");
    Some(fault)
}

/// What the operator should know of a configuration that is right.
pub(super) fn surprises(root: &Node, config: &Config) -> Vec<(Place, String)> {
    let mut surprises = listeners(root, config);
    let nodes = root.get(CLUSTERS_NAME).map_or(&[][..], Node::items);
    for (cluster, node) in config.clusters.iter().zip(nodes) {
        if let count @ 1..3 = cluster.bootstrap.len() {
            let text = format!(
                "cluster `{}` has {count} bootstrap broker(s); three outlive a decommissioning",
                cluster.name
            );
            surprises.push((node.place_of("bootstrap"), text));
        }
        if config.catalog.topics_of(&cluster.name).is_empty() {
            let text = format!("no stream is read from cluster `{}`", cluster.name);
            surprises.push((node.place_of("name"), text));
        }
        let set = |property: &str, value: &str| {
            let own = cluster.librdkafka.get(property);
            own.is_some_and(|own| own.eq_ignore_ascii_case(value))
        };
        if set("security.protocol", "sasl_plaintext")
            && (set("sasl.mechanism", "PLAIN") || set("sasl.mechanisms", "PLAIN"))
        {
            let text = format!(
                "the password for cluster `{}` crosses the network in clear",
                cluster.name
            );
            surprises.push((node.place_of("librdkafka"), text));
        }
    }
    surprises.sort();
    surprises
}

fn listeners(root: &Node, Config { http, admin, .. }: &Config) -> Vec<(Place, String)> {
    let mut surprises = Vec::new();
    if !admin.listen.ip().is_loopback() {
        let text = format!(
            "the admin listener on {} is open to others: health and metrics name brokers",
            admin.listen
        );
        surprises.push((place(root, ADMIN_NAME, "listen"), text));
    }
    if http.heartbeat > PROXY_PATIENCE {
        let text = "proxies commonly cut a connection after 60s of silence; `http.heartbeat` is longer";
        surprises.push((place(root, HTTP_NAME, "heartbeat"), text.into()));
    }
    if let Some(all) = http
        .trusted_proxies
        .iter()
        .find(|network| network.prefix_len() == 0)
    {
        let text = format!(
            "`http.trusted_proxies` holds {all}: whoever connects directly chooses whom a limit counts"
        );
        surprises.push((place(root, HTTP_NAME, "trusted_proxies"), text));
    }
    surprises
}

/// Where the key stands, else its section, else nowhere.
fn place(root: &Node, section: &str, key: &str) -> Place {
    root.get(section)
        .map_or(Place::Whole, |section| section.place_of(key))
}

/// The default of nginx's `proxy_read_timeout`, HAProxy's documentation and AWS load balancers.
const PROXY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
