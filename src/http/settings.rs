//! The settings of the two listeners: the sections `http` and `admin` of the configuration.
//!
//! Not here: parsing them (`config`), and limits (`limits::settings`).

use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, header};
use ipnet::IpNet;

pub use super::routes::hosts::{BadHostName, HostName};
use crate::{
    client::{ClientAddrSource, ForwardedHeaders},
    tls::settings::TlsSettings,
};

/// The section `http`: the public listener and the streams it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The address of the public listener without TLS. Port 0 takes a free one. `None` if there is no such listener.
    pub listen: Option<SocketAddr>,
    /// Whether that listener answers nothing but redirects to the one with TLS, and health checks.
    pub redirect: bool,
    /// The public listener with TLS, if there is one.
    pub tls: Option<HttpsSettings>,
    /// The networks of the proxies whose forwarding headers are believed, without host bits. If empty, no peer is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which of `X-Forwarded-For` and `Forwarded` carry the client address, if there is no `client_header`.
    pub forwarded: ForwardedHeaders,
    /// The one header in which the trusted proxies send the client address, in place of those.
    pub client_header: Option<HeaderName>,
    /// Whether each connection begins with a PROXY header (version 2), from a trusted proxy.
    pub proxy_protocol: bool,
    /// Which pages may read the answers.
    pub cors: CorsSettings,
    /// How the streams of HTTP/1.1 are written, without TLS and with TLS 1.3.
    pub sink: Sink,
    /// A stream gets a heartbeat after this much silence. More than zero, less than `stall_timeout`.
    pub heartbeat: Duration,
    /// A stream is reset if its socket takes no byte for this long. More than zero.
    pub stall_timeout: Duration,
    /// A stream ends if it has waited this long for Kafka. More than zero.
    pub hold_limit: Duration,
    /// How long the closes of a drain are spread over. Zero closes all streams at once.
    pub drain: Duration,
    /// How long a successor waits for the first answer from Kafka before it gives up. More than zero.
    pub takeover: Duration,
}

impl HttpSettings {
    /// Returns the headers in which trusted proxies send the client address.
    pub(super) fn client_addr_source(&self) -> ClientAddrSource {
        let header = self.client_header.clone().map(ClientAddrSource::Header);
        header.unwrap_or(ClientAddrSource::ForwardedHeaders(self.forwarded))
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            // Loopback: serving the public is a decision, not an accident.
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
            redirect: false,
            tls: None,
            trusted_proxies: Vec::new(),
            forwarded: ForwardedHeaders::default(),
            client_header: None,
            proxy_protocol: false,
            cors: CorsSettings::default(),
            sink: Sink::default(),
            // A quarter of the 60 s after which common proxies and load balancers cut a silent connection.
            heartbeat: Duration::from_secs(15),
            // Four heartbeats: longer than a phone is silent between two cells, and short enough for a reader that is gone.
            stall_timeout: Duration::from_secs(60),
            // Longer than a rolling restart of the brokers. A replica that alone lost Kafka must not keep its clients for longer.
            hold_limit: Duration::from_secs(600),
            // Below the 30 s that Kubernetes grants before it kills, with room for the rest of the stop.
            drain: Duration::from_secs(20),
            // Longer than an election of leaders. An operator who restarts wants to know within a minute that it failed.
            takeover: Duration::from_secs(30),
        }
    }
}

/// The section `http.cors`: which pages may read the public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsSettings {
    /// The origins of these pages.
    pub origins: AllowedOrigins,
    /// Whether they may send cookies. If so, the origins are listed.
    pub credentials: bool,
    /// The headers of answers that they may read besides those that every page may.
    pub expose: Vec<HeaderName>,
    /// How long a browser may keep the answer to a preflight, in whole seconds.
    pub max_age: Duration,
}

impl Default for CorsSettings {
    fn default() -> Self {
        Self {
            origins: AllowedOrigins::All,
            credentials: false,
            expose: vec![header::RETRY_AFTER],
            // Browsers keep it for two hours at most (Chromium), or a day (Firefox).
            max_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// The origins whose pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// All of them.
    All,
    /// These, as browsers send them.
    Listed(Vec<String>),
}

/// The section `http.tls`: the public listener with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsSettings {
    /// The address of the listener. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its certificates, and what it asks of clients.
    pub tls: TlsSettings,
}

impl Default for HttpsSettings {
    fn default() -> Self {
        Self {
            // Loopback, as for plain HTTP.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            tls: TlsSettings::default(),
        }
    }
}

named! {
    /// How a stream of HTTP/1.1 is written, without TLS or with TLS 1.3. All other responses are written by hyper.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Sink {
        /// Over the bare socket, which is taken back from hyper once the head is written.
        Socket = "socket",
        /// As a response body that hyper writes.
        Body = "body",
    }
}

impl Default for Sink {
    fn default() -> Self {
        // The socket sink uses nothing that only Linux has, but it has been measured nowhere else.
        if cfg!(target_os = "linux") {
            Self::Socket
        } else {
            Self::Body
        }
    }
}

/// The section `admin`: the listener for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address of the listener. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The token that commands need. With `None` every command is refused.
    pub token: Option<AdminToken>,
    /// The host names under which it answers, beside addresses and `localhost`.
    pub hosts: Vec<HostName>,
    /// Its certificates, and what it asks of clients. `None` if it speaks plain HTTP.
    pub tls: Option<TlsSettings>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            // Loopback: health and metrics name brokers and topics, which the public is not to know.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            token: None,
            hosts: Vec::new(),
            tls: None,
        }
    }
}

/// A secret of at least 16 visible ASCII characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(Arc<str>);

/// Why a text is no [`AdminToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    /// It is short enough to be guessed.
    #[error("this has fewer than {MIN_TOKEN_LEN} characters")]
    Short,
    /// It has a character that cannot be sent in a header.
    #[error("this has a character other than visible ASCII")]
    Character,
}

impl AdminToken {
    /// Returns the secret itself, to be hashed.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for AdminToken {
    type Err = AdminTokenError;

    fn from_str(text: &str) -> Result<Self, AdminTokenError> {
        match text {
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(AdminTokenError::Character),
            _ if text.len() < MIN_TOKEN_LEN => Err(AdminTokenError::Short),
            _ => Ok(Self(text.into())),
        }
    }
}

debug_by_name!(AdminToken);

/// The shortest token, in characters: 96 bits if it is base64.
const MIN_TOKEN_LEN: usize = 16;
