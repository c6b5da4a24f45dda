//! Rules between keys: contradictions, which are faults, and surprises, which are warnings.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use super::{
    Config,
    diagnostic::{Diagnostic, Location},
    locate::{between, location},
    node::Node,
    record_rules::filter_fields_that_are_gone,
    section_names::{
        ADMIN_NAME, ADMIN_TLS_NAME, AUTH_NAME, CLUSTERS_NAME, HTTP_CORS_NAME, HTTP_NAME, HTTP_TLS_NAME,
        LIMITS_NAME, STREAM_CONFIG_NAME, STREAMS_NAME,
    },
    stream_config::StreamConfigSource,
    tls_rules,
};
use crate::{
    catalog::{Catalog, yields_to_fields},
    client::ForwardedHeaders,
    http::settings::{AllowedOrigins, HttpSettings as Http},
    kafka::settings::ClusterSettings as Cluster,
    limits::settings::NetworkLimits,
};

/// Returns the contradictions between keys.
pub(super) fn faults(root: &Node, config: &Config) -> Vec<Diagnostic> {
    let rules = [
        stalls_before_heartbeat,
        same_address,
        credentials_for_all,
        tls_rules::no_public_listener,
        tls_rules::redirect_to_nowhere,
        tls_rules::http_clients_without_authority,
        tls_rules::admin_clients_without_authority,
        tls_rules::certificates_without_authority,
        client_above_total,
        idle_client_above_total,
        header_without_proxies,
        client_of_a_network_above_total,
        allowed_and_denied,
    ];
    rules.into_iter().filter_map(|rule| rule(root, config)).collect()
}

fn stalls_before_heartbeat(root: &Node, Config { http, .. }: &Config) -> Option<Diagnostic> {
    if http.heartbeat < http.stall_timeout {
        return None;
    }
    let title = format!(
        "`http.heartbeat` ({:?}) must be shorter than `http.stall_timeout` ({:?})",
        http.heartbeat, http.stall_timeout
    );
    let fault = between(
        root,
        title,
        [(HTTP_NAME, "heartbeat"), (HTTP_NAME, "stall_timeout")],
    );
    Some(fault.help("on a quiet stream, only heartbeats show whether the socket still takes bytes"))
}

fn same_address(root: &Node, config: &Config) -> Option<Diagnostic> {
    let Config { http, admin, .. } = config;
    let listeners = [
        (ADMIN_NAME, Some(admin.listen)),
        (HTTP_NAME, http.listen),
        (HTTP_TLS_NAME, http.tls.as_ref().map(|https| https.listen)),
    ];
    let pairs = [(0, 1), (0, 2), (2, 1)];
    pairs.into_iter().find_map(|(one, other)| {
        let ((one, first), (other, second)) = (listeners[one], listeners[other]);
        let (first, second) = (first?, second?);
        collide(first, second).then(|| {
            let title =
                format!("`{one}.listen` ({first}) and `{other}.listen` ({second}) cannot both be bound");
            between(root, title, [(one, "listen"), (other, "listen")])
        })
    })
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}

/// Browsers refuse answers with both.
fn credentials_for_all(root: &Node, Config { http, .. }: &Config) -> Option<Diagnostic> {
    let cors = &http.cors;
    (cors.credentials && cors.origins == AllowedOrigins::All).then(|| {
        let title = "`http.cors.credentials` is true, but `http.cors.origins` is [\"*\"]: list the origins";
        let keys = [(HTTP_CORS_NAME, "credentials"), (HTTP_CORS_NAME, "origins")];
        between(root, title.into(), keys)
    })
}

fn client_above_total(root: &Node, Config { limits, .. }: &Config) -> Option<Diagnostic> {
    let (client, total) = (limits.streams_per_client, limits.streams_total);
    (client > total).then(|| {
        let title = format!(
            "`limits.streams_per_client` ({client}) is above `limits.streams_total` ({total}): one client could take all streams"
        );
        between(root, title, [(LIMITS_NAME, "streams_per_client"), (LIMITS_NAME, "streams_total")])
    })
}

