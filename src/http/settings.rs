//! What the two listeners can be told.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use http::HeaderName;
use ipnet::IpNet;

pub use super::routes::hosts::{BadHostName, HostName};
use crate::client::{ClientAddrSource, ForwardedHeaders};

/// The section `http`: the public listener and the streams it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where the public listener accepts; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The peers whose forwarding headers are believed, without host bits. Empty believes nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// Which of `X-Forwarded-For` and `Forwarded` say who asks, where there is no `client_header`.
    pub forwarded: ForwardedHeaders,
    /// The one header of theirs that says who asks, in place of those.
    pub client_header: Option<HeaderName>,
    /// Whether each connection begins with a PROXY header (version 2), from a trusted proxy.
    pub proxy_protocol: bool,
    /// Which way the streams of plain HTTP/1.1 leave.
    pub sink: Sink,
    /// After this much silence a stream gets a heartbeat; more than zero, less than `stall_timeout`.
    pub heartbeat: Duration,
    /// After this much time without one byte taken by its socket a stream is reset; more than zero.
    pub stall_timeout: Duration,
    /// A stream that has waited this long for Kafka ends; more than zero.
    pub hold_limit: Duration,
    /// How long the closes of a drain are spread over; zero closes all streams at once.
    pub drain: Duration,
    /// How long a successor waits for the first answer from Kafka before it gives up; more than zero.
    pub takeover: Duration,
}

impl HttpSettings {
    /// Where trusted proxies say for whom they speak.
    pub(super) fn client_addr_source(&self) -> ClientAddrSource {
        let header = self.client_header.clone().map(ClientAddrSource::Header);
        header.unwrap_or(ClientAddrSource::ForwardedHeaders(self.forwarded))
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            // Loopback: what is served to the public is a decision, not an accident.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            trusted_proxies: Vec::new(),
            forwarded: ForwardedHeaders::default(),
            client_header: None,
            proxy_protocol: false,
            sink: Sink::default(),
            // A quarter of the 60 s after which common proxies and load balancers cut a silent connection.
            heartbeat: Duration::from_secs(15),
            // Four heartbeats: longer than a phone between two cells, shorter than a reader that is gone.
            stall_timeout: Duration::from_secs(60),
            // Longer than a rolling restart of the brokers; a replica that alone lost Kafka must not keep its clients.
            hold_limit: Duration::from_secs(600),
            // Below the 30 s that Kubernetes grants before it kills, with room for the rest of the stop.
            drain: Duration::from_secs(20),
            // Longer than an election; whoever restarts wants to know within a minute that it came to nothing.
            takeover: Duration::from_secs(30),
        }
    }
}

/// Which way a stream of plain HTTP/1.1 leaves. All others leave through hyper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Over the bare socket, which is taken back from hyper once the head is written.
    Socket,
    /// As a body that hyper writes.
    Body,
}

impl Sink {
    /// Both, in the order in which they are explained.
    pub const ALL: &[Self] = &[Self::Socket, Self::Body];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Body => "body",
        }
    }
}

impl Default for Sink {
    fn default() -> Self {
        // Nothing of it is Linux's own, but nowhere else has it been measured.
        if cfg!(target_os = "linux") {
            Self::Socket
        } else {
            Self::Body
        }
    }
}

/// The section `admin`: the listener for those who run riverhead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where it accepts; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What whoever commands something must know; `None` takes no commands.
    pub token: Option<AdminToken>,
    /// The names under which it may be asked, beside addresses and `localhost`.
    pub hosts: Vec<HostName>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            // Loopback: health and metrics name brokers and topics, which is nobody else's business.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            token: None,
            hosts: Vec::new(),
        }
    }
}

/// A secret of at least 16 visible ASCII characters. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(Arc<str>);

/// The text is no [`AdminToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    /// It could be guessed.
    #[error("this has fewer than {MIN_TOKEN_LEN} characters")]
    Short,
    /// It would not survive a header.
    #[error("this has a character that no header carries")]
    Character,
}

impl AdminToken {
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

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// 96 bits, when it is base64.
const MIN_TOKEN_LEN: usize = 16;
