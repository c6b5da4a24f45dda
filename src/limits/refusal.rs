//! Why somebody may not have more, and what to say of it.

use std::time::Duration;

/// Why a client may not have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It has as many streams as one client may have.
    Client,
    /// All clients together have as many as there may be, or all but the share of those who have none, and it has one.
    Host,
    /// It asks too often; its next request is welcome after this time.
    Rate(Duration),
}

impl Refusal {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client_streams",
            Self::Host => "host_streams",
            Self::Rate(_) => "request_rate",
        }
    }

    /// When to try again, in whole seconds: at random within a span, so that those who were refused together do not come
    /// back together.
    pub fn retry_after(self) -> u64 {
        match self {
            // Its own streams are in the way, and end when it likes. A dead one is noticed within a heartbeat.
            Self::Client => fastrand::u64(5..=15),
            // Somebody else's are; a crowd that finds the host full must not be one every few seconds.
            Self::Host => fastrand::u64(10..=30),
            // The time is that of a single request, rounded down.
            Self::Rate(wait) => wait.as_secs() + fastrand::u64(1..=6),
        }
    }
}
