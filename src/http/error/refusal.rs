//! The rows of the error table for refusals by limits: status, type, title and detail.

use http::StatusCode;

use crate::limits::Refusal;

/// Returns the status, type and title of a refusal.
pub(super) fn refusal_status(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match refusal {
        Refusal::Denied => (S::FORBIDDEN, "forbidden", "Forbidden"),
        Refusal::Client => (
            S::TOO_MANY_REQUESTS,
            TOO_MANY,
            // The literal text of EventStreams, which its clients know.
            "Too Many Concurrent Connections From Your Client IP",
        ),
        Refusal::Site => (
            S::TOO_MANY_REQUESTS,
            TOO_MANY,
            "Too Many Concurrent Connections From Your Network",
        ),
        Refusal::Rate(_) => (
            S::TOO_MANY_REQUESTS,
            TOO_MANY,
            "Too Many Requests From Your Client IP",
        ),
        Refusal::Stream => (
            S::SERVICE_UNAVAILABLE,
            "unavailable",
            "Too Many Clients Of This Stream",
        ),
        Refusal::Host => (S::SERVICE_UNAVAILABLE, "unavailable", "Too Many Streams"),
    }
}

/// Returns what a refused client can do, as the detail of its error.
pub(super) fn refusal_detail(refusal: &Refusal) -> &'static str {
    match refusal {
        // The literal text of EventStreams, which its clients know.
        Refusal::Client => "Your HTTP client is likely opening too many concurrent connections.",
        Refusal::Rate(_) => {
            "Your HTTP client is likely reconnecting without a pause; it should wait for Retry-After."
        }
        Refusal::Denied => "this address is not served; whoever runs this service can say why",
        Refusal::Site => "the clients of your /48 hold as many connections as they may together",
        Refusal::Stream => "as many clients as may read one of these streams; come back after Retry-After",
        Refusal::Host => "all streams of this host are taken; come back after Retry-After",
    }
}

pub(super) const TOO_MANY: &str = "too_many_requests";
