//! The JSON document of an error, in the shape that EventStreams gives it.
//!
//! A handler attaches [`ProblemDetails`] to its response. The middleware, which knows the literal request, makes the body of it.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use super::Error;
use crate::{catalog::ticket_parameter, http::json};

/// All that the document of an error says, but for the literal request.
#[derive(Clone, Debug)]
pub(super) struct ProblemDetails {
    pub(super) status: StatusCode,
    pub(super) r#type: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: String,
    pub(super) gap: Option<Value>,
    pub(super) header: Option<(header::HeaderName, HeaderValue)>,
}

/// The literal method and target of a request, for the document of an error.
#[derive(Clone, Debug)]
pub(in crate::http) struct RequestEcho {
    method: String,
    uri: String,
}

impl RequestEcho {
    /// Keeps the method and target of `request`, each up to [`MAX_ECHO`] bytes.
    pub(in crate::http) fn of<B>(request: &http::Request<B>) -> Self {
        let method = request.method().as_str();
        let uri = request.uri();
        Self {
            method: start_of(method).to_owned(),
            uri: match uri.path_and_query() {
                // Mostly it is all of the target, which is not written out to take the start of it.
                Some(target) if uri.authority().is_none() => start_of(target.as_str()).to_owned(),
                _ => start_of(&uri.to_string()).to_owned(),
            },
        }
    }

    /// Keeps what `line`, the request line of HTTP/1.1 as it came, says of method and target, each up to [`MAX_ECHO`] bytes.
    pub(in crate::http) fn of_line(line: &str) -> Self {
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        let uri = rest.split(' ').next().unwrap_or_default();
        Self {
            method: start_of(method).to_owned(),
            uri: start_of(uri).to_owned(),
        }
    }

    /// Adds the body and the header of an error to its response. Any other response stays as it is.
    pub(in crate::http) fn add_body(&self, mut response: Response) -> Response {
        let Some(problem) = response.extensions_mut().remove::<ProblemDetails>() else {
            return response;
        };
        // A document is shown to people, and kept in the logs of programs.
        let uri = ticket_parameter::mask_target(&self.uri);
        let document = ErrorDocument {
            status: problem.status.as_u16(),
            r#type: problem.r#type,
            title: problem.title,
            detail: &ticket_parameter::mask_tickets(&problem.detail),
            method: &self.method,
            uri: &uri,
            gap: problem.gap.as_ref(),
        };
        let mut answer = json::response(problem.status, &document)
            .unwrap_or_else(|error| Error::from(error).into_response());
        if let Some((name, value)) = problem.header {
            answer.headers_mut().insert(name, value);
        }
        // Whoever came with a credential gets no answer that a cache may keep, errors included, and none that tells its URL.
        for name in [header::CACHE_CONTROL, header::REFERRER_POLICY] {
            if let Some(value) = response.headers_mut().remove(&name) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

/// The document in the shape of EventStreams, with the fields in its order.
#[derive(Serialize)]
struct ErrorDocument<'a> {
    status: u16,
    r#type: &'a str,
    title: &'a str,
    detail: &'a str,
    method: &'a str,
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a Value>,
}

/// Returns the first [`MAX_ECHO`] bytes, or as many of them as whole characters have.
fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ECHO)]
}

/// How much of the method and of the target is sent back, in bytes: enough to recognise the request.
const MAX_ECHO: usize = 2048;
