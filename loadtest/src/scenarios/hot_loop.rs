//! The npm client `wikimedia-streams`, which reconnects without a pause when it is refused.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::Serialize;

use super::{problems, runtime};
use crate::{
    bystander::{ReferenceClient, ReferenceLatency, ask_from},
    client::Client,
    gateway::{Gateway, GatewayPlan},
    progress::Progress,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct HotLoop {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The directory with the client's script and its installed packages.
    pub script: PathBuf,
    /// The duration of the run. The gateway first runs for as long without the client.
    pub duration: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How long the client ran.
    pub duration: Duration,
    /// The number of its requests that were refused.
    pub refused: u64,
    /// The number of these that were answered late.
    pub held_back: u64,
    /// Processor time of the gateway in that time.
    pub cpu: Duration,
    /// The same, without the client.
    pub cpu_alone: Duration,
    /// The latencies of the reference client on 127.0.0.3.
    pub bystander: ReferenceLatency,
    /// Whether the client ran to its end.
    pub ran: bool,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl HotLoop {
    /// Runs the scenario against its own gateway with the demo's brokers. The only stream for this address is
    /// taken.
    ///
    /// # Panics
    /// If the gateway or node does not start.
    pub fn run(&self) -> Report {
        let gateway = GatewayPlan::demo(&self.binary, RATE)
            .set("RIVERHEAD_LIMITS__STREAMS_PER_CLIENT", "1")
            .start()
            .expect("the gateway starts");
        let bystander = ReferenceClient::start(gateway.http);
        let runtime = runtime();
        let held = runtime.block_on(Client::connect(gateway.http, &ask_from([127, 0, 0, 1])));
        let mut held = held.expect("the only stream");
        runtime.spawn(async move { while held.fill(usize::MAX).await.is_ok_and(|read| read > 0) {} });
        self.progress.say("quiet");
        let cpu_alone = used(&gateway, || std::thread::sleep(self.duration));
        self.progress.say("wikimedia-streams at its limit");
        bystander.set_loud(true);
        let mut ran = false;
        let cpu = used(&gateway, || {
            let mut client = self.spawn(&gateway);
            ran = client.wait().is_ok_and(|status| status.success());
        });
        bystander.set_loud(false);
        let count = |name: &str| gateway.metric(name).unwrap_or_default() as u64;
        Report {
            duration: self.duration,
            refused: count("riverhead_refusals_total"),
            held_back: count("riverhead_refusals_held_back_total"),
            cpu,
            cpu_alone,
            bystander: bystander.stop(),
            ran,
            log: gateway.log(),
        }
    }

    fn spawn(&self, gateway: &Gateway) -> Child {
        Command::new("node")
            .arg(self.script.join("run.mjs"))
            .arg(format!("http://{}", gateway.http))
            .arg(self.duration.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("node")
    }
}

/// Returns whether the client's packages are where `npm ci` puts them.
pub fn is_installed(script: &Path) -> bool {
    script.join("node_modules/wikimedia-streams").is_dir()
}

fn used(gateway: &Gateway, what: impl FnOnce()) -> Duration {
    let before = gateway.cpu().unwrap_or_default();
    what();
    gateway.cpu().unwrap_or_default().saturating_sub(before)
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let a_second = self.refused as f64 / self.duration.as_secs_f64();
        let own = [
            (self.ran, "the client did not finish"),
            (self.refused > 0, "the client was never refused"),
            (
                a_second < MOST,
                "the client got more answers than the tarpit allows",
            ),
        ];
        problems(own.into_iter().chain(self.bystander.checks()))
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        let percent = |cpu: Duration| 100.0 * cpu.as_secs_f64() / seconds;
        writeln!(f, "wikimedia-streams          {seconds:.0} s at its limit")?;
        writeln!(
            f,
            "  refused                  {}, of them {} late: {:.1} a second",
            self.refused,
            self.held_back,
            self.refused as f64 / seconds
        )?;
        writeln!(
            f,
            "gateway and its brokers    {:.1} % of a core, without the client {:.1} %",
            percent(self.cpu),
            percent(self.cpu_alone)
        )?;
        write!(f, "{}", self.bystander)
    }
}

/// Events per second: enough for a percentile.
const RATE: u32 = 200;

/// Refusals per second: a few at once, then one in 1-3 s. Without the tarpit there are hundreds.
const MOST: f64 = 20.0;