fn idle_client_above_total(root: &Node, Config { limits, .. }: &Config) -> Option<Diagnostic> {
    let (client, total) = (
        limits.connections_without_stream_per_client,
        limits.connections_without_stream,
    );
    (client > total).then(|| {
        let keys = [
            "connections_without_stream_per_client",
            "connections_without_stream",
        ];
        let [one, all] = keys;
        let title = format!(
            "`limits.{one}` ({client}) is above `limits.{all}` ({total}): \
             one client could take all connections"
        );
        between(root, title, keys.map(|key| (LIMITS_NAME, key)))
    })
}

fn header_without_proxies(root: &Node, Config { http, .. }: &Config) -> Option<Diagnostic> {
    let (key, consequence) = match (http.proxy_protocol, &http.client_header) {
        (true, _) => ("proxy_protocol", "every connection would be refused"),
        (false, Some(_)) => ("client_header", "the header would always be ignored"),
        (false, None) => return None,
    };
    http.trusted_proxies.is_empty().then(|| {
        let title = format!("`http.{key}` is set, but `http.trusted_proxies` is empty: {consequence}");
        between(root, title, [(HTTP_NAME, key), (HTTP_NAME, "trusted_proxies")])
    })
}

fn client_of_a_network_above_total(root: &Node, Config { limits, .. }: &Config) -> Option<Diagnostic> {
    let total = limits.streams_total;
    let above = |network: &NetworkLimits| network.streams_per_client.filter(|streams| *streams > total);
    let (at, (cidr, streams)) = limits
        .networks
        .iter()
        .map(|network| Some((network.cidr, above(network)?)))
        .enumerate()
        .find_map(|(at, found)| Some((at, found?)))?;
    let title = format!(
        "`streams_per_client` ({streams}) of {cidr} is above `limits.streams_total` ({total}): one client could take all streams"
    );
    let item = root.get(LIMITS_NAME)?.get("networks")?.items().get(at);
    let location = item.map_or(Location::Document, |item| item.location_of("streams_per_client"));
    Some(Diagnostic::new(location, title))
}

fn allowed_and_denied(root: &Node, Config { limits, .. }: &Config) -> Option<Diagnostic> {
    let both = limits
        .allow
        .iter()
        .find(|network| limits.deny.contains(network))?;
    let title = format!("{both} is both in `limits.allow` and in `limits.deny`");
    let fault = between(root, title, [(LIMITS_NAME, "allow"), (LIMITS_NAME, "deny")]);
    Some(fault.help("the smallest network that contains an address counts, so one network cannot be in both"))
}

/// Returns warnings about a valid configuration, for the operator.
pub(super) fn warnings(root: &Node, config: &Config) -> Vec<(Location, String)> {
    let mut warnings = listeners(root, config);
    let nodes = root.get(CLUSTERS_NAME).map_or(&[][..], Node::items);
    for (cluster, node) in config.clusters.iter().zip(nodes) {
        warnings.extend(few_brokers(cluster, node));
        // Streams that are configured elsewhere may be read from it.
        if config.stream_config.is_none() {
            warnings.extend(unused(cluster, &config.catalog, node));
        }
        warnings.extend(clear_text_password(cluster, node));
    }
    warnings.extend(fields_of_later_parameters(root, &config.catalog));
    warnings.extend(redacted_filter_fields(root, &config.catalog));
    warnings.extend(bursts_below_streams(root, config));
    warnings.extend(restricted_elsewhere(root, &config.catalog));
    warnings.extend(streams_that_a_restart_forgets(root, config));
    warnings.sort();
    warnings
}

/// Warns of filter fields with the name of a query parameter that was added later. Such a field keeps the name.
fn fields_of_later_parameters(root: &Node, catalog: &Catalog) -> Vec<(Location, String)> {
    let nodes = root.get(STREAMS_NAME).map_or(&[][..], Node::items);
    let streams = catalog.streams().zip(nodes);
    let fields = streams.flat_map(|(stream, node)| {
        stream
            .filter_fields
            .iter()
            .map(move |field| (stream, field, node))
    });
    let taken = fields.filter(|(_, field, _)| yields_to_fields(field));
    let surprise = taken.map(|(stream, field, node)| {
        let text = format!(
            "`{field}` is also a query parameter now; on stream `{}` it still means the field, so the parameter cannot be used",
            stream.name
        );
        (node.location_of("filter_fields"), text)
    });
    surprise.collect()
}

