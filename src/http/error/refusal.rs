//! The rows of the error table for refusals by limits: status, type, title and detail.

use http::StatusCode;

use crate::limits::Refusal;

/// Status and type, and title.
pub(super) type Row = ((StatusCode, &'static str), &'static str);

/// Returns the status, type and title of a refusal.
pub(super) fn refusal_row(refusal: &Refusal) -> Row {
    match refusal {
        Refusal::Denied => (FORBIDDEN, "Forbidden"),
        // The literal text of EventStreams, which its clients know.
        Refusal::Client => (TOO_MANY, "Too Many Concurrent Connections From Your Client IP"),
        Refusal::Site => (TOO_MANY, "Too Many Concurrent Connections From Your Network"),
        Refusal::Rate(_) => (TOO_MANY, "Too Many Requests From Your Client IP"),
        Refusal::Stream => (UNAVAILABLE, "Too Many Clients Of This Stream"),
        Refusal::Host => (UNAVAILABLE, "Too Many Streams"),
        Refusal::Principal => (TOO_MANY, "Too Many Streams Of This Principal"),
        Refusal::PrincipalRate(_) => (TOO_MANY, "Too Many Requests Of This Principal"),
        Refusal::Credential => (INVALID_TOKEN, "Invalid Credential"),
    }
}

/// Returns what a refused client can do, as the detail of its error.
pub(super) fn refusal_detail(refusal: &Refusal) -> &'static str {
    match refusal {
        // The literal text of EventStreams, which its clients know.
        Refusal::Client => "Your HTTP client is likely opening too many concurrent connections.",
        Refusal::Principal => {
            "your credential has reached its limit of streams; retry after the time in Retry-After"
        }
        Refusal::Rate(_) | Refusal::PrincipalRate(_) => {
            "Your HTTP client is likely reconnecting without a pause. It should obey Retry-After."
        }
        Refusal::Denied => "this address is denied; ask the operator of this service for the reason",
        Refusal::Site => {
            "your IPv6 /48 has reached its connection limit; retry after the time in Retry-After"
        }
        Refusal::Stream => {
            "one of these streams has reached its client limit; retry after the time in Retry-After"
        }
        Refusal::Credential => "the credential is not accepted",
        Refusal::Host => "this host has reached its limit of streams; retry after the time in Retry-After",
    }
}

// Statuses with the type that most of their errors have.
pub(super) const BAD_REQUEST: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "bad_request");
pub(super) const FORBIDDEN: (StatusCode, &str) = (StatusCode::FORBIDDEN, "forbidden");
pub(super) const INVALID_TOKEN: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, "invalid_token");
pub(super) const TOO_MANY: (StatusCode, &str) = (StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
pub(super) const UNAVAILABLE: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
