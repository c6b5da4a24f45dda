//! All clients reconnect at once: from minutes ago, or after a restart of the gateway.

mod cuts;
mod report;
mod restart;
mod resume;
mod tls;
mod watch;

pub use report::Report;
pub use tls::{Handshakes, RestartHandshakes};

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, NewTopic};
use serde::Serialize;

use self::tls::StormTls;
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
    /// How the gateway is restarted.
    pub restart: RestartKind,
    /// What clients that connect over TLS do when they come back after a restart; `None` without TLS.
    pub tls: Option<Handshakes>,
    /// The time over which they were cut, or reconnect after a restart, or are drained by a hot one.
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

/// How a gateway is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartKind {
    /// It is killed, and another one starts.
    Cold,
    /// It hands over to a successor, and drains.
    Hot,
}

/// The environment of the storm.
#[derive(Clone, Copy)]
struct StormSetup<'a> {
    cluster: &'a Cluster,
    pins: &'a Pins,
    topic: &'a str,
    /// The topic of another stream.
    others: &'a str,
    /// TLS of the crowd, if it connects over TLS.
    tls: Option<&'a StormTls>,
}

/// Where the gateway after a restart listens: where the one before it did.
#[derive(Clone, Copy)]
struct ListenAddresses {
    http: SocketAddr,
    https: Option<SocketAddr>,
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
        let tls = self
            .tls
            .map(|handshakes| StormTls::create(handshakes, self.restart));
        let tls = tls.transpose()?;
        let stage = StormSetup {
            cluster,
            pins,
            topic,
            others: &others,
            tls: tls.as_ref(),
        };
        match self.back {
            Some(back) => self.resume(stage, back),
            None => self.restart(stage),
        }
    }

    fn gateway(&self, stage: StormSetup<'_>, listen: Option<ListenAddresses>) -> io::Result<Gateway> {
        let bootstrap = stage.cluster.bootstrap_list();
        let mut plan = GatewayPlan::new(&self.binary, bootstrap, "numbers", &[stage.topic]).unlimited();
        plan.streams.push(("others".into(), vec![stage.others.into()]));
        plan = plan.set("RIVERHEAD_LOG__LEVEL", LOG_LEVEL);
        if self.restart == RestartKind::Hot {
            plan = plan.set("RIVERHEAD_HTTP__DRAIN", &format!("{}ms", self.within.as_millis()));
        }
        for (name, value) in stage.tls.map(StormTls::settings).unwrap_or_default() {
            plan = plan.set(name, &value);
        }
        if let Some(ListenAddresses { http, https }) = listen {
            plan = plan.set("RIVERHEAD_HTTP__LISTEN", &http.to_string());
            if let Some(https) = https {
                plan = plan.set("RIVERHEAD_HTTP__TLS__LISTEN", &https.to_string());
            }
        }
        plan = plan.set_all(&self.settings);
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

    /// Waits until every client has everything that was written up to a second ago, and at least `least`, and
    /// `meanwhile`, which is called many times a second, returns that they may count as live. Returns the time since
    /// `began`, or `None` if that takes too long.
    fn wait_until_live(
        &self,
        crowd: &LoadClients,
        writer: &Writer,
        least: u64,
        began: Instant,
        mut meanwhile: impl FnMut() -> bool,
    ) -> Option<Duration> {
        let second = self.rate.ceil() as u64;
        while began.elapsed() < self.patience {
            let target = writer.written().saturating_sub(second).max(least);
            let looked = Instant::now();
            crowd.aim(target);
            while looked.elapsed() < LOOK {
                if meanwhile() && crowd.has_reached(target) {
                    return Some(began.elapsed());
                }
                std::thread::sleep(LOOK / 10);
            }
        }
        None
    }
}

/// Only warnings, and that a successor has taken over.
const LOG_LEVEL: &str = "warn,riverhead::app::lifecycle=info";

/// The time for a crowd to check who has reached a number, before it is asked about a higher one.
const LOOK: Duration = Duration::from_millis(200);
