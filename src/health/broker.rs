//! The health of one broker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    report::{BrokerReport, age},
    state::{Verdict, seconds},
};

/// The connection to a broker, as librdkafka's statistics describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConnection {
    /// The broker's id.
    pub id: i32,
    /// The broker's `host:port`.
    pub address: Arc<str>,
    /// librdkafka's name for the state of the connection, such as `UP` or `TRY_CONNECT`.
    pub state: String,
    /// The number of connections made so far.
    pub connects: u64,
    /// The number of connections lost so far.
    pub disconnects: u64,
    /// The 99th percentile of the time that an answer takes. `None` if nothing was asked lately.
    pub rtt: Option<Duration>,
}

/// The facts about one broker.
#[derive(Debug)]
pub(super) struct BrokerHealth {
    /// When the broker became known.
    since: Instant,
    connection: Option<BrokerConnection>,
    /// When the broker last answered a request that was sent to it alone.
    answered: Option<Instant>,
    /// How long the broker made us wait because of a quota, and when it last did.
    throttled: Option<(Duration, Instant)>,
}

impl BrokerHealth {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            connection: None,
            answered: None,
            throttled: None,
        }
    }

    /// Records the statistics. They have a round-trip time only after requests, so the last one is kept until the next.
    pub(super) fn connect(&mut self, mut now: BrokerConnection) {
        let before = self.connection.take().and_then(|before| before.rtt);
        now.rtt = now.rtt.or(before);
        self.connection = Some(now);
    }

    pub(super) fn answered(&mut self, at: Instant) {
        self.answered = self.answered.max(Some(at));
    }

    /// Records that the broker throttles one of our clients, by at most `pause` before the next answer.
    pub(super) fn throttles(&mut self, pause: Duration, at: Instant) {
        self.throttled = Some((pause, at));
    }

    /// Returns how long the broker makes us wait, if it has throttled us lately.
    pub(super) fn throttling(&self, now: Instant) -> Option<Duration> {
        let (pause, at) = self.throttled?;
        (now.saturating_duration_since(at) < THROTTLED).then_some(pause)
    }

    /// Records that the other brokers no longer list this one.
    pub(super) fn gone(&mut self) {
        if let Some(connection) = &mut self.connection {
            GONE.clone_into(&mut connection.state);
        }
    }

    /// Returns whether the other brokers do not list this one.
    pub(super) fn is_gone(&self) -> bool {
        self.connection.as_ref().is_none_or(|it| it.state == GONE)
    }

    /// Returns whether the broker has answered lately and is still listed.
    pub(super) fn is_reachable(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < DEADLINE;
        self.answered.is_some_and(fresh) && !self.is_gone()
    }

    pub(super) fn address(&self) -> Option<&Arc<str>> {
        self.connection.as_ref().map(|connection| &connection.address)
    }

    /// Returns the report on the broker. `cause` is librdkafka's last error about its address.
    pub(super) fn report(&self, id: i32, cause: Option<&str>, now: Instant) -> BrokerReport {
        let Verdict { state, reason } = self.judge(cause, now);
        let connection = self.connection.as_ref();
        BrokerReport {
            id,
            address: self.address().map(ToString::to_string),
            state,
            reason,
            connection: connection.map(|connection| connection.state.clone()),
            connects: connection.map_or(0, |connection| connection.connects),
            disconnects: connection.map_or(0, |connection| connection.disconnects),
            rtt_seconds: connection.and_then(|connection| Some(connection.rtt?.as_secs_f64())),
            answered_age_seconds: age(self.answered, now),
            reachable: self.is_reachable(now),
        }
    }

    fn judge(&self, cause: Option<&str>, now: Instant) -> Verdict {
        let because = || cause.map_or_else(|| self.describe_connection().to_owned(), ToOwned::to_owned);
        let known = now.saturating_duration_since(self.since);
        match self.answered.map(|at| now.saturating_duration_since(at)) {
            _ if self.is_gone() && known >= DEADLINE => Verdict::failing(format!(
                "the other brokers do not list it, and replicas are placed on it: {}",
                cause.unwrap_or("it is down, or fenced")
            )),
            Some(age) if age < DEADLINE => Verdict::ok("it answers"),
            Some(age) => Verdict::failing(format!("it has not answered for {}: {}", seconds(age), because())),
            None if known < DEADLINE => Verdict::starting(known, because()),
            None => Verdict::failing(format!("it does not answer: {}", because())),
        }
    }

    /// Describes the state of the connection while an answer is awaited.
    fn describe_connection(&self) -> &'static str {
        let state = self.connection.as_ref().map(|connection| &*connection.state);
        match state {
            None | Some(GONE) => "the other brokers do not list it",
            Some("INIT") => "no connection has been tried yet",
            Some("DOWN" | "TRY_CONNECT") => "not connected; the next attempt is due",
            Some("CONNECT") => "the connection request is not answered",
            Some("UP" | "UPDATE") => "connected, no answer yet",
            Some(_) => "connected, but the handshake is not answered",
        }
    }
}

/// Each broker is asked every few seconds. Two requests in a row may be lost, or wait in a busy broker.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// How long after its last report a broker counts as throttling us. It reports throttling in an answer, and then reads nothing
/// more from that connection for as long as it likes. The next answer comes on the next connection, once a request has timed
/// out, and the statistics report it 5 s later.
const THROTTLED: Duration = Duration::from_secs(20);

/// The state of a broker that librdkafka no longer knows.
const GONE: &str = "GONE";
