//! Clients connect, read, lag, are cut, reconnect and leave, for as long as it takes to see that nothing
//! grows.

mod lives;
mod report;

pub use report::{ChurnSample, Report};

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::Cluster;

use self::lives::ClientChurn;
use super::{DETERMINED, raise_descriptors};
use crate::{
    crowd::{ClientPool, LoadPlan},
    gateway::{Gateway, GatewayPlan},
    progress::Progress,
    server::PARTITIONS,
    writer::{Writer, producer},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Churn {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// Connections started per second.
    pub connects: f64,
    /// Records per second.
    pub rate: f64,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// The duration of the run.
    pub duration: Duration,
    /// Reports progress.
    pub progress: Progress,
}

impl Churn {
    /// Runs the scenario on a healthy cluster.
    ///
    /// # Errors
    /// If the gateway does not start, or ends, or there are too few descriptors.
    pub fn run(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        cluster.create_topic(topic, PARTITIONS);
        let gateway = self.gateway(cluster, topic)?;
        let writer = Writer::start(producer(cluster, topic, self.record_bytes, None), 0, self.rate);
        // The number of clients at a time: a client stays for ten seconds, some stay longer.
        let places = (self.connects * MOST_LIFE) as usize + 1;
        let pool = ClientPool::new(
            LoadPlan {
                server: gateway.http,
                clients: places,
                partitions: PARTITIONS,
                judge_every: 1,
                keep_ids: true,
            },
            None,
        )?;
        let before = gateway.process().descriptors()?;
        let mut lives = ClientChurn::new(pool, self.connects, self.addresses);
        let samples = self.live(&mut lives, &gateway, &writer)?;
        self.progress.say("all clients leave");
        lives.all_leave();
        let after = settled(&gateway, before)?;
        writer.finish();
        Ok(Report {
            connects: lives.connects,
            returns: lives.returns,
            lags: lives.lags,
            behind: lives.behind,
            ended: lives.ended(),
            faults: lives.faults(),
            gaps: lives.gaps(),
            delivered: lives.delivered(),
            descriptors: (before, after),
            samples,
            log: gateway.log(),
        })
    }

    fn gateway(&self, cluster: &Cluster, topic: &str) -> io::Result<Gateway> {
        let mut plan = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic])
            .unlimited()
            .set("RIVERHEAD_LOG__LEVEL", "warn")
            // Every connect is a request, and one address makes more of them than the default limit.
            .set("RIVERHEAD_LIMITS__REQUESTS_PER_MINUTE", "10000000");
        for memory in ["TAIL", "HISTORY", "LANES"] {
            plan = plan.set(&format!("RIVERHEAD_MEMORY__{memory}"), FULL_SOON);
        }
        plan = plan.set_all(&self.settings);
        let gateway = plan.start()?;
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        Ok(gateway)
    }

    fn live(
        &self,
        lives: &mut ClientChurn,
        gateway: &Gateway,
        writer: &Writer,
    ) -> io::Result<Vec<ChurnSample>> {
        let (began, every) = (
            Instant::now(),
            (self.duration / SAMPLES).max(Duration::from_secs(1)),
        );
        let mut samples = Vec::new();
        let mut due = Duration::ZERO;
        while began.elapsed() < self.duration {
            // A client that has read for a while must have what was written two seconds ago.
            let end = writer.written().saturating_sub((self.rate * 2.0) as u64);
            lives.turn(end)?;
            if began.elapsed() >= due {
                due += every;
                samples.push(ChurnSample::take(began, gateway, lives.here())?);
                if samples.len().is_multiple_of(SAMPLES as usize / 24) {
                    self.tell(lives, &samples);
                }
            }
        }
        Ok(samples)
    }

    fn tell(&self, lives: &ClientChurn, samples: &[ChurnSample]) {
        if let Some(sample) = samples.last() {
            self.progress.say(format_args!(
                "{} connects, {} connected, {:.1} MB, {} descriptors, {}",
                lives.connects,
                sample.here,
                sample.resident as f64 / 1e6,
                sample.descriptors,
                lives.faults()
            ));
        }
    }
}

/// Returns the number of the gateway's descriptors once it has noticed that all clients are gone.
fn settled(gateway: &Gateway, before: u64) -> io::Result<u64> {
    let until = Instant::now() + NOTICE;
    loop {
        let now = gateway.process().descriptors()?;
        if now <= before || Instant::now() > until {
            return Ok(now);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The number of samples over the whole run.
const SAMPLES: u32 = 240;

/// In seconds; see [`lives`].
const MOST_LIFE: f64 = 40.0;

/// The budget of each kind of memory for events. At the usual rate the budgets are used up after five minutes
/// of the hour, so later growth has another cause.
const FULL_SOON: &str = "8MiB";

/// The longest time until the gateway has noticed that all clients left.
const NOTICE: Duration = Duration::from_secs(30);
