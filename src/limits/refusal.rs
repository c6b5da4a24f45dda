//! The reasons for a refusal, and when to retry.

use std::time::Duration;

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client is on the deny list.
    Denied,
    /// The client has as many streams as one client may have.
    Client,
    /// The client's IPv6 /48 has as many streams as one may have.
    Site,
    /// One of the requested streams has as many clients as it may have.
    Stream,
    /// The host has as many streams as it may have, or all but a share that is kept for others.
    Host,
    /// The client sends requests too often. Its next one is welcome after this time.
    Rate(Duration),
    /// The principal has as many streams as it may have.
    Principal,
    /// The principal sends requests too often. Its next one is welcome after this time.
    PrincipalRate(Duration),
    /// The client's credential is bad.
    Credential,
}

impl Refusal {
    /// Returns the reason's name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Client => "client_streams",
            Self::Site => "site_streams",
            Self::Stream => "stream_clients",
            Self::Host => "host_streams",
            Self::Rate(_) => "request_rate",
            Self::Principal => "principal_streams",
            Self::PrincipalRate(_) => "principal_rate",
            Self::Credential => "credential",
        }
    }

    /// Returns when to retry, in whole seconds, or `None` if never. It is random within a span, so that clients that were refused
    /// together do not come back together.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::Denied | Self::Credential => None,
            // Its own streams are in the way, and end when it likes. A dead one is noticed within a heartbeat.
            Self::Client | Self::Site | Self::Principal => Some(fastrand::u64(5..=15)),
            // Streams of other clients are in the way. A crowd that finds the host full must not come back every few seconds.
            Self::Stream | Self::Host => Some(fastrand::u64(10..=30)),
            // The time is that of a single request, rounded down.
            Self::Rate(wait) | Self::PrincipalRate(wait) => Some(wait.as_secs() + fastrand::u64(1..=6)),
        }
    }
}
