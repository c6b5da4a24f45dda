//! Clients come, read, lag, are cut, come back and leave, for as long as it takes to see that nothing grows.

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

/// How much of it.
#[derive(Clone, Debug)]
pub struct Churn {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead by environment.
    pub settings: Vec<(String, String)>,
    /// Connections begun in a second.
    pub connects: f64,
    /// Records a second.
    pub rate: f64,
    /// Bytes of each.
    pub record_bytes: usize,
    /// Addresses that clients come from.
    pub addresses: usize,
    /// How long.
    pub duration: Duration,
    /// Says what it does.
    pub progress: Progress,
}

impl Churn {
    /// Runs it on a healthy cluster.
    ///
    /// # Errors
    /// If the gateway does not start or ends, or there are too few descriptors.
    pub fn run(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        cluster.create_topic(topic, PARTITIONS);
        let gateway = self.gateway(cluster, topic)?;
        let writer = Writer::start(producer(cluster, topic, self.record_bytes, None), 0, self.rate);
        // Those who are here at a time: a life is ten seconds long, and longer for some.
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
            // Every connect is a request, and there are more of them than anybody else makes.
            .set("RIVERHEAD_LIMITS__REQUESTS_PER_MINUTE", "10000000");
        for memory in ["TAIL", "HISTORY", "LANES"] {
            plan = plan.set(&format!("RIVERHEAD_MEMORY__{memory}"), FULL_SOON);
        }
        for (name, value) in &self.settings {
            plan = plan.set(name, value);
        }
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
            // Who has read for a while has what was written two seconds before.
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

/// The gateway's descriptors once it has noticed that all are gone.
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

/// Over the whole of it.
const SAMPLES: u32 = 240;

/// Seconds; see [`lives`].
const MOST_LIFE: f64 = 40.0;

/// What each kind of memory for events may cost. At the usual rate it is full after five minutes of the hour, and what grows
/// then is something else.
const FULL_SOON: &str = "8MiB";

/// How long the gateway may take until it has noticed that everybody left.
const NOTICE: Duration = Duration::from_secs(30);
