//! The errors of requests, and the one table from an error to the status, type and title that a client gets.
//!
//! Not here: the form of the document (`problem`), and the rows for refusals by limits (`refusal`).

pub(super) mod problem;
mod refusal;

use std::{any::Any, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tower_governor::GovernorError;

use self::{
    problem::ProblemDetails,
    refusal::{
        BAD_REQUEST, FORBIDDEN, INVALID_TOKEN, Row, TOO_MANY, UNAVAILABLE, refusal_detail, refusal_row,
    },
};
use crate::{
    auth::CredentialError,
    catalog::{MAX_STREAMS_PER_REQUEST, SelectError},
    filter::{FilterError, TooManyFilters},
    limits::Refusal,
    position::{DecodeError, TopicSet},
    subscription::Gap,
};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("Invalid streams: {}", .0.join(","))]
    UnknownStreams(Vec<String>),
    #[error("there is no stream of this name; /v2/streams lists those that you may read")]
    NoSuchStream,
    #[error("the request names more than {MAX_STREAMS_PER_REQUEST} streams; split it into several requests")]
    TooManyStreams,
    #[error("since timestamp is not a UTC milliseconds unix epoch and was not parseable: '{0}'")]
    BadSince(String),
    #[error(transparent)]
    BadFilter(#[from] FilterError),
    #[error(transparent)]
    TooManyFilters(#[from] TooManyFilters),
    #[error(transparent)]
    BadId(#[from] DecodeError),
    #[error(
        "the id names topics that these streams do not have: {}; their topics are: {}",
        .requested.join(", "),
        names(.available)
    )]
    TopicNotAvailable {
        requested: Vec<String>,
        available: TopicSet,
    },
    #[error("{0}")]
    OtherPartitions(String),
    #[error("{0}")]
    BadParameter(String),
    #[error("the path is not valid percent-encoded UTF-8")]
    BadPath,
    #[error("no such path; streams are at /v2/stream/{{streams}}, and / lists them")]
    NoSuchPath,
    #[error("this path allows only GET, HEAD and OPTIONS")]
    BadMethod,
    #[error("the request is not valid HTTP/1.1: {0}")]
    Malformed(String),
    #[error("the request target is longer than {0} bytes")]
    TargetTooLong(usize),
    #[error("the headers of the request are larger than {0} bytes")]
    HeadTooLarge(usize),
    #[error("the request has more than {0} headers")]
    TooManyHeaders(usize),
    #[error("the request needs one valid Host header; {0}")]
    BadHost(&'static str),
    #[error("Transfer-Encoding must be 'chunked', given once")]
    BadCoding,
    #[error("the body of a GET request is ignored, but must not be longer than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the position cannot be resumed without a gap")]
    Gap(Gap),
    #[error(
        "it was not determined in time whether the position can be resumed without a gap; \
         retry after the time in Retry-After"
    )]
    Undetermined { retry_after: Duration },
    #[error("{}", refusal_detail(.0))]
    Refused(Refusal),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("this stream needs a credential: send the header `Authorization: Bearer CREDENTIAL`")]
    CredentialRequired,
    #[error("the credential has none of the scopes that stream '{stream}' needs: {}", .scopes.join(", "))]
    InsufficientScope { stream: String, scopes: Vec<Arc<str>> },
    #[error("the credential lacks a claim that stream '{stream}' needs, or it is of another type")]
    ClaimMissing { stream: String },
    #[error("the ticket is not for stream '{0}'")]
    OutsideTicket(String),
    #[error("a ticket cannot make another one: send the credential that it was made with")]
    TicketForTicket,
    #[error("the ticket would be too long for a URL: ask for fewer streams, or with a shorter filter")]
    LongTicket,
    #[error("the body must be JSON, with the header `Content-Type: application/json`")]
    NotJson,
    #[error("{0}")]
    BadBody(String),
    #[error("the request has more than one credential")]
    SeveralCredentials,
    #[error("the cookie was sent by a page whose origin is not listed; see `http.cors`")]
    ForeignCookie,
    #[error("credentials are accepted over TLS only: others can read them on the way")]
    PlainCredential,
    #[error("this path allows only POST")]
    NotPost,
    /// The answer to a command. [`UnknownHost`](Self::UnknownHost) is the answer to any other request.
    #[error("this listener does not allow the host name of the request; see `admin.hosts`")]
    WrongHost,
    #[error(
        "this listener does not allow the host name of the request; \
         its operator can add the name to `admin.hosts`"
    )]
    UnknownHost,
    #[error("this listener refuses requests from web pages of other origins")]
    OtherOrigin,
    #[error("there were too many commands with a wrong token; retry after the time in Retry-After")]
    TooManyAttempts,
    #[error("no token is configured, so commands are disabled; see `admin.token`")]
    NoCommands,
    #[error("commands need the header `Authorization: Bearer TOKEN`; see `admin.token`")]
    NoToken,
    #[error("this path needs the header `Authorization: Bearer TOKEN`; see `admin.token`")]
    NoTokenToRead,
    #[error("{0}")]
    BadCommand(String),
    #[error("{0}")]
    Conflict(String),
    /// What was asked for cannot be kept in its file. The text is for whoever sends commands.
    #[error("{0}")]
    NotStored(String),
    /// A fault of ours. The text is for the log only.
    #[error("the request failed because of an internal error; the client did not cause it")]
    Internal(String),
}

