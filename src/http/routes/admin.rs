//! What those who run riverhead ask it.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;

use crate::{
    health::{HealthReport, HealthState, PartitionReport},
    http::{error::Error, gateway::Gateway, json},
    metrics,
    partition::LogDirectory,
};

/// Whether the event loop turns: whoever gets an answer knows.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether new clients should be sent here. It says nothing of Kafka: see [`Readiness`](crate::health::Readiness).
pub(super) async fn readyz(Extract(gateway): Extract<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.drain.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if !gateway.readiness.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// How everything is, and why. 503 when something that is served is failing.
pub(in crate::http) async fn healthz(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    let mut report = gateway.health.report(Instant::now());
    let partitions = report.clusters.iter_mut().flat_map(|it| &mut it.partitions);
    for partition in partitions {
        add_memory(partition, &gateway.lanes.source().directory);
    }
    let status = match report.state {
        HealthState::Ok | HealthState::Degraded => StatusCode::OK,
        HealthState::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    let health = HealthDocument {
        ready: gateway.readiness.is_ready() && !gateway.drain.is_draining(),
        draining: gateway.drain.is_draining(),
        held: gateway.metrics.held(),
        report,
    };
    Ok(json::response(status, &health)?)
}

/// What only the logs know: where the tail stands before the first statistics, and what it keeps.
fn add_memory(partition: &mut PartitionReport, directory: &LogDirectory) {
    if let Some(log) = directory.get(&partition.topic, partition.partition) {
        partition.memory_bytes = Some(log.bytes());
        partition.next_offset = Some(log.next());
    }
}

/// Who has most streams, and who is refused most.
pub(in crate::http) async fn clients(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    Ok(json::response(StatusCode::OK, &gateway.admission.report())?)
}

/// Everything that is counted.
pub(in crate::http) async fn metrics(Extract(gateway): Extract<Arc<Gateway>>) -> Result<Response, Error> {
    let text = metrics::render(&gateway.registry).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

#[derive(Serialize)]
struct HealthDocument {
    #[serde(flatten)]
    report: HealthReport,
    /// What `/readyz` says.
    ready: bool,
    draining: bool,
    /// How many open streams wait for Kafka.
    held: i64,
}
