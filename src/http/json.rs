//! JSON answers.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

use super::error::Error;

/// `document` as an answer.
pub(super) fn response(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => (status, [(header::CONTENT_TYPE, JSON)], text).into_response(),
        Err(error) => Error::Internal(error.to_string()).into_response(),
    }
}

/// The type of every JSON document we send, streams of them included.
pub(super) const JSON: &str = "application/json; charset=utf-8";
