//! The sections: which key sets which field.

use std::net::SocketAddr;

use ::http::HeaderName;

use super::{
    auth, clusters, cors,
    diagnostic::ParseResult,
    limits,
    network::network,
    node::Node,
    section_names::{
        ADMIN_NAME, ADMIN_TLS_NAME, AUTH_NAME, CLUSTERS_NAME, HTTP_CORS_NAME, HTTP_NAME, HTTP_TLS_NAME,
        LIMITS_NAME, LOG_NAME, MEMORY_NAME, STATE_NAME, STREAMS_NAME,
    },
    streams,
    table::{KeySpec, fill, optional, required},
    tls,
};
use crate::{
    auth::settings::AuthSettings, client::ForwardedHeaders, http, http::settings::Sink, kafka,
    limits::settings::LimitSettings, log, partition,
};

/// The result of reading the whole file, before the streams form a catalog.
#[derive(Default)]
pub(super) struct ConfigDraft {
    pub(super) sections: Sections,
    pub(super) clusters: Vec<kafka::settings::ClusterSettings>,
    pub(super) streams: Vec<streams::StreamDraft>,
}

/// The sections that occur once and have a default for every key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sections {
    /// `http`: the public listener and its streams.
    pub http: http::settings::HttpSettings,
    /// `admin`: the listener for operators.
    pub admin: http::settings::AdminSettings,
    /// `auth`: which credentials are accepted. `None` if there is no such section.
    pub auth: Option<AuthSettings>,
    /// `limits`: limits for clients.
    pub limits: LimitSettings,
    /// Whether `limits.streams_total` is set.
    pub streams_total_chosen: bool,
    /// `memory`: budgets of the partition logs.
    pub memory: partition::MemorySettings,
    /// `state`: the state that is kept over a restart.
    pub state: kafka::settings::StateSettings,
    /// `log`: what is logged, and in which format.
    pub log: log::LogSettings,
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
        (CLUSTERS_NAME, names(clusters::KEYS)),
        (STREAMS_NAME, names(streams::KEYS)),
    ]
}

/// The keys at the top level.
pub(super) const TOP: &[KeySpec<ConfigDraft>] = &[
    optional(HTTP_NAME, |draft, node| {
        fill(HTTP, node, &mut draft.sections.http)
    }),
    optional(ADMIN_NAME, |draft, node| {
        fill(ADMIN, node, &mut draft.sections.admin)
    }),
    optional(AUTH_NAME, |draft, node| {
        fill(auth::KEYS, node, draft.sections.auth.get_or_insert_default())
    }),
    optional(LIMITS_NAME, |draft, node| {
        fill(limits::KEYS, node, &mut draft.sections.limits)
    }),
    optional(MEMORY_NAME, |draft, node| {
        fill(MEMORY, node, &mut draft.sections.memory)
    }),
    optional(STATE_NAME, |draft, node| {
        fill(STATE, node, &mut draft.sections.state)
    }),
    optional(LOG_NAME, |draft, node| fill(LOG, node, &mut draft.sections.log)),
    required(
        CLUSTERS_NAME,
        "add the Kafka cluster to read from, as [[clusters]]",
        |draft, node| clusters::read(node, &mut draft.clusters),
    ),
    required(
        STREAMS_NAME,
        "add the streams that are public, as [[streams]]",
        |draft, node| streams::read(node, &mut draft.streams),
    ),
];

const HTTP: &[KeySpec<http::settings::HttpSettings>] = &[
    optional("listen", |http, node| {
        optional_address(node).map(|v| http.listen = v)
    }),
    optional("redirect", |http, node| node.flag().map(|v| http.redirect = v)),
    optional("trusted_proxies", |http, node| {
        node.list("an array of networks", network)
            .map(|v| http.trusted_proxies = v)
    }),
    optional("forwarded", |http, node| {
        node.choice(ForwardedHeaders::ALL, ForwardedHeaders::name)
            .map(|v| http.forwarded = v)
    }),
    optional("client_header", |http, node| {
        header(node).map(|v| http.client_header = v)
    }),
    optional("proxy_protocol", |http, node| {
        node.flag().map(|v| http.proxy_protocol = v)
    }),
    optional("sink", |http, node| {
        node.choice(Sink::ALL, Sink::name).map(|v| http.sink = v)
    }),
    optional("heartbeat", |http, node| {
        node.duration().map(|v| http.heartbeat = v)
    }),
    optional("stall_timeout", |http, node| {
        node.duration().map(|v| http.stall_timeout = v)
    }),
    optional("hold_limit", |http, node| {
        node.duration().map(|v| http.hold_limit = v)
    }),
    optional("drain", |http, node| {
        node.duration_or_zero().map(|v| http.drain = v)
    }),
    optional("takeover", |http, node| {
        node.duration().map(|v| http.takeover = v)
    }),
    optional(CORS_KEY, |http, node| fill(cors::KEYS, node, &mut http.cors)),
    optional(TLS_KEY, |http, node| {
        fill(tls::HTTP_KEYS, node, http.tls.get_or_insert_default())
    }),
];

const ADMIN: &[KeySpec<http::settings::AdminSettings>] = &[
    optional("listen", |admin, node| {
        node.parsed(AN_ADDRESS).map(|v| admin.listen = v)
    }),
    optional("token", |admin, node| {
        if node.string()?.is_empty() {
            return Ok(());
        }
        node.parsed("a secret such as `openssl rand -base64 24` prints")
            .map(|v| admin.token = Some(v))
    }),
    optional("hosts", |admin, node| {
        node.list("an array of names", |item| item.parsed(A_HOST))
            .map(|v| admin.hosts = v)
    }),
    optional(TLS_KEY, |admin, node| {
        fill(tls::ADMIN_KEYS, node, admin.tls.get_or_insert_default())
    }),
];

const MEMORY: &[KeySpec<partition::MemorySettings>] = &[
    optional("tail", |memory, node| budget(node).map(|v| memory.tail = v)),
    optional("history", |memory, node| budget(node).map(|v| memory.history = v)),
    optional("lanes", |memory, node| budget(node).map(|v| memory.lanes = v)),
];

const STATE: &[KeySpec<kafka::settings::StateSettings>] = &[optional("directory", |state, node| {
    node.string()
        .map(|v| state.directory = Some(v).filter(|path| !path.is_empty()).map(Into::into))
})];

const LOG: &[KeySpec<log::LogSettings>] = &[
    optional("format", |log, node| {
        node.choice(log::LogFormat::ALL, log::LogFormat::name)
            .map(|v| log.format = v)
    }),
    optional("level", |log, node| {
        node.parsed("a level such as \"info\", or \"info,riverhead::kafka=debug\"")
            .map(|v| log.level = v)
    }),
];

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
    if node.string().is_ok_and(str::is_empty) {
        return Ok(None);
    }
    node.parsed(AN_ADDRESS).map(Some)
}

/// Parses the name of a header. An empty string means none.
fn header(node: &Node) -> ParseResult<Option<HeaderName>> {
    if node.string().is_ok_and(str::is_empty) {
        return Ok(None);
    }
    node.parsed("the name of a header such as \"X-Client-IP\"")
        .map(Some)
}

/// The key of a section of its own inside `http`.
pub(super) const CORS_KEY: &str = "cors";

/// The key of a section of its own inside `http` and `admin`.
pub(super) const TLS_KEY: &str = "tls";

const A_HOST: &str = "a host name such as \"riverhead.example\" or \"*.example.svc\"";
const AN_ADDRESS: &str = "an address and a port such as \"127.0.0.1:8080\"";
