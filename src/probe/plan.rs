//! What a probe is asked to do.

use std::{net::IpAddr, time::Duration};

use super::{ProbeTarget, Thresholds};

/// What a probe is asked to do. Connection, head, prelude and first event are always looked at.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    /// The stream.
    pub target: ProbeTarget,
    /// How long each check waits for what it needs.
    pub timeout: Duration,
    /// How old the newest record of each partition may be.
    pub max_age: Option<Duration>,
    /// Whether a cut and resumed stream is held against an uncut one.
    pub resume: bool,
    /// From how far back a stream is asked for.
    pub since: Option<Duration>,
    /// Whether one address is held to its streams.
    pub limit: Option<LimitCheck>,
    /// A record to produce and to see.
    pub canary: Option<CanaryCheck>,
    /// Which numbers warn or are critical.
    pub thresholds: Thresholds,
}

/// Whether one address is held to its streams, and another is served meanwhile.
#[derive(Clone, Debug)]
pub struct LimitCheck {
    /// How many streams one address may have.
    pub streams: u32,
    /// The source address that asks for more; the system's choice without.
    pub crowd: Option<IpAddr>,
    /// The source address that is to be served all the same.
    pub neighbour: IpAddr,
}

/// Marked records, one for each partition of a topic, that clients do not see.
#[derive(Clone, Debug)]
pub struct CanaryCheck {
    /// Brokers, `host:port` with commas between.
    pub bootstrap: String,
    /// A topic of the stream.
    pub topic: String,
    /// Settings for librdkafka, such as those of TLS and SASL.
    pub options: Vec<(String, String)>,
}

impl ProbePlan {
    /// How long a whole run can take if nothing hangs: every check its time.
    pub(super) fn longest(&self) -> Duration {
        let optional = [
            self.max_age.is_some(),
            self.resume,
            self.since.is_some(),
            self.limit.is_some(),
            self.canary.is_some(),
        ];
        let checks = optional.into_iter().filter(|asked| *asked).count();
        // One for the first event, and one for a quiet stream's last.
        self.timeout * (2 + checks as u32)
    }
}
