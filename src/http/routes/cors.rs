//! CORS of the public listener (Fetch standard): pages of all origins may read it.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::http::ALLOWED_METHODS;

/// The headers that a page may always send.
pub(in crate::http) const ALLOWED: &str =
    "accept, x-requested-with, content-type, last-event-id, cache-control";

/// Answers a preflight, whatever path it is for: a page may also read that a path does not exist.
pub(super) async fn answer_preflight(request: Request, next: Next) -> Response {
    match preflight(request.method(), request.headers()) {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

/// Returns the response to a preflight. Returns `None` if the request is none.
///
/// A page may send every header that it asks to send: we read few headers and trust none, and tracing libraries add their own to
/// every request of a page. The response names them one by one, because `*` does not cover `authorization`.
fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let is_preflight = method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let requested = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let requested = requested.filter(|requested| is_list_of_names(requested)).cloned();
    let fields = [
        (header::ALLOW, HeaderValue::from_static(ALLOWED_METHODS)),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD"),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            requested.unwrap_or(HeaderValue::from_static(ALLOWED)),
        ),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE)),
        (
            header::VARY,
            HeaderValue::from_static("Access-Control-Request-Headers"),
        ),
    ];
    Some((StatusCode::OK, fields).into_response())
}

/// Lets pages read `Retry-After`, which is not among the headers that they may read by default.
pub(super) fn expose_retry_after(headers: &mut HeaderMap) {
    if headers.contains_key(header::RETRY_AFTER) {
        let exposed = HeaderValue::from_static("retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

/// Whether a value is a list of header names, as browsers send it. Nothing else is repeated in a response.
fn is_list_of_names(list: &HeaderValue) -> bool {
    let is_name = |name: &[u8]| HeaderName::from_bytes(name.trim_ascii()).is_ok();
    let list = list.as_bytes();
    list.len() <= MAX_LIST_LEN && list.split(|byte| *byte == b',').all(is_name)
}

/// How long a preflight may be cached: a day, in seconds. Browsers keep it for two hours at most (Chromium), or a day (Firefox).
const MAX_AGE: &str = "86400";

/// The longest list of names that is sent back, in bytes.
const MAX_LIST_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(requested: &'static str) -> String {
        let headers = HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static("https://page.example")),
            (
                header::ACCESS_CONTROL_REQUEST_METHOD,
                HeaderValue::from_static("GET"),
            ),
            (
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                HeaderValue::from_static(requested),
            ),
        ]);
        let answer = preflight(&Method::OPTIONS, &headers).unwrap();
        let allowed = &answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS];
        allowed.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_page_may_send_what_it_asks_to_send() {
        for requested in [
            "authorization,baggage,sentry-trace",
            "Traceparent, X-Request-Id",
            "a",
        ] {
            assert_eq!(allowed(requested), requested);
        }
        for rubbish in ["", "a,,b", "a b", "<script>", "a, \"b\""] {
            assert_eq!(allowed(rubbish), ALLOWED, "{rubbish}");
        }
    }

    #[test]
    fn only_a_preflight_is_answered_as_one() {
        let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("null"))]);
        assert!(preflight(&Method::OPTIONS, &headers).is_none());
        assert!(preflight(&Method::GET, &headers).is_none());
    }
}
