//! What the service says of itself: `/_info` and the paths below it, `/rc`, and `robots.txt`.
//!
//! These paths are EventStreams' own. Its monitoring and its tests ask for them.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use crate::http::{error::Error, json};

/// Answers `/_info` with the name and version of the service, in the shape that the liveness probe of EventStreams expects.
pub(super) async fn info() -> Result<Response, Error> {
    Ok(json::response(
        StatusCode::OK,
        &json!({"name": NAME, "version": VERSION, "description": DESCRIPTION, "home": HOME}),
    )?)
}

/// Answers `/_info/name`.
pub(super) async fn name() -> Result<Response, Error> {
    Ok(json::response(StatusCode::OK, &json!({"name": NAME}))?)
}

/// Answers `/_info/version`.
pub(super) async fn version() -> Result<Response, Error> {
    Ok(json::response(StatusCode::OK, &json!({"version": VERSION}))?)
}

/// Answers `/_info/home`, `/rc`, the path of the service before EventStreams, and `/v2/ui`, where EventStreams has a page: sends
/// browsers to the page. They take the fragment along, which says what to show.
pub(super) async fn home() -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, HOME)]).into_response()
}

/// Answers `/robots.txt`, which keeps crawlers away: a crawler would hang in a stream, which has no end.
pub(super) async fn robots() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        "User-agent: *\nDisallow: /\n",
    )
        .into_response()
}

/// Where the page and the list of streams are.
const HOME: &str = "/";

pub(super) const NAME: &str = env!("CARGO_PKG_NAME");
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
pub(super) const DESCRIPTION: &str = "Apache Kafka topics as resumable Server-Sent Events";
