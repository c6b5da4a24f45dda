//! The documents that the operator's page is drawn from. They only tell: nothing here changes anything.
//!
//! `/admin/overview` has what `/healthz` and `/admin/clients` have, with streams and memory, in one answer that is 200 also when
//! something fails. `/admin/config` and `/admin/principals` need the token of commands, if there is one: they say more of the
//! installation than whoever may see health needs to know.
//!
//! Not here: the page itself (`pages`), and metrics (`admin`).

use std::sync::Arc;

use axum::{
    Extension,
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{
    admin::{HealthDocument, health},
    commands,
    streams::texts,
};
use crate::{
    catalog::{Access, Stream},
    client::ClientKey,
    discovery::EventRate,
    http::{
        Error, Gateway,
        json::{self, JSON},
    },
    limits::{LimitsReport, Policy},
    position::Timestamp,
};

/// Answers `/admin/overview` with health, streams, limits and memory.
pub(in crate::http) async fn overview(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    let policy = gateway.admission.policy();
    let catalog = gateway.catalog.get();
    let streams = catalog
        .streams()
        .map(|stream| StreamOverview::of(stream, &gateway, &policy));
    let document = Overview {
        version: env!("CARGO_PKG_VERSION"),
        time: jiff::Timestamp::now().as_millisecond(),
        token_required: gateway.commands.has_token(),
        authentication: gateway.auth.is_some(),
        config_revision: gateway.config_report.revision(),
        streams: streams.collect(),
        memory: MemoryOverview::of(&gateway),
        limits: gateway.admission.report(),
        health: health(&gateway),
    };
    Ok(fresh(json::response(StatusCode::OK, &document)?))
}

/// Answers `/admin/config` with the settings in force and the last reloads.
pub(in crate::http) async fn config(
    Extract(gateway): Extract<Arc<Gateway>>,
    Extension(client): Extension<ClientKey>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    commands::authorize_read(&gateway, client, &headers).await?;
    let document = gateway.config_report.document();
    Ok(fresh(([(header::CONTENT_TYPE, JSON)], document).into_response()))
}

/// Answers `/admin/principals` with the credentials that count, and who reads with them. Without `[auth]` there are none.
pub(in crate::http) async fn principals(
    Extract(gateway): Extract<Arc<Gateway>>,
    Extension(client): Extension<ClientKey>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    commands::authorize_read(&gateway, client, &headers).await?;
    let report = gateway.auth.as_ref().map(|auth| auth.report());
    Ok(fresh(json::response(StatusCode::OK, &report)?))
}

/// Keeps a response out of all caches: it is old when it is there, and not for everybody.
fn fresh(mut response: Response) -> Response {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

#[derive(Serialize)]
struct Overview<'a> {
    version: &'static str,
    /// The clock of this host, in milliseconds since the Unix epoch.
    time: Timestamp,
    /// Whether `/admin/config` and `/admin/principals` need the token.
    token_required: bool,
    /// Whether credentials are looked at.
    authentication: bool,
    /// Changes when `/admin/config` has something new.
    config_revision: u64,
    health: HealthDocument,
    streams: Vec<StreamOverview<'a>>,
    limits: LimitsReport,
    memory: MemoryOverview,
}

/// A stream as it is configured, with its rate.
#[derive(Serialize)]
struct StreamOverview<'a> {
    name: &'a str,
    topics: Vec<&'a str>,
    /// In order of preference.
    clusters: Vec<&'a str>,
    /// The scopes of which a reader needs one. Empty if everybody may read it.
    scopes: Vec<&'a str>,
    /// How many clients may read it at a time. `None` if there is no limit.
    max_clients: Option<u32>,
    rate: EventRate,
}

impl<'a> StreamOverview<'a> {
    fn of(stream: &'a Stream, gateway: &Gateway, policy: &Policy) -> Self {
        Self {
            name: &stream.name,
            topics: texts(&stream.topics),
            clusters: texts(&stream.clusters),
            scopes: match &stream.access {
                Access::Public => Vec::new(),
                Access::Scopes(scopes) => texts(scopes),
            },
            max_clients: Some(policy.client_limit(&stream.name)).filter(|limit| *limit < u32::MAX),
            rate: gateway.discovery.rate(&stream.topics),
        }
    }
}

#[derive(Serialize)]
struct MemoryOverview {
    /// What the process occupies in memory. `None` if the system does not say.
    resident_bytes: Option<u64>,
    pools: [PoolOverview; 3],
}

/// A budget of the section `memory`, and what is used of it.
#[derive(Serialize)]
struct PoolOverview {
    name: &'static str,
    bytes: usize,
    budget_bytes: usize,
}

impl MemoryOverview {
    fn of(gateway: &Gateway) -> Self {
        let (source, budgets) = (gateway.lanes.source(), &gateway.budgets);
        let pools = [
            ("tail", source.directory.bytes(), budgets.tail),
            ("history", source.history.bytes(), budgets.history),
            ("lanes", gateway.lanes.bytes(), budgets.lanes),
        ];
        Self {
            resident_bytes: resident_bytes(),
            pools: pools.map(|(name, bytes, budget)| PoolOverview {
                name,
                bytes,
                budget_bytes: budget.get(),
            }),
        }
    }
}

/// Returns the resident memory of this process. The file is one of the kernel's, so reading it waits for no disk.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
