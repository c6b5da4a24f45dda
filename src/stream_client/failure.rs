//! Errors of a probe's requests, each with a cause that helps the person on call.

use std::{error::Error, io, net::SocketAddr, path::PathBuf, time::Duration};

use tokio_rustls::rustls::{self, AlertDescription};

use crate::{
    position::DecodeError,
    sse::{EventTooLong, PRELUDE},
};

/// The reason why a stream could not be read. All of them are critical.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
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
    #[error("TLS: {0}")]
    Handshake(io::Error),
    #[error("no {what} within {after:?}")]
    Timeout { what: &'static str, after: Duration },
    #[error("no HTTP response: {}", causes(.0))]
    Http(hyper::Error),
    #[error("the credential in {} {why}", .path.display())]
    Credential { path: PathBuf, why: String },
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

impl StreamError {
    pub(crate) fn connect(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(address),
            _ => Self::Connect(address, error),
        }
    }

    /// Returns whether the credential cannot be sent. Nothing is known of the gateway then.
    pub(crate) fn is_of_credential(&self) -> bool {
        matches!(self, Self::Credential { .. })
    }

    /// Returns whether the gateway refuses clients without a certificate. With TLS 1.3 it says so behind the handshake.
    pub(crate) fn is_certificate_required(&self) -> bool {
        match self {
            Self::Handshake(error) => says_certificate_required(error),
            Self::Http(error) | Self::Broken(error) => says_certificate_required(error),
            _ => false,
        }
    }

    /// Returns whether nothing came in time. On a quiet stream that is no fault.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// Whether one of the causes of an error is the alert of a peer that requires a certificate.
fn says_certificate_required(error: &(dyn Error + 'static)) -> bool {
    let required = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    let mut cause = Some(error);
    while let Some(inner) = cause {
        // An I/O error passes on the sources of the error in it, and not that error itself.
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let is_required = |error: &rustls::Error| *error == required;
        let found = wrapped.and_then(|error| error.downcast_ref::<rustls::Error>());
        if found.is_some_and(is_required) || inner.downcast_ref().is_some_and(is_required) {
            return true;
        }
        cause = inner.source();
    }
    false
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_requires_a_certificate_is_found_below_an_error_of_io() {
        let handshake = |alert| {
            let error = rustls::Error::AlertReceived(alert);
            StreamError::Handshake(io::Error::new(io::ErrorKind::InvalidData, error))
        };
        assert!(handshake(AlertDescription::CertificateRequired).is_certificate_required());
        assert!(!handshake(AlertDescription::HandshakeFailure).is_certificate_required());
        assert!(!StreamError::Ended.is_certificate_required());
    }
}
