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
            "Your HTTP client is likely reconnecting without a pause. It should obey Retry-After."
        }
        Refusal::Denied => "this address is denied; ask the operator of this service for the reason",
        Refusal::Site => {
            "your IPv6 /48 has reached its connection limit; retry after the time in Retry-After"
        }
        Refusal::Stream => {
            "one of these streams has reached its client limit; retry after the time in Retry-After"
        }
        Refusal::Host => "this host has reached its limit of streams; retry after the time in Retry-After",
    }
}

pub(super) const TOO_MANY: &str = "too_many_requests";
