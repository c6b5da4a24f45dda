//! What those who run riverhead ask it.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;

use super::{Gateway, error::Error, json};
use crate::metrics;

/// Whether the event loop turns: whoever gets an answer knows.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether new clients should be sent here. It says nothing of Kafka: see [`Readiness`](crate::health::Readiness).
pub(super) async fn readyz(State(gateway): State<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.drain.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if !gateway.readiness.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// This replica's state.
pub(super) async fn healthz(State(gateway): State<Arc<Gateway>>) -> Response {
    let health = Health {
        ready: gateway.readiness.is_ready() && !gateway.drain.is_draining(),
        draining: gateway.drain.is_draining(),
        held: gateway.metrics.held(),
    };
    json::response(StatusCode::OK, &health)
}

/// Who has most streams, and who is refused most.
pub(super) async fn clients(State(gateway): State<Arc<Gateway>>) -> Response {
    json::response(StatusCode::OK, &gateway.admission.report())
}

/// Everything that is counted.
pub(super) async fn metrics(State(gateway): State<Arc<Gateway>>) -> Result<Response, Error> {
    let text = metrics::render(&gateway.registry).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

#[derive(Serialize)]
struct Health {
    /// What `/readyz` says.
    ready: bool,
    draining: bool,
    /// How many open streams wait for Kafka.
    held: i64,
}
