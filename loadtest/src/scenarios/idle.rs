//! Many idle clients. Measures the memory and processor time of each.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{one_broker, problems, raise_descriptors};
use crate::{
    ask::Ask,
    chart::Page,
    crowd::{ClientTask, LoadClients, LoadPlan, address},
    process::socket_memory,
    progress::Progress,
    server::{self, Kind, PARTITIONS, Site},
    table::{Table, figure, median},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Idle<'a> {
    /// The riverhead binary.
    pub binary: &'a Path,
    /// The directory of the peers' files.
    pub peers: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The servers, one after the other.
    pub servers: Vec<Kind>,
    /// The number of clients.
    pub clients: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// The number of rounds.
    pub rounds: usize,
    /// How long the clients stay: longer than a heartbeat.
    pub duration: Duration,
    /// Processors reserved for the server; with 0 the kernel decides.
    pub server_cpus: usize,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of clients.
    pub clients: usize,
    /// The figures of each server in each round.
    pub turns: Vec<IdleRound>,
    #[serde(skip)]
    log: String,
}

/// The figures of one server in one round.
#[derive(Clone, Debug, Serialize)]
pub struct IdleRound {
    /// The server.
    pub server: Kind,
    /// Resident bytes per client.
    pub resident: f64,
    /// Bytes in the kernel per client, for both ends.
    pub kernel: f64,
    /// Descriptors per client.
    pub descriptors: f64,
    /// Milliseconds of processor per second, including heartbeats.
    pub cpu: f64,
    /// Seconds until every stream had begun.
    pub connected: Option<f64>,
    /// The number of streams that ended, and of connections that got none.
    pub ended: u64,
}

impl Idle<'_> {
    /// Runs the scenario with one broker of its own.
    ///
    /// # Errors
    /// If a server is not installed or does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        server::check(&self.servers, &self.peers)?;
        let (broker, pins) = one_broker(self.server_cpus, self.progress);
        raise_descriptors();
        let site = Site {
            binary: self.binary,
            cluster: &broker,
            peers: &self.peers,
            settings: &self.settings,
            stream_keys: "",
            pins: &pins,
        };
        let (mut turns, mut log) = (Vec::new(), String::new());
        for round in 1..=self.rounds {
            for kind in self.servers.iter().filter(|kind| **kind != Kind::Plain) {
                self.progress
                    .say(format_args!("round {round} of {}: {}", self.rounds, kind.name()));
                turns.extend(self.turn(*kind, &site, &mut log)?);
            }
        }
        Ok(Report {
            clients: self.clients,
            turns,
            log,
        })
    }

    fn turn(&self, kind: Kind, site: &Site<'_>, log: &mut String) -> io::Result<Option<IdleRound>> {
        let topic = format!("idle-{}", fastrand::u32(..));
        let Some(server) = kind.start(site, &topic)? else {
            return Ok(None);
        };
        let process = server.process;
        let (resident, kernel) = (process.resident()?, socket_memory());
        let descriptors = process.descriptors()?;
        let plan = LoadPlan {
            server: server.address,
            clients: self.clients,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids: false,
        };
        let (target, addresses) = (server.target.clone(), self.addresses);
        let trust = server.trust();
        let crowd = LoadClients::start(plan, None, None, move |client| ClientTask {
            ask: Ask::new(target.clone())
                .browser_from(address(client, addresses))
                .over(trust.clone()),
            next: None,
        })?;
        let connected = crowd.wait_until_here(COMING);
        let (began, before) = (Instant::now(), process.cpu()?);
        thread::sleep(self.duration);
        let cpu = (process.cpu()? - before).as_secs_f64() * 1e3 / began.elapsed().as_secs_f64();
        let per_client = |now: u64, before: u64| (now as f64 - before as f64) / self.clients as f64;
        let turn = IdleRound {
            server: kind,
            resident: per_client(process.resident()?, resident),
            kernel: per_client(socket_memory(), kernel),
            descriptors: per_client(process.descriptors()?, descriptors),
            cpu,
            connected: connected.map(|took| took.as_secs_f64()),
            ended: crowd.tally.gone(),
        };
        crowd.finish()?;
        log.push_str(&server.log());
        Ok(Some(turn))
    }
}

impl Report {
    fn medians(&self, of: impl Fn(&IdleRound) -> f64 + Copy) -> Vec<(Kind, Option<f64>)> {
        let mut servers: Vec<Kind> = self.turns.iter().map(|turn| turn.server).collect();
        servers.sort_unstable();
        servers.dedup();
        let median = |kind| median(self.turns.iter().filter(|turn| turn.server == kind).map(of));
        servers.into_iter().map(|kind| (kind, median(kind))).collect()
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let own = || self.turns.iter().filter(|turn| turn.server.is_riverhead());
        problems([
            (
                own().all(|turn| turn.connected.is_some()),
                "not every stream began",
            ),
            (own().all(|turn| turn.ended == 0), "a stream ended"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }

    fn page(&self) -> Option<Page> {
        let mut page = Page::new(&format!("riverhead: {} idle clients", self.clients));
        let medians = self.medians(|turn| turn.resident / 1e3);
        let bars: Vec<_> = medians
            .into_iter()
            .filter_map(|(kind, value)| Some((kind.name().to_owned(), value?)))
            .collect();
        page.bars("Resident memory per client", "KB", &bars);
        Some(page)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "server",
            "KB/client",
            "kernel KB",
            "descriptors/client",
            "ms of processor/s",
            "begun s",
        ]);
        let columns = [
            self.medians(|turn| turn.resident / 1e3),
            self.medians(|turn| turn.kernel / 1e3),
            self.medians(|turn| turn.descriptors),
            self.medians(|turn| turn.cpu),
            self.medians(|turn| turn.connected.unwrap_or(f64::NAN)),
        ];
        for (index, (kind, _)) in columns[0].iter().enumerate() {
            let [resident, kernel, descriptors, cpu, connected] =
                columns.each_ref().map(|column| figure(column[index].1, 2));
            table.row([kind.name().into(), resident, kernel, descriptors, cpu, connected]);
        }
        let rounds = self.turns.len() / columns[0].len().max(1);
        write!(
            f,
            "{} idle clients, medians of {rounds} rounds\n{table}",
            self.clients
        )
    }
}

/// The longest time until all streams have begun.
const COMING: Duration = Duration::from_secs(120);
