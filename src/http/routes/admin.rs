//! The read-only routes for operators: health, clients, metrics.
//!
//! Not here: commands (`commands`).

use std::{sync::Arc, time::Instant};

use axum::{
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;

use crate::{
    health::{HealthReport, HealthState, PartitionReport},
    http::{Error, Gateway, json},
    metrics,
    partition::LogDirectory,
};

/// Answers `/livez`. Any answer shows that the runtime is alive.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Answers `/readyz`: whether new clients should be sent here. The answer does not depend on Kafka: see
/// [`Readiness`](crate::health::Readiness).
pub(super) async fn readyz(Extract(gateway): Extract<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.drain.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if !gateway.readiness.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// Answers `/healthz` with the state of everything and its reasons. The status is 503 if anything that is served is failing.
pub(in crate::http) async fn healthz(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    let health = health(&gateway);
    let status = match health.report.state {
        HealthState::Ok | HealthState::Degraded => StatusCode::OK,
        HealthState::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(json::response(status, &health)?)
}

/// Returns what `/healthz` shows.
pub(super) fn health(gateway: &Gateway) -> HealthDocument {
    let mut report = gateway.health.report(Instant::now());
    let partitions = report.clusters.iter_mut().flat_map(|it| &mut it.partitions);
    for partition in partitions {
        add_memory(partition, &gateway.lanes.source().directory);
    }
    HealthDocument {
        ready: gateway.readiness.is_ready() && !gateway.drain.is_draining(),
        draining: gateway.drain.is_draining(),
        held: gateway.metrics.held(),
        report,
    }
}

/// Adds what only the partition's log knows: the next offset, which the tail has before the first statistics, and the bytes in
/// memory.
fn add_memory(partition: &mut PartitionReport, directory: &LogDirectory) {
    if let Some(log) = directory.get(&partition.topic, partition.partition) {
        partition.memory_bytes = Some(log.bytes());
        partition.next_offset = Some(log.next());
    }
}

/// Answers `/admin/clients` with the clients that have most streams and those that are refused most.
pub(in crate::http) async fn clients(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    Ok(json::response(StatusCode::OK, &gateway.admission.report())?)
}

/// Answers `/metrics` with all metrics of the process.
pub(in crate::http) async fn metrics(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    let text = metrics::render_with(&gateway.registry, gateway.metrics.eventstreams.as_ref());
    let text = text.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// The report on health, with what only `http` knows.
#[derive(Serialize)]
pub(super) struct HealthDocument {
    #[serde(flatten)]
    report: HealthReport,
    /// Whether `/readyz` answers 200.
    ready: bool,
    draining: bool,
    /// The number of open streams that wait for Kafka.
    held: i64,
}
