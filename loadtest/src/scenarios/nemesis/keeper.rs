//! Runs the gateway, and restarts it.

use std::{fmt, io, time::Duration};

use riverhead::http::settings::Sink;
use riverhead_brokers::{Cluster, eventually, scaled};

use super::stage::{PASSWORD, STREAMS, USER};
use crate::{
    gateway::{Gateway, GatewayPlan},
    handover::Successor,
    process::Process,
};

/// A gateway that is restarted on the same address.
pub(super) struct GatewayRunner {
    plan: GatewayPlan,
    gateway: Option<Gateway>,
    /// The processes that have taken over since, the newest last. Earlier ones are draining, or have ended.
    successors: Vec<Successor>,
    /// The peak of the resident memory of any process, in bytes.
    pub(super) resident: u64,
    /// The log lines of ended processes that had a problem.
    complaints: String,
}

/// How a gateway ends before another one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopMode {
    /// At once (SIGKILL).
    Kill,
    /// In order (SIGTERM).
    Drain,
}

impl GatewayRunner {
    /// Starts the gateway, on an address that it keeps.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn start(binary: &std::path::Path, cluster: &Cluster, topics: &[String]) -> io::Result<Self> {
        let bootstrap = cluster.bootstrap_with_dead_first();
        let bootstrap = bootstrap.split(',').map(Into::into).collect();
        let mut plan = GatewayPlan::new(binary, bootstrap, "", &[]);
        let login = format!(
            "{{ \"security.protocol\" = \"sasl_plaintext\", \"sasl.mechanism\" = \"PLAIN\", \"sasl.username\" = {USER:?}, \"sasl.password\" = {PASSWORD:?} }}"
        );
        let clusters = format!(
            "[{{ name = \"main\", bootstrap = {:?}, librdkafka = {login} }}]",
            plan.bootstrap
        );
        plan = plan
            .set("RIVERHEAD__CLUSTERS", &clusters)
            .unlimited()
            .set("RIVERHEAD_HTTP__DRAIN", "2s")
            .set("RIVERHEAD_HTTP__TAKEOVER", "10s")
            .set("RIVERHEAD_HTTP__HEARTBEAT", "5s");
        for memory in ["TAIL", "HISTORY", "LANES"] {
            plan = plan.set(
                &format!("RIVERHEAD_MEMORY__{memory}"),
                &format!("{BUDGET_MIB}MiB"),
            );
        }
        let name = |topic: &usize| topics[*topic].clone();
        let named = |(stream, own): &(&str, &[usize])| ((*stream).into(), own.iter().map(name).collect());
        plan.streams = STREAMS.iter().map(named).collect();
        let gateway = plan.start()?;
        // Clients must find the next process at the same address.
        plan = plan.set("RIVERHEAD_HTTP__LISTEN", &gateway.http.to_string());
        Ok(Self {
            plan,
            gateway: Some(gateway),
            successors: Vec::new(),
            resident: 0,
            complaints: String::new(),
        })
    }

    /// Returns the running gateway.
    pub(super) fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_ref()
    }

    /// Ends the gateway.
    ///
    /// # Errors
    /// If it does not end in order.
    pub(super) fn end(&mut self, how: StopMode) -> io::Result<()> {
        self.look();
        let Some(mut gateway) = self.gateway.take() else {
            return Ok(());
        };
        if how == StopMode::Drain {
            match self.successors.last() {
                None => {
                    gateway.signal("TERM")?;
                    gateway.wait(scaled(DRAINED))?;
                }
                Some(successor) => {
                    successor.signal("TERM")?;
                    let gone = || Process::new(successor.pid).resident().is_err();
                    eventually(DRAINED, "the end of a successor", gone);
                }
            }
        }
        // Dropping a successor kills it.
        self.successors.clear();
        let log = gateway.log();
        if log.contains(PANIC) {
            self.complaints += &shorten(&log);
        }
        Ok(())
    }

    /// Starts a gateway with this sink, unless one runs.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn start_again(&mut self, sink: Sink) -> io::Result<()> {
        if self.gateway.is_none() {
            let plan = self.plan.clone().set("RIVERHEAD_HTTP__SINK", sink.name());
            self.gateway = Some(plan.start()?);
        }
        Ok(())
    }

    /// Makes the gateway hand over to a successor, with all its streams. Returns whether the successor has
    /// taken over. It does not if no broker answers it.
    pub(super) fn hand_over(&mut self) -> bool {
        self.look();
        let pid = self.pid();
        let successor = self.gateway.as_ref().zip(pid);
        let successor =
            successor.and_then(|(gateway, pid)| gateway.hand_over_by(pid, scaled(TAKEN_OVER)).ok());
        let taken_over = successor.is_some();
        self.successors.extend(successor);
        taken_over
    }

    /// Samples the memory.
    pub(super) fn look(&mut self) {
        let resident = self.pid().and_then(|pid| Process::new(pid).most_resident().ok());
        self.resident = self.resident.max(resident.unwrap_or_default());
    }

    /// Returns the process that serves.
    fn pid(&self) -> Option<u32> {
        let newest = self.successors.last().map(|successor| successor.pid);
        newest.or_else(|| self.gateway.as_ref().map(Gateway::pid))
    }

    /// Returns the limit of the resident memory with this many clients: docs/memory.md.
    pub(super) fn resident_bound(clients: usize) -> u64 {
        (3 * BUDGET_MIB + ONE_CLUSTER_MIB) * 1024 * 1024 + clients as u64 * CLIENT
    }

    /// Returns whether a process panicked.
    pub(super) fn has_panicked(&self) -> bool {
        self.log().contains(PANIC)
    }

    /// Returns the end of the log, after the logs of processes that panicked.
    pub(super) fn log(&self) -> String {
        let log = self.gateway.as_ref().map(Gateway::log).unwrap_or_default();
        format!("{}{}", self.complaints, shorten(&log))
    }
}

impl fmt::Display for StopMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Drain => "drain",
        })
    }
}

/// Returns the last lines without those of each stream, but with all of a panic.
fn shorten(log: &str) -> String {
    let of_streams = ["stream started", "stream ended"];
    let own = |line: &&str| !of_streams.iter().any(|stream| line.contains(stream));
    let lines: Vec<_> = log.lines().filter(own).collect();
    let from = lines.iter().position(|line| line.contains(PANIC));
    let from = from.unwrap_or(lines.len()).min(lines.len().saturating_sub(LINES));
    lines[from..].iter().flat_map(|line| [line, "\n"]).collect()
}

/// The text of a panic.
const PANIC: &str = "panicked";

/// Each of the three budgets of `[memory]`, small so that all of them are used up soon.
const BUDGET_MIB: u64 = 8;

/// The memory of one cluster beside the budgets.
const ONE_CLUSTER_MIB: u64 = 64;

/// The highest memory of a client, in bytes.
const CLIENT: u64 = 14 * 1024;

/// A drain takes two seconds here.
const DRAINED: Duration = Duration::from_secs(30);

/// Longer than a successor waits for an answer of the brokers.
const TAKEN_OVER: Duration = Duration::from_secs(20);

/// The number of log lines that are kept for the report.
const LINES: usize = 150;
