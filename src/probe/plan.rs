//! The plan of a probe: which checks to run, against what.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::{StreamTarget, Thresholds, TlsOptions};

/// The checks of a probe. Connection, head, prelude and first event are always checked.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    /// The stream.
    pub target: StreamTarget,
    /// Whom to trust with https, and what to show.
    pub tls: TlsOptions,
    /// The file with the credential to send: an API key or a token. It is read at each connection, and never shown.
    pub token_file: Option<PathBuf>,
    /// The admin listener of the gateway, which is asked for the reasons if a check fails.
    pub admin: Option<StreamTarget>,
    /// How long each check waits for what it needs.
    pub timeout: Duration,
    /// The largest age of the newest record of each partition.
    pub max_age: Option<Duration>,
    /// Whether to compare a stream that was cut and resumed with one that was not cut.
    pub resume: bool,
    /// How long ago the stream of the `since` check begins.
    pub since: Option<Duration>,
    /// The check of the limit of streams for one address.
    pub limit: Option<LimitCheck>,
    /// The check with a record that is produced and has to arrive.
    pub canary: Option<CanaryCheck>,
    /// The names of streams that a client without a credential must not get.
    pub closed: Vec<String>,
    /// The operator's thresholds.
    pub thresholds: Thresholds,
}

/// The check that one address is limited in its streams, and another is served meanwhile.
#[derive(Clone, Debug)]
pub struct LimitCheck {
    /// How many streams one address may have.
    pub streams: u32,
    /// The source address that exceeds the limit. The system chooses one if it is `None`.
    pub crowd: Option<IpAddr>,
    /// The source address that has to be served meanwhile.
    pub neighbour: IpAddr,
}

/// The check with canaries: marked records, one for each partition of a topic, that other clients do not see.
#[derive(Clone, Debug)]
pub struct CanaryCheck {
    /// The brokers, as `host:port` separated by commas.
    pub bootstrap: String,
    /// A topic of the stream.
    pub topic: String,
    /// Settings for librdkafka, such as those of TLS and SASL.
    pub options: Vec<(String, String)>,
}

impl ProbePlan {
    /// Returns how long a run may take if nothing hangs: the timeout of every check, and of the question to the admin listener.
    pub(super) fn longest(&self) -> Duration {
        let optional = [
            self.max_age.is_some(),
            self.resume,
            self.since.is_some(),
            self.limit.is_some(),
            self.canary.is_some(),
            !self.closed.is_empty(),
            self.admin.is_some(),
        ];
        let checks = optional.into_iter().filter(|asked| *asked).count();
        // One for the first event, and one for the last event of a quiet stream.
        self.timeout * (2 + checks as u32)
    }
}
