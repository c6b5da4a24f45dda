//! An API key is revoked while thousands of streams that came with it are open, and others go on.

mod report;

pub use report::Report;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use riverhead::auth::ApiKey;
use riverhead_brokers::Cluster;
use tempfile::TempDir;

use super::{DETERMINED, one_broker, raise_descriptors};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, LoadPlan, address},
    gateway::{Gateway, GatewayPlan},
    pins::Pins,
    progress::Progress,
    server::{self, PARTITIONS},
    stopwatch::{Sent, Stopwatch},
    writer::{Writer, producer},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of clients.
    pub clients: usize,
    /// The number of those that come with the key that is revoked.
    pub revoked: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// Records per second.
    pub rate: f64,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// How long all clients are live before.
    pub quiet: Duration,
    /// Processors reserved for the gateway; with 0 the kernel decides.
    pub server_cpus: usize,
    /// How long the clients may take to begin, and to end.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// Two API keys, in the file of a gateway.
struct ApiKeys {
    directory: TempDir,
    /// The one that is revoked.
    revoked: ApiKey,
    kept: ApiKey,
}

/// What the revocation did.
struct RevocationOutcome {
    /// The number of streams that the gateway said it ends.
    told: u64,
    /// From the command to its answer.
    answered: Duration,
    /// From the command to the end of the last stream; `None` if one did not end.
    closed: Option<Duration>,
}

impl Revoke {
    /// Runs the scenario with one broker of its own.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        let (broker, pins) = one_broker(self.server_cpus, self.progress);
        self.run_on(&broker, &pins, "revoke")
    }

    /// Runs the scenario on a healthy cluster.
    ///
    /// # Errors
    /// If the gateway does not start or refuses the command, or there are too few descriptors.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        server::create(cluster, topic);
        let keys = ApiKeys::create()?;
        let gateway = pins.on_server(|| self.gateway(cluster, topic, &keys))?;
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        let sent = Sent::new(self.most_records(), (self.rate * WARM_UP.as_secs_f64()) as u64);
        self.progress
            .say(format_args!("{} clients connect", self.clients));
        let revoked = self.crowd(&gateway, self.revoked, &keys.revoked, None)?;
        let watch = Stopwatch::new(&sent);
        let kept = self.crowd(&gateway, self.clients - self.revoked, &keys.kept, Some(watch))?;
        for crowd in [&revoked, &kept] {
            if crowd.wait_until_here(self.patience).is_none() {
                return Err(io::Error::other(format!(
                    "not every stream began\n{}",
                    gateway.log()
                )));
            }
        }
        let writer = Writer::start(
            producer(cluster, topic, self.record_bytes, Some(&sent)),
            0,
            self.rate,
        );
        thread::sleep(WARM_UP + self.quiet);
        let outcome = self.revoke(&gateway, &revoked, &sent)?;
        thread::sleep(AFTER);
        let written = writer.finish();
        _ = kept.wait_for(written, self.patience);
        Report::new(self, &outcome, (revoked, kept), gateway.log())
    }

    /// Revokes the key, and waits until its streams have ended. What is sent meanwhile is measured in a lap of its own.
    fn revoke(
        &self,
        gateway: &Gateway,
        revoked: &LoadClients,
        sent: &Arc<Sent>,
    ) -> io::Result<RevocationOutcome> {
        self.progress
            .say(format_args!("the key of {} is revoked", self.revoked));
        sent.next_lap();
        let began = Instant::now();
        let answer = gateway.command("/admin/revocations", TOKEN, r#"{"key":"many"}"#)?;
        let answered = began.elapsed();
        let told = streams_in(&answer).ok_or_else(|| io::Error::other(answer))?;
        let mut closed = None;
        while closed.is_none() && began.elapsed() < self.patience {
            if revoked.tally.ended.load(Relaxed) >= self.revoked as u64 {
                closed = Some(began.elapsed());
            }
            thread::sleep(LOOK);
        }
        thread::sleep(LAP.saturating_sub(began.elapsed()));
        sent.next_lap();
        Ok(RevocationOutcome {
            told,
            answered,
            closed,
        })
    }

    fn gateway(&self, cluster: &Cluster, topic: &str, keys: &ApiKeys) -> io::Result<Gateway> {
        let mut plan = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic])
            .room_for(self.clients)
            .set("RIVERHEAD_LOG__LEVEL", "warn")
            .set("RIVERHEAD_ADMIN__TOKEN", TOKEN);
        plan.further = keys.sections();
        plan = plan.set_all(&self.settings);
        plan.start()
    }

    fn crowd(
        &self,
        gateway: &Gateway,
        clients: usize,
        key: &ApiKey,
        stopwatch: Option<Stopwatch>,
    ) -> io::Result<LoadClients> {
        let plan = LoadPlan {
            server: gateway.http,
            clients,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids: false,
        };
        let (addresses, credential) = (self.addresses, format!("Authorization: Bearer {}", key.secret()));
        LoadClients::start(plan, stopwatch, None, move |client| {
            let mut ask = Ask::new("/v2/stream/numbers");
            ask.headers.push(credential.clone());
            ask.from = Some(address(client, addresses));
            ClientTask {
                ask,
                next: Some((0..PARTITIONS as u64).collect()),
            }
        })
    }

    /// Returns more than the number of records in the longest run.
    fn most_records(&self) -> u64 {
        let longest = WARM_UP + self.quiet + self.patience + LAP + AFTER + SLACK;
        (self.rate * longest.as_secs_f64()) as u64 + 1
    }
}

