//! What the service says of itself: `/_info`, and `robots.txt`.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use crate::http::{error::Error, json};

/// Answers `/_info` with the name and version of the service, in the shape that the liveness probe of EventStreams expects.
pub(super) async fn info() -> Result<Response, Error> {
    Ok(json::response(
        StatusCode::OK,
        &json!({"name": NAME, "version": VERSION, "description": DESCRIPTION, "home": "/"}),
    )?)
}

/// Answers `/robots.txt`, which keeps crawlers away: a crawler would hang in a stream, which has no end.
pub(super) async fn robots() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        "User-agent: *\nDisallow: /\n",
    )
        .into_response()
}

pub(super) const NAME: &str = env!("CARGO_PKG_NAME");
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
pub(super) const DESCRIPTION: &str = "Apache Kafka topics as resumable Server-Sent Events";
