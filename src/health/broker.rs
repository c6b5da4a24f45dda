//! One broker, as seen from here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    report::{BrokerReport, age},
    state::{Verdict, seconds},
};

/// What librdkafka's statistics tell of the connection to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConnection {
    /// The broker's id.
    pub id: i32,
    /// Its `host:port`.
    pub address: Arc<str>,
    /// librdkafka's word for the connection's state, such as `UP` or `TRY_CONNECT`.
    pub state: String,
    /// Connections made so far.
    pub connects: u64,
    /// Connections lost so far.
    pub disconnects: u64,
    /// How long an answer takes, the 99th percentile; `None` when nothing was asked lately.
    pub rtt: Option<Duration>,
}

/// What is known of one broker.
#[derive(Debug)]
pub(super) struct BrokerHealth {
    /// Since when it is known.
    since: Instant,
    connection: Option<BrokerConnection>,
    /// When it last answered a question that was put to it, and to no other.
    answered: Option<Instant>,
    /// How long it made us wait for the sake of a quota, and when it last did.
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

    /// What statistics say now. They tell of a round trip only while there are some; the last one stands until the next.
    pub(super) fn connect(&mut self, mut now: BrokerConnection) {
        let before = self.connection.take().and_then(|before| before.rtt);
        now.rtt = now.rtt.or(before);
        self.connection = Some(now);
    }

    pub(super) fn answered(&mut self, at: Instant) {
        self.answered = self.answered.max(Some(at));
    }

    /// Notes that it makes one of our clients wait, at most so long before the next answer.
    pub(super) fn throttles(&mut self, pause: Duration, at: Instant) {
        self.throttled = Some((pause, at));
    }

    /// Returns how long it makes us wait, if it has lately.
    pub(super) fn throttling(&self, now: Instant) -> Option<Duration> {
        let (pause, at) = self.throttled?;
        (now.saturating_duration_since(at) < THROTTLED).then_some(pause)
    }

    /// The others do not list it any more.
    pub(super) fn gone(&mut self) {
        if let Some(connection) = &mut self.connection {
            GONE.clone_into(&mut connection.state);
        }
    }

    /// Whether the others do not list it.
    pub(super) fn is_gone(&self) -> bool {
        self.connection
            .as_ref()
            .is_none_or(|connection| connection.state == GONE)
    }

    /// Whether it has answered lately, and is still there.
    pub(super) fn is_reachable(&self, now: Instant) -> bool {
        let fresh = |at| now.saturating_duration_since(at) < DEADLINE;
        self.answered.is_some_and(fresh) && !self.is_gone()
    }

    pub(super) fn address(&self) -> Option<&Arc<str>> {
        self.connection.as_ref().map(|connection| &connection.address)
    }

    /// How it is; `cause` is the last error that librdkafka told of its address.
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
        let because = || cause.map_or_else(|| self.standing().to_owned(), ToOwned::to_owned);
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

    /// What the connection's state means for someone who waits for an answer.
    fn standing(&self) -> &'static str {
        let state = self.connection.as_ref().map(|connection| &*connection.state);
        match state {
            None | Some(GONE) => "the other brokers do not list it",
            Some("INIT") => "no connection was tried yet",
            Some("DOWN" | "TRY_CONNECT") => "not connected; the next attempt is due",
            Some("CONNECT") => "the request for a connection is not answered",
            Some("UP" | "UPDATE") => "connected, and mute",
            Some(_) => "connected, and the greeting is not answered",
        }
    }
}

/// Each broker is asked every few seconds; two questions in a row may be lost, or sit in a busy broker.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// How long a broker is said to throttle us after it has. It tells so in an answer, and reads nothing more of that connection for as
/// long as it likes: the next answer comes to the next connection, once a request has timed out, and statistics tell of it 5 s later.
const THROTTLED: Duration = Duration::from_secs(20);

/// In place of librdkafka's word, for a broker that it knows no more.
const GONE: &str = "GONE";
