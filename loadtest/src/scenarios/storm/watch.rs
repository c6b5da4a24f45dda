//! Measures the brokers, the gateway and a client of another stream during the storm.

use std::{io, net::SocketAddr, sync::Arc};

use riverhead_brokers::{Cluster, Counts};
use serde::Serialize;

use super::StormSetup;
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, LoadPlan},
    process::Process,
    server::PARTITIONS,
    stopwatch::{Quantiles, Sent, Stopwatch},
    writer::{Writer, producer},
    yardstick::PlainConsumer,
};

/// Another stream, and the latency of its records.
pub(super) struct OtherStream {
    writer: Writer,
    sent: Arc<Sent>,
}

/// A client of the other stream, and a plain consumer of the same records. The machine has few processors: a
/// delay that both have is not caused by the gateway.
pub(super) struct OtherStreamReader {
    client: LoadClients,
    plain: PlainConsumer,
}

/// The latencies of records.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StormLatency {
    /// Of the client.
    pub client: Quantiles,
    /// Of the plain consumer.
    pub plain: Quantiles,
}

/// Figures that are sampled now and then.
pub(super) struct ResourceMonitor<'a> {
    cluster: &'a Cluster,
    process: Process,
    before: Counts,
    /// The highest number of connections to brokers.
    pub(super) connections: u64,
    /// The peak of the resident memory, in bytes.
    pub(super) resident: u64,
}

impl OtherStream {
    /// Starts to write.
    pub(super) fn start(stage: StormSetup<'_>) -> Self {
        let sent = Sent::new(MOST, COLD);
        let writer = Writer::start(producer(stage.cluster, stage.others, BYTES, Some(&sent)), 0, RATE);
        Self { writer, sent }
    }

    /// Starts to read, from its own address.
    pub(super) fn onlooker(
        &self,
        stage: StormSetup<'_>,
        server: SocketAddr,
    ) -> io::Result<OtherStreamReader> {
        let plain = PlainConsumer::start(stage.cluster, stage.others, Stopwatch::new(&self.sent));
        let plan = LoadPlan {
            server,
            clients: 1,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids: false,
        };
        let client = LoadClients::start(plan, Some(Stopwatch::new(&self.sent)), None, |_| {
            let mut ask = Ask::new("/v2/stream/others");
            ask.from = Some(([127, 0, 0, 3], 0).into());
            ClientTask { ask, next: None }
        })?;
        Ok(OtherStreamReader { client, plain })
    }

    pub(super) fn finish(self) {
        self.writer.finish();
    }
}

impl OtherStreamReader {
    /// Returns the latencies, and whether the client lost nothing and its stream lasted.
    pub(super) fn finish(self) -> io::Result<(StormLatency, bool)> {
        let plain = self.plain.finish();
        let ended = self.client.tally.gone();
        let outcome = self.client.finish()?;
        let watch = outcome.stopwatch.map(|watch| watch.quantiles());
        let felt = StormLatency {
            client: watch.unwrap_or_default(),
            plain,
        };
        Ok((felt, outcome.faults.none() && ended == 0))
    }
}

impl<'a> ResourceMonitor<'a> {
    pub(super) fn new(cluster: &'a Cluster, process: Process) -> Self {
        Self {
            cluster,
            process,
            before: cluster.client_counts(),
            connections: 0,
            resident: 0,
        }
    }

    pub(super) fn look(&mut self) {
        self.connections = self.cluster.client_counts().open.max(self.connections);
        let resident = self.process.resident().unwrap_or_default();
        self.resident = resident.max(self.resident);
    }

    /// Returns the bytes that the brokers have sent since the start.
    pub(super) fn fetched(&self) -> u64 {
        self.cluster.client_counts().to_client - self.before.to_client
    }
}

/// The first of these records reach a gateway that has only started to read.
const COLD: u64 = 500;

/// Records per second: enough for a percentile within seconds.
const RATE: f64 = 100.0;

const BYTES: usize = 300;

/// The maximum of measured numbers: three hours' worth.
const MOST: u64 = 1_000_000;
