//! All clients reconnect at once: from minutes ago, or after a restart of the gateway.

mod cuts;
mod report;
mod restart;
mod resume;
mod watch;

pub use report::Report;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, NewTopic};

use super::{DETERMINED, raise_descriptors, three_brokers};
use crate::{
    crowd::{LoadClients, LoadPlan},
    gateway::{Gateway, GatewayPlan},
    pins::Pins,
    progress::Progress,
    server::PARTITIONS,
    writer::Writer,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Storm {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of clients that reconnect.
    pub clients: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// Records per second, before and during the storm.
    pub rate: f64,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// The age of their positions; `None` for a restart of the gateway.
    pub back: Option<Duration>,
    /// The time over which they were cut, or reconnect after a restart.
    pub within: Duration,
    /// How long the gateway runs undisturbed first.
    pub quiet: Duration,
    /// Processors reserved for the gateway; with 0 the kernel decides.
    pub server_cpus: usize,
    /// How long the clients may take until all are live.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The environment of the storm.
#[derive(Clone, Copy)]
struct StormSetup<'a> {
    cluster: &'a Cluster,
    pins: &'a Pins,
    topic: &'a str,
    /// The topic of another stream.
    others: &'a str,
}

impl Storm {
    /// Runs the scenario with three brokers of its own.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, pins) = three_brokers(self.server_cpus, self.progress);
        self.run_on(&cluster, &pins, "storm")
    }

    /// Runs the scenario on a healthy cluster. Nothing else may read from its brokers meanwhile.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        let others = format!("{topic}-others");
        for topic in [topic, &others] {
            cluster.create(&NewTopic::with_replicas(topic, &[&[1], &[2], &[3]]));
        }
        let stage = StormSetup {
            cluster,
            pins,
            topic,
            others: &others,
        };
        match self.back {
            Some(back) => self.resume(stage, back),
            None => self.restart(stage),
        }
    }

    fn gateway(&self, stage: StormSetup<'_>, listen: Option<SocketAddr>) -> io::Result<Gateway> {
        let bootstrap = stage.cluster.bootstrap_list();
        let mut plan = GatewayPlan::new(&self.binary, bootstrap, "numbers", &[stage.topic]).unlimited();
        plan.streams.push(("others".into(), vec![stage.others.into()]));
        plan = plan.set("RIVERHEAD_LOG__LEVEL", "warn");
        if let Some(address) = listen {
            plan = plan.set("RIVERHEAD_HTTP__LISTEN", &address.to_string());
        }
        for (name, value) in &self.settings {
            plan = plan.set(name, value);
        }
        let gateway = stage.pins.on_server(|| plan.start())?;
        gateway.wait_for_partitions(2 * PARTITIONS, DETERMINED);
        Ok(gateway)
    }

    fn crowd(&self, server: SocketAddr, keep_ids: bool) -> LoadPlan {
        LoadPlan {
            server,
            clients: self.clients,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids,
        }
    }

    /// Waits until every client has everything that was written up to a second ago, and at least `least`.
    /// Returns the time since `began`, or `None` if that takes too long.
    fn wait_until_live(
        &self,
        crowd: &LoadClients,
        writer: &Writer,
        least: u64,
        began: Instant,
        mut meanwhile: impl FnMut(),
    ) -> Option<Duration> {
        let second = self.rate.ceil() as u64;
        while began.elapsed() < self.patience {
            let target = writer.written().saturating_sub(second).max(least);
            let looked = Instant::now();
            crowd.aim(target);
            while looked.elapsed() < LOOK {
                meanwhile();
                if crowd.has_reached(target) {
                    return Some(began.elapsed());
                }
                std::thread::sleep(LOOK / 10);
            }
        }
        None
    }
}

/// The time for a crowd to check who has reached a number, before it is asked about a higher one.
const LOOK: Duration = Duration::from_millis(200);