impl Error {
    /// Returns the error that a client gets if a handler panicked.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Internal(text.unwrap_or_else(|| "a panic without a message".to_owned()))
    }

    /// Returns the error's row of the table: status and type, and title.
    fn row(&self) -> Row {
        use StatusCode as S;
        match self {
            // 400 rather than 404: clients of EventStreams expect it.
            Self::UnknownStreams(_) => ((S::BAD_REQUEST, "not_found"), "Stream Not Found"),
            Self::NoSuchStream => ((S::NOT_FOUND, "not_found"), "Stream Not Found"),
            Self::TooManyStreams => (BAD_REQUEST, "Too Many Streams"),
            Self::BadSince(_) => ((S::BAD_REQUEST, "invalid_timestamp"), "Invalid timestamp"),
            Self::BadFilter(_) => ((S::BAD_REQUEST, "invalid_filter"), "Invalid Filter"),
            Self::TooManyFilters(TooManyFilters::Client) => (TOO_MANY, "Too Many Different Filters"),
            Self::TooManyFilters(TooManyFilters::Host) => (UNAVAILABLE, "Too Many Different Filters"),
            Self::BadId(_) => ((S::BAD_REQUEST, "invalid_last_event_id"), "Invalid Last-Event-ID"),
            Self::TopicNotAvailable { .. } => ((S::NOT_FOUND, "topic_not_available"), "Topic Not Available"),
            Self::OtherPartitions(_) => ((S::CONFLICT, "other_partitions"), "Id Of Other Partitions"),
            Self::BadParameter(_) => (BAD_REQUEST, "Bad Query Parameter"),
            Self::BadPath => (BAD_REQUEST, "Bad Path"),
            Self::NoSuchPath => ((S::NOT_FOUND, "not_found"), "Not Found"),
            Self::BadMethod | Self::NotPost => (
                (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
                "Method Not Allowed",
            ),
            Self::TargetTooLong(_) => ((S::URI_TOO_LONG, "uri_too_long"), "URI Too Long"),
            Self::Malformed(_) => (BAD_REQUEST, "Malformed Request"),
            Self::BadHost(_) => (BAD_REQUEST, "Bad Host"),
            Self::BadCoding => (BAD_REQUEST, "Bad Transfer-Encoding"),
            Self::BodyTooLarge(_) => ((S::PAYLOAD_TOO_LARGE, "content_too_large"), "Content Too Large"),
            Self::HeadTooLarge(_) | Self::TooManyHeaders(_) => (
                (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
                "Request Header Fields Too Large",
            ),
            Self::Gap(_) => ((S::GONE, "gap"), "Cannot Resume Without A Gap"),
            Self::Undetermined { .. } => (UNAVAILABLE, "Not Determined In Time"),
            Self::Refused(refusal) => refusal_row(refusal),
            Self::Credential(CredentialError::Invalid(_)) => (INVALID_TOKEN, "Invalid Credential"),
            Self::Credential(CredentialError::Unavailable { .. }) => (UNAVAILABLE, "Credential Not Checked"),
            Self::CredentialRequired => ((S::UNAUTHORIZED, "unauthorized"), "Credential Required"),
            Self::InsufficientScope { .. } => ((S::FORBIDDEN, "insufficient_scope"), "Insufficient Scope"),
            Self::ClaimMissing { .. } => ((S::FORBIDDEN, "insufficient_scope"), "Claim Missing"),
            Self::OutsideTicket(_) | Self::TicketForTicket => (FORBIDDEN, "Outside The Ticket"),
            Self::LongTicket => (BAD_REQUEST, "Ticket Too Long"),
            Self::NotJson => (
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
                "Unsupported Media Type",
            ),
            Self::BadBody(_) => (BAD_REQUEST, "Bad Body"),
            Self::SeveralCredentials => ((S::BAD_REQUEST, "invalid_request"), "Several Credentials"),
            Self::ForeignCookie => (FORBIDDEN, "Cookie From Another Origin"),
            Self::PlainCredential => (FORBIDDEN, "Credential Without TLS"),
            Self::UnknownHost => (FORBIDDEN, "Unknown Host"),
            Self::OtherOrigin => (FORBIDDEN, "Request From Another Origin"),
            Self::TooManyAttempts => (TOO_MANY, "Too Many Wrong Tokens"),
            Self::WrongHost => ((S::MISDIRECTED_REQUEST, "misdirected_request"), "Unknown Host"),
            Self::NoCommands => (FORBIDDEN, "Commands Disabled"),
            Self::NoToken | Self::NoTokenToRead => ((S::UNAUTHORIZED, "unauthorized"), "Token Required"),
            Self::BadCommand(_) => (BAD_REQUEST, "Bad Command"),
            Self::Conflict(_) => ((S::CONFLICT, "conflict"), "Conflict"),
            Self::NotStored(_) => ((S::INSUFFICIENT_STORAGE, "insufficient_storage"), "Not Stored"),
            Self::Internal(_) => (
                (S::INTERNAL_SERVER_ERROR, "internal_error"),
                "Internal Server Error",
            ),
        }
    }

    /// Returns the header that goes with the status, if there is one.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        Some(match self {
            Self::BadMethod => (header::ALLOW, HeaderValue::from_static(ALLOWED_METHODS)),
            Self::NotPost => (header::ALLOW, HeaderValue::from_static("POST")),
            // What follows on the connection may still belong to this request.
            Self::BadCoding | Self::BodyTooLarge(_) => {
                (header::CONNECTION, HeaderValue::from_static("close"))
            }
            Self::Credential(CredentialError::Unavailable { retry_after }) => {
                (header::RETRY_AFTER, spread(*retry_after).into())
            }
            Self::Credential(_)
            | Self::CredentialRequired
            | Self::InsufficientScope { .. }
            | Self::ClaimMissing { .. }
            | Self::SeveralCredentials => (header::WWW_AUTHENTICATE, self.challenge()?),
            Self::NoToken | Self::NoTokenToRead => {
                (header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
            }
            Self::TooManyFilters(_) => (header::RETRY_AFTER, FILTERS_RETRY_AFTER.into()),
            Self::TooManyAttempts => (header::RETRY_AFTER, AUTH_RETRY_AFTER.into()),
            Self::Undetermined { retry_after } => (header::RETRY_AFTER, retry_after.as_secs().into()),
            Self::Refused(refusal) => (header::RETRY_AFTER, refusal.retry_after()?.into()),
            _ => return None,
        })
    }

    /// Returns the value of `WWW-Authenticate` (RFC 6750, section 3).
    fn challenge(&self) -> Option<HeaderValue> {
        let challenge = match self {
            Self::Credential(CredentialError::Invalid(why)) => {
                format!("{CHALLENGE}, error=\"invalid_token\", error_description=\"{why}\"")
            }
            Self::InsufficientScope { scopes, .. } => {
                format!(
                    "{CHALLENGE}, error=\"insufficient_scope\"{}",
                    scope_attribute(scopes)
                )
            }
            // The names of claims are not for the client.
            Self::ClaimMissing { .. } => format!("{CHALLENGE}, error=\"insufficient_scope\""),
            Self::SeveralCredentials => format!("{CHALLENGE}, error=\"invalid_request\""),
            _ => CHALLENGE.to_owned(),
        };
        HeaderValue::from_str(&challenge).ok()
    }

    /// Returns all that a client gets but what it asked for itself: the row, the detail, and a header if the status has one.
    fn problem_details(&self) -> ProblemDetails {
        if let Self::Internal(cause) = self {
            tracing::error!(%cause, "a request failed with an internal error; please report this as a bug");
        }
        let ((status, r#type), title) = self.row();
        let gap = match self {
            Self::Gap(gap) => serde_json::from_str(&gap.to_string()).ok(),
            _ => None,
        };
        ProblemDetails {
            status,
            r#type,
            title,
            detail: self.to_string(),
            gap,
            header: self.header(),
        }
    }
}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Unknown(names) => Self::UnknownStreams(names),
            SelectError::TooMany => Self::TooManyStreams,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<GovernorError> for Error {
    fn from(error: GovernorError) -> Self {
        match error {
            GovernorError::TooManyRequests { wait_time, .. } => {
                Self::Refused(Refusal::Rate(Duration::from_secs(wait_time)))
            }
            fault => Self::Internal(fault.to_string()),
        }
    }
}

impl IntoResponse for Error {
    /// Returns the response without its body. [`RequestEcho::add_body`](problem::RequestEcho::add_body) adds that, because a
    /// handler does not know the literal request.
    fn into_response(self) -> Response {
        let problem = self.problem_details();
        let mut response = problem.status.into_response();
        response.extensions_mut().insert(problem);
        match self {
            Self::Refused(refusal) => _ = response.extensions_mut().insert(refusal),
            // Whoever tries one credential after the other is held back like a client that asks too often.
            Self::Credential(CredentialError::Invalid(_)) => {
                _ = response.extensions_mut().insert(Refusal::Credential);
            }
            _ => {}
        }
        response
    }
}

/// Returns the attribute that names these scopes. Those that cannot stand in it (RFC 6749, section 3.3) are left out, and the
/// attribute too if there is no other: it may not be empty.
fn scope_attribute(scopes: &[Arc<str>]) -> String {
    let is_token = |scope: &&str| {
        let mut bytes = scope.bytes();
        !scope.is_empty() && bytes.all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
    };
    let scopes: Vec<&str> = scopes.iter().map(|scope| &**scope).filter(is_token).collect();
    match scopes.is_empty() {
        true => String::new(),
        false => format!(", scope=\"{}\"", scopes.join(" ")),
    }
}

/// Returns when to retry, in whole seconds, so that clients that were refused together do not come back together.
fn spread(retry_after: Duration) -> u64 {
    retry_after.as_secs() + fastrand::u64(0..=10)
}

/// Joins the names of topics for a message.
fn names(topics: &TopicSet) -> String {
    let names: Vec<_> = topics.names().map(|name| &**name).collect();
    names.join(", ")
}

/// The challenge of RFC 6750. Its parameters begin with a realm, because a scheme without any is malformed (RFC 9110, section 11.6.1).
const CHALLENGE: &str = "Bearer realm=\"riverhead\"";

/// The value of the header `Allow` of routes that only read, written as EventStreams writes it.
pub(super) const ALLOWED_METHODS: &str = "GET,HEAD";

/// The `Retry-After` of a client whose filter found no free slot, in seconds: streams end rarely.
const FILTERS_RETRY_AFTER: u16 = 30;

/// The `Retry-After` of a client that sent too many wrong tokens, in seconds.
const AUTH_RETRY_AFTER: u16 = 60;

#[cfg(test)]
mod tests;