impl ApiKeys {
    fn create() -> io::Result<Self> {
        let key = || ApiKey::generate().map_err(io::Error::other);
        let (directory, revoked, kept) = (TempDir::new()?, key()?, key()?);
        let entry = |name: &str, key: &ApiKey| {
            format!(
                "[[keys]]\nname = {name:?}\nsha256 = {:?}\nscopes = [\"read\"]\n",
                key.digest()
            )
        };
        let text = entry("many", &revoked) + &entry("others", &kept);
        fs::write(directory.path().join(KEYS), text)?;
        Ok(Self {
            directory,
            revoked,
            kept,
        })
    }

    /// Returns the end of the configuration file.
    fn sections(&self) -> String {
        let path = |name: &str| -> PathBuf { Path::new(self.directory.path()).join(name) };
        format!(
            "access = [\"read\"]\n[auth]\nkeys_file = {:?}\nrevocations_file = {:?}\n",
            path(KEYS),
            path(REVOCATIONS)
        )
    }
}

/// Returns how many streams end, as the answer to the command says.
fn streams_in(answer: &str) -> Option<u64> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let document: serde_json::Value = serde_json::from_str(body).ok()?;
    let is_ok = head.split(' ').nth(1) == Some("200");
    document["streams"].as_u64().filter(|_| is_ok)
}

/// The token of the command.
const TOKEN: &str = "the-token-of-the-load-test";

const KEYS: &str = "keys.toml";
const REVOCATIONS: &str = "revoked.toml";

/// What is sent first is late, because thousands have just connected. It is not measured.
const WARM_UP: Duration = Duration::from_secs(5);

/// The time between two checks of how many streams have ended.
const LOOK: Duration = Duration::from_millis(1);

/// The shortest time from the revocation on that is measured for itself: some records have to be sent in it.
const LAP: Duration = Duration::from_secs(2);

/// How long the others go on after it.
const AFTER: Duration = Duration::from_secs(3);

/// More than everything else takes in which records are written.
const SLACK: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_counts() {
        let good = "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"streams\":3}";
        assert_eq!(streams_in(good), Some(3));
        assert_eq!(streams_in("HTTP/1.0 409 Conflict\r\n\r\n{\"streams\":3}"), None);
        assert_eq!(streams_in("HTTP/1.0 200 OK\r\n\r\n{}"), None);
    }
}