/// Warns of filter fields that no event has any more.
fn redacted_filter_fields(root: &Node, catalog: &Catalog) -> Vec<(Location, String)> {
    let nodes = root.get(STREAMS_NAME).map_or(&[][..], Node::items);
    let surprises = catalog.streams().zip(nodes).flat_map(|(stream, node)| {
        filter_fields_that_are_gone(stream).into_iter().map(move |field| {
            let text = format!(
                "`{field}` is in `filter_fields` of stream `{}`, but `redact` always removes or blanks it: no value is found there",
                stream.name
            );
            (node.location_of("filter_fields"), text)
        })
    });
    surprises.collect()
}

/// Warns of clients and principals with more streams than requests at once: after a restart some of these streams would be refused.
fn bursts_below_streams(root: &Node, config: &Config) -> Vec<(Location, String)> {
    let limits = &config.limits;
    let (usual, burst) = (limits.streams_per_client, limits.request_burst);
    let mut surprises = Vec::new();
    if usual > burst {
        let text = above_burst("`limits.streams_per_client`", usual, burst);
        surprises.push((location(root, LIMITS_NAME, "streams_per_client"), text));
    }
    let principals = config.auth.as_ref().and_then(|auth| auth.limits.streams);
    if let Some(streams) = principals.filter(|streams| *streams > burst) {
        let text = above_burst("`auth.limits.streams`", streams, burst);
        surprises.push((location(root, AUTH_NAME, "limits"), text));
    }
    let nodes = root.get(LIMITS_NAME).and_then(|limits| limits.get("networks"));
    let nodes = nodes.map_or(&[][..], Node::items);
    for (network, node) in limits.networks.iter().zip(nodes) {
        let streams = network.streams_per_client.unwrap_or(usual);
        let own = network.request_burst.unwrap_or(burst);
        let has_own = network.streams_per_client.is_some() || network.request_burst.is_some();
        if has_own && streams > own {
            let what = format!("`streams_per_client` of {}", network.cidr);
            surprises.push((node.location_of("cidr"), above_burst(&what, streams, own)));
        }
    }
    surprises
}

fn above_burst(what: &str, streams: NonZeroU32, burst: NonZeroU32) -> String {
    format!(
        "{what} ({streams}) is above `request_burst` ({burst}): after a restart, when all streams come back at once, some are refused"
    )
}

/// Warns of topics that one stream restricts and another one does not: whoever may read the other gets all of them.
fn restricted_elsewhere(root: &Node, catalog: &Catalog) -> Vec<(Location, String)> {
    let nodes = root.get(STREAMS_NAME).map_or(&[][..], Node::items);
    let (restricted, free): (Vec<_>, Vec<_>) = catalog
        .streams()
        .zip(nodes)
        .partition(|(stream, _)| stream.only.is_some());
    let pairs = free
        .iter()
        .flat_map(|free| restricted.iter().map(move |other| (free, other)));
    let surprises = pairs.filter_map(|((free, node), (restricted, _))| {
        let shared = free
            .topics
            .iter()
            .find(|topic| restricted.topics.contains(topic))?;
        let text = format!(
            "stream `{}` has topic `{shared}` without `only`, with which stream `{}` restricts it",
            free.name, restricted.name
        );
        Some((node.location_of("topics"), text))
    });
    surprises.collect()
}

/// Warns of streams that are fetched and not kept: a restart while they cannot be fetched refuses their clients, for good where these are
/// an EventSource.
fn streams_that_a_restart_forgets(root: &Node, config: &Config) -> Option<(Location, String)> {
    let source = &config.stream_config.as_ref()?.source;
    let is_forgotten = matches!(source, StreamConfigSource::Url(_)) && config.state.directory.is_none();
    is_forgotten.then(|| {
        let text = "the streams of `stream_config.url` are not kept, because `state.directory` is not set: after a restart while \
                    they cannot be fetched, their clients get 400";
        (location(root, STREAM_CONFIG_NAME, "url"), text.to_owned())
    })
}

