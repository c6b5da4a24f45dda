//! Responses with a JSON document as their body.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

/// Returns a response with `document` as its body.
///
/// # Errors
/// When `document` has no form in JSON, as a map whose keys are no strings.
pub(super) fn response(status: StatusCode, document: &impl Serialize) -> serde_json::Result<Response> {
    let text = serde_json::to_string(document)?;
    Ok((status, [(header::CONTENT_TYPE, JSON)], text).into_response())
}

/// The `Content-Type` of every JSON document we send, and of streams of them.
pub(super) const JSON: &str = "application/json; charset=utf-8";
