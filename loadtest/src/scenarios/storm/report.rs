//! The result of the scenario.

use std::{fmt, io, sync::atomic::Ordering::Relaxed};

use serde::Serialize;

use super::{RestartHandshakes, RestartKind, Storm, watch::StormLatency};
use crate::{
    crowd::LoadClients,
    gateway::Gateway,
    numbers::Faults,
    scenarios::{exact, problems},
    table::figure,
};

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of clients that reconnected.
    pub clients: usize,
    /// The age of their positions in seconds; `None` after a restart.
    pub back: Option<f64>,
    /// How the gateway was restarted; `None` without a restart.
    pub restart: Option<RestartKind>,
    /// Seconds until all clients were live: had everything that was written up to a second ago.
    pub live: Option<f64>,
    /// Bytes that the brokers sent for the storm, without those for live streams.
    pub fetched: Option<f64>,
    /// Bytes that the brokers sent to a plain consumer that read the same records once.
    pub unique: Option<u64>,
    /// The highest number of connections to brokers.
    pub broker_connections: Option<u64>,
    /// Bytes that the gateway composed, if it counts them.
    pub composed: Option<f64>,
    /// Bytes of all events that any client received, each event once.
    pub unique_composed: f64,
    /// The number of bytes that clients received.
    pub read: u64,
    /// The gateway's resident memory in bytes: before the storm, and the peak.
    pub resident: (u64, u64),
    /// Seconds of processor that the gateway used until all clients were live.
    pub cpu: f64,
    /// The latencies of a client of another stream, before and during the storm.
    pub onlooker: Option<(StormLatency, StormLatency)>,
    /// The TLS handshakes of the clients that came back; `None` without TLS.
    pub handshakes: Option<RestartHandshakes>,
    /// Whether that client lost nothing.
    pub onlooker_lasted: bool,
    /// The number of clients that received everything.
    pub finished: usize,
    /// The faults of all clients together.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: u64,
    /// The number of connections that got no stream and were repeated.
    pub refused: u64,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Report {
    /// Creates it from the figures of the crowd and the gateway. `events` is the number of different events
    /// that any client needs.
    pub(super) fn new(storm: &Storm, crowd: &LoadClients, gateway: &Gateway, events: u64) -> Self {
        Self {
            clients: storm.clients,
            back: storm.back.map(|back| back.as_secs_f64()),
            restart: storm.back.is_none().then_some(storm.restart),
            live: None,
            fetched: None,
            unique: None,
            broker_connections: None,
            composed: gateway.metric_if_any(COMPOSED).ok().flatten(),
            unique_composed: events as f64 * crowd.tally.delivered().event_bytes(),
            read: crowd.tally.delivered().bytes,
            resident: (0, 0),
            cpu: 0.0,
            onlooker: None,
            handshakes: None,
            onlooker_lasted: true,
            finished: 0,
            faults: Faults::default(),
            gaps: crowd.tally.gaps.load(Relaxed),
            refused: crowd.tally.refused.load(Relaxed),
            log: gateway.log(),
        }
    }

    pub(super) fn finish(mut self, crowd: LoadClients) -> io::Result<Self> {
        let outcome = crowd.finish()?;
        self.finished = outcome.finished;
        self.faults = outcome.faults;
        Ok(self)
    }

    /// Returns how often each byte was fetched on average.
    pub fn fetched_ratio(&self) -> Option<f64> {
        self.fetched
            .zip(self.unique)
            .map(|(fetched, unique)| fetched / unique as f64)
    }

    /// Returns how often each byte was composed on average.
    pub fn composed_ratio(&self) -> Option<f64> {
        self.composed.map(|composed| composed / self.unique_composed)
    }

    /// Returns the ratios of the 99th percentiles during and before the storm: of the client of the other
    /// stream, and of a plain consumer of the same records.
    pub fn onlooker_ratios(&self) -> Option<(f64, f64)> {
        self.onlooker.map(|(before, meanwhile)| {
            (
                meanwhile.client.p99 / before.client.p99,
                meanwhile.plain.p99 / before.plain.p99,
            )
        })
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (self.live.is_some(), "not all clients were live in time"),
            (
                self.finished == self.clients,
                "a client did not receive everything",
            ),
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
            (
                self.handshakes
                    .is_none_or(|handshakes| handshakes.are_as_wanted()),
                "a client came back with another kind of handshake",
            ),
            (self.onlooker_lasted, "the client of another stream lost an event"),
            (
                self.fetched_ratio().is_none_or(|ratio| ratio <= MOST_FETCHED),
                "too many bytes were fetched from the brokers",
            ),
            (
                self.onlooker_ratios()
                    .is_none_or(|(client, plain)| client < 2.0 * plain.max(1.0)),
                "a client of another stream waited twice as long",
            ),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients, finished, ..
        } = self;
        match (self.back, self.restart) {
            (Some(back), _) => writeln!(f, "{clients} clients resumed from {back} s ago")?,
            (None, Some(RestartKind::Hot)) => writeln!(f, "{clients} clients at a hot restart")?,
            (None, _) => writeln!(f, "{clients} clients at a restart")?,
        }
        let megabytes = |bytes: f64| bytes / 1e6;
        writeln!(f, "all live after            {} s", figure(self.live, 2))?;
        if let Some(handshakes) = &self.handshakes {
            writeln!(f, "TLS handshakes            {handshakes}")?;
        }
        if let (Some(fetched), Some(unique)) = (self.fetched, self.unique) {
            let ratio = figure(self.fetched_ratio(), 3);
            let (fetched, unique) = (megabytes(fetched), megabytes(unique as f64));
            writeln!(
                f,
                "fetched from brokers      {fetched:.2} MB, unique {unique:.2} MB: {ratio} x"
            )?;
        }
        let connections = self.broker_connections.unwrap_or_default();
        writeln!(f, "connections to brokers    at most {connections}")?;
        let unique = megabytes(self.unique_composed);
        let composed = figure(self.composed.map(megabytes), 2);
        let ratio = figure(self.composed_ratio(), 2);
        writeln!(
            f,
            "composed                  {composed} MB, unique {unique:.2} MB: {ratio} x"
        )?;
        writeln!(
            f,
            "read by clients           {:.1} MB",
            megabytes(self.read as f64)
        )?;
        let (before, most) = self.resident;
        let [before, most] = [before, most].map(|bytes| megabytes(bytes as f64));
        writeln!(
            f,
            "resident                  {before:.1} MB before, at most {most:.1} MB"
        )?;
        writeln!(f, "processor                 {:.2} s", self.cpu)?;
        if let Some((before, meanwhile)) = &self.onlooker {
            let (client, plain) = (before.client, before.plain);
            writeln!(f, "another stream, before    {client}")?;
            writeln!(f, "  to a plain consumer     {plain}")?;
            let (client, plain) = (meanwhile.client, meanwhile.plain);
            writeln!(f, "another stream, meanwhile {client}")?;
            writeln!(f, "  to a plain consumer     {plain}")?;
        }
        if let Some((client, plain)) = self.onlooker_ratios() {
            writeln!(f, "  ratio of p99            {client:.2}, plain {plain:.2}")?;
        }
        let Self {
            faults,
            gaps,
            refused,
            ..
        } = self;
        write!(
            f,
            "finished {finished} of {clients}, {faults}, gap events {gaps}, refused {refused}"
        )
    }
}

/// The limit of the ratio of fetched to unique bytes.
const MOST_FETCHED: f64 = 1.2;

/// Only gateways that share composed batches have this metric.
const COMPOSED: &str = "riverhead_composed_bytes_total";