fn few_brokers(cluster: &Cluster, node: &Node) -> Option<(Location, String)> {
    let count @ ..3 = cluster.bootstrap.len() else {
        return None;
    };
    let plural = if count == 1 { "" } else { "s" };
    let text = format!(
        "cluster `{}` has {count} bootstrap broker{plural}; with three, one can be decommissioned",
        cluster.name
    );
    Some((node.location_of("bootstrap"), text))
}

fn unused(cluster: &Cluster, catalog: &Catalog, node: &Node) -> Option<(Location, String)> {
    let text = format!("no stream is read from cluster `{}`", cluster.name);
    let unread = catalog.topics_of(&cluster.name).is_empty();
    unread.then(|| (node.location_of("name"), text))
}

fn clear_text_password(cluster: &Cluster, node: &Node) -> Option<(Location, String)> {
    let is = |property: &str, value: &str| {
        let own = cluster.librdkafka.get(property);
        own.is_some_and(|own| own.eq_ignore_ascii_case(value))
    };
    let plain = is("sasl.mechanism", "PLAIN") || is("sasl.mechanisms", "PLAIN");
    let text = format!(
        "the password for cluster `{}` is sent unencrypted; use `sasl_ssl`",
        cluster.name
    );
    (plain && is("security.protocol", "sasl_plaintext")).then(|| (node.location_of("librdkafka"), text))
}

fn listeners(root: &Node, Config { http, admin, .. }: &Config) -> Vec<(Location, String)> {
    let mut warnings = Vec::new();
    if !admin.listen.ip().is_loopback() {
        let text = format!(
            "the admin listener on {} can be reached from other hosts; health and metrics name brokers",
            admin.listen
        );
        warnings.push((location(root, ADMIN_NAME, "listen"), text));
    }
    if http.heartbeat > PROXY_IDLE_TIMEOUT {
        let text = "proxies commonly close a connection after 60s of silence, and `http.heartbeat` is longer";
        warnings.push((location(root, HTTP_NAME, "heartbeat"), text.into()));
    }
    if let Some(all) = http
        .trusted_proxies
        .iter()
        .find(|network| network.prefix_len() == 0)
    {
        let text = format!(
            "`http.trusted_proxies` contains {all}: a client that connects directly can choose the address that limits count"
        );
        warnings.push((location(root, HTTP_NAME, "trusted_proxies"), text));
    }
    warnings.extend(either_header(root, http));
    warnings.extend(tls_rules::authority_without_clients(
        root,
        HTTP_TLS_NAME,
        http.tls.as_ref().map(|https| &https.tls),
    ));
    warnings.extend(tls_rules::authority_without_clients(
        root,
        ADMIN_TLS_NAME,
        admin.tls.as_ref(),
    ));
    warnings
}

/// Warns if `http.forwarded` trusts both headers, or has no effect. A proxy sets one of the two headers, and passes on what a
/// client writes into the other.
fn either_header(root: &Node, http: &Http) -> Option<(Location, String)> {
    if http.trusted_proxies.is_empty() || http.proxy_protocol {
        return None;
    }
    let text = match (&http.client_header, http.forwarded) {
        (None, ForwardedHeaders::Both) => {
            "`http.forwarded` is \"both\": a client that sends the header that your proxy does not set counts as \
             somebody behind the proxy, not as a client of its own; set the header that the proxy sets, \
             \"x-forwarded-for\" or \"forwarded\""
        }
        (Some(_), ForwardedHeaders::XForwardedFor | ForwardedHeaders::Forwarded) => {
            "`http.forwarded` is ignored, because `http.client_header` is set"
        }
        _ => return None,
    };
    Some((location(root, HTTP_NAME, "forwarded"), text.into()))
}

/// The default timeout of nginx (`proxy_read_timeout`) and of AWS load balancers (idle timeout).
const PROXY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
