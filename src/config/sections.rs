//! The sections: which key sets which field.

use std::{net::SocketAddr, path::PathBuf};

use ::http::HeaderName;

use super::{
    Config, auth, clusters, cors,
    diagnostic::ParseResult,
    limits,
    network::networks,
    node::Node,
    section_names::{
        ADMIN_NAME, ADMIN_TLS_NAME, AUTH_NAME, CLUSTERS_NAME, HTTP_CORS_NAME, HTTP_NAME, HTTP_TLS_NAME,
        LIMITS_NAME, LOG_NAME, MEMORY_NAME, METRICS_NAME, STATE_NAME, STREAM_CONFIG_NAME, STREAMS_NAME,
    },
    stream_config, streams,
    table::{KeySpec, fill, key, optional, required},
    tls,
};
use crate::{
    client::ForwardedHeaders,
    http,
    http::settings::{AdminToken, HostName, Sink},
    kafka, log,
    metrics::MetricsSettings,
    partition,
};

/// The result of reading the whole file, before the streams form a catalog.
#[derive(Default)]
pub(super) struct ConfigDraft {
    /// All but the catalog.
    pub(super) config: Config,
    pub(super) streams: Vec<streams::StreamDraft>,
}

/// Returns the keys of each section, in the order in which they are explained.
pub(super) fn known() -> Vec<(&'static str, Vec<&'static str>)> {
    fn names<S>(keys: &[KeySpec<S>]) -> Vec<&'static str> {
        let names = keys.iter().map(|key| key.name);
        names.filter(|name| ![TLS_KEY, CORS_KEY].contains(name)).collect()
    }
    vec![
        (HTTP_NAME, names(HTTP)),
        (HTTP_CORS_NAME, names(cors::KEYS)),
        (HTTP_TLS_NAME, names(tls::HTTP_KEYS)),
        (ADMIN_NAME, names(ADMIN)),
        (ADMIN_TLS_NAME, names(tls::ADMIN_KEYS)),
        (AUTH_NAME, names(auth::KEYS)),
        (LIMITS_NAME, names(limits::KEYS)),
        (MEMORY_NAME, names(MEMORY)),
        (STATE_NAME, names(STATE)),
        (LOG_NAME, names(LOG)),
        (METRICS_NAME, names(METRICS)),
        (CLUSTERS_NAME, names(clusters::KEYS)),
        (STREAMS_NAME, names(streams::KEYS)),
        (STREAM_CONFIG_NAME, names(stream_config::KEYS)),
    ]
}

/// The keys at the top level.
pub(super) const TOP: &[KeySpec<ConfigDraft>] = &[
    optional(HTTP_NAME, |draft, node| fill(HTTP, node, &mut draft.config.http)),
    optional(ADMIN_NAME, |draft, node| {
        fill(ADMIN, node, &mut draft.config.admin)
    }),
    optional(AUTH_NAME, |draft, node| {
        fill(auth::KEYS, node, draft.config.auth.get_or_insert_default())
    }),
    optional(LIMITS_NAME, |draft, node| {
        fill(limits::KEYS, node, &mut draft.config.limits)
    }),
    optional(MEMORY_NAME, |draft, node| {
        fill(MEMORY, node, &mut draft.config.memory)
    }),
    optional(STATE_NAME, |draft, node| {
        fill(STATE, node, &mut draft.config.state)
    }),
    optional(LOG_NAME, |draft, node| fill(LOG, node, &mut draft.config.log)),
    optional(METRICS_NAME, |draft, node| {
        fill(METRICS, node, &mut draft.config.metrics)
    }),
    required(
        CLUSTERS_NAME,
        "add the Kafka cluster to read from, as [[clusters]]",
        |draft, node| clusters::read(node, &mut draft.config.clusters),
    ),
    // One of the two must be there, which is checked when both are read.
    optional(STREAMS_NAME, |draft, node| {
        streams::read(node, &mut draft.streams)
    }),
    optional(STREAM_CONFIG_NAME, |draft, node| {
        stream_config::read(node).map(|v| draft.config.stream_config = Some(v))
    }),
];

const HTTP: &[KeySpec<http::settings::HttpSettings>] = &[
    key!(listen: optional_address),
    key!(redirect: Node::flag),
    key!(trusted_proxies: networks),
    key!(forwarded: |node: &Node| node.choice(ForwardedHeaders::ALL, ForwardedHeaders::name)),
    key!(client_header: header),
    key!(proxy_protocol: Node::flag),
    key!(sink: |node: &Node| node.choice(Sink::ALL, Sink::name)),
    key!(heartbeat: Node::duration),
    key!(stall_timeout: Node::duration),
    key!(hold_limit: Node::duration),
    key!(drain: Node::duration_or_zero),
    key!(takeover: Node::duration),
    optional(CORS_KEY, |http, node| fill(cors::KEYS, node, &mut http.cors)),
    optional(TLS_KEY, |http, node| {
        fill(tls::HTTP_KEYS, node, http.tls.get_or_insert_default())
    }),
];

const ADMIN: &[KeySpec<http::settings::AdminSettings>] = &[
    key!(listen: |node: &Node| node.parsed::<SocketAddr>(AN_ADDRESS)),
    key!(token: token),
    key!(hosts: |node: &Node| node.list("an array of names", |item| item.parsed::<HostName>(A_HOST))),
    optional(TLS_KEY, |admin, node| {
        fill(tls::ADMIN_KEYS, node, admin.tls.get_or_insert_default())
    }),
];

const MEMORY: &[KeySpec<partition::MemorySettings>] =
    &[key!(tail: budget), key!(history: budget), key!(lanes: budget)];

const STATE: &[KeySpec<kafka::settings::StateSettings>] = &[key!(directory: directory)];

const LOG: &[KeySpec<log::LogSettings>] = &[
    key!(format: |node: &Node| node.choice(log::LogFormat::ALL, log::LogFormat::name)),
    key!(level: |node: &Node| node.parsed::<log::LogLevels>(A_LEVEL)),
];

const METRICS: &[KeySpec<MetricsSettings>] = &[key!(eventstreams: Node::flag)];

fn budget(node: &Node) -> ParseResult<std::num::NonZeroUsize> {
    let bytes = node.size()?;
    bytes.try_into().map_err(|_| {
        node.refused(
            "a size that this machine can address",
            "found more than it can address",
        )
    })
}

/// Parses an address. An empty string means that there is none.
fn optional_address(node: &Node) -> ParseResult<Option<SocketAddr>> {
    node.unless_empty(|node| node.parsed(AN_ADDRESS))
}

/// Parses the name of a header. An empty string means none.
fn header(node: &Node) -> ParseResult<Option<HeaderName>> {
    node.unless_empty(|node| node.parsed("the name of a header such as \"X-Client-IP\""))
}

fn token(node: &Node) -> ParseResult<Option<AdminToken>> {
    node.unless_empty(|node| node.parsed("a secret such as `openssl rand -base64 24` prints"))
}

fn directory(node: &Node) -> ParseResult<Option<PathBuf>> {
    node.unless_empty(|node| node.string().map(Into::into))
}

/// The key of a section of its own inside `http`.
pub(super) const CORS_KEY: &str = "cors";

/// The key of a section of its own inside `http` and `admin`.
pub(super) const TLS_KEY: &str = "tls";

const A_HOST: &str = "a host name such as \"riverhead.example\" or \"*.example.svc\"";
const A_LEVEL: &str = "a level such as \"info\", or \"info,riverhead::kafka=debug\"";
const AN_ADDRESS: &str = "an address and a port such as \"127.0.0.1:8080\"";
