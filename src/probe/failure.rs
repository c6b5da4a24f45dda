//! Errors of a probe's requests, each with a cause that helps the person on call.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use crate::{
    position::DecodeError,
    sse::{EventTooLong, PRELUDE},
};

/// The reason why a stream could not be read. All of them are critical.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("DNS: `{0}` does not resolve: {1}")]
    Dns(String, io::Error),
    #[error("DNS: `{0}` has no address")]
    NoAddress(String),
    #[error("{0} refuses connections")]
    Refused(SocketAddr),
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("no {what} within {after:?}")]
    Timeout { what: &'static str, after: Duration },
    #[error("no HTTP response: {}", causes(.0))]
    Http(hyper::Error),
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
    #[error("status {0} instead of 200{1}")]
    Status(u16, String),
    #[error("the stream begins with {got:?} instead of {PRELUDE_TEXT:?}", got = String::from_utf8_lossy(.0))]
    Prelude(Vec<u8>),
    #[error("the connection broke: {}", causes(.0))]
    Broken(hyper::Error),
    #[error("the stream ended")]
    Ended,
    #[error(transparent)]
    TooLong(#[from] EventTooLong),
    #[error("this is no health report")]
    NoHealth,
    #[error("an event has no id")]
    NoId,
    #[error("an event has an id that cannot be read: {0}")]
    BadId(#[from] DecodeError),
}

impl ProbeError {
    pub(super) fn connect(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(address),
            _ => Self::Connect(address, error),
        }
    }

    /// Returns whether nothing came in time. On a quiet stream that is no fault.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// Returns the error with its sources: hyper says `connection error`, and the reason is its source.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

const PRELUDE_TEXT: &str = match str::from_utf8(PRELUDE) {
    Ok(text) => text,
    Err(_) => "",
};
