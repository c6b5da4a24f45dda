//! Why somebody may not have more, and what to say of it.

use std::time::Duration;

/// Why a client may not have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is on the list of those who get nothing.
    Denied,
    /// It has as many streams as one client may have.
    Client,
    /// The IPv6 /48 that it is in has as many streams as one may have.
    Site,
    /// One of the streams that it names has as many clients as it may have.
    Stream,
    /// All clients together have as many as there may be, or all but a share that is kept for others.
    Host,
    /// It asks too often; its next request is welcome after this time.
    Rate(Duration),
}

impl Refusal {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Client => "client_streams",
            Self::Site => "site_streams",
            Self::Stream => "stream_clients",
            Self::Host => "host_streams",
            Self::Rate(_) => "request_rate",
        }
    }

    /// When to try again, in whole seconds, if ever: at random within a span, so that those who were refused together do
    /// not come back together.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::Denied => None,
            // Its own streams are in the way, and end when it likes. A dead one is noticed within a heartbeat.
            Self::Client | Self::Site => Some(fastrand::u64(5..=15)),
            // Somebody else's are; a crowd that finds the host full must not be one every few seconds.
            Self::Stream | Self::Host => Some(fastrand::u64(10..=30)),
            // The time is that of a single request, rounded down.
            Self::Rate(wait) => Some(wait.as_secs() + fastrand::u64(1..=6)),
        }
    }
}
