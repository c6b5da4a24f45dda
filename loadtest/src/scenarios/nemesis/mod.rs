//! Brokers, logs and the gateway fail in random ways, while readers of every form compare what they receive
//! with what a plain consumer reads.

mod acts;
mod deeds;
mod form;
mod history;
mod judge;
mod keeper;
mod note;
mod readers;
mod report;
mod stage;
mod standing;
mod truth;
mod witness;

pub use report::Report;

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use riverhead_brokers::Cluster;

use self::{
    acts::Act,
    judge::Violation,
    keeper::GatewayRunner,
    note::ObservationKind,
    readers::Readers,
    stage::{EventHistory, NemesisSetup, PASSWORD, READER, TOPICS, Topic, Transaction, USER},
    truth::CommittedRecords,
};
use crate::progress::Progress;

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Nemesis {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The seed of all acts.
    pub seed: u64,
    /// The duration.
    pub duration: Duration,
    /// The time after which all faults are undone and all readers are checked.
    pub round: Duration,
    /// Records per second, over all topics.
    pub rate: f64,
    /// The number of readers.
    pub readers: usize,
    /// How long a reader may take to get everything after all faults are undone.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

impl Nemesis {
    /// Starts the brokers of the scenario: three, whose proxied listeners authorize the gateway.
    pub fn brokers() -> Cluster {
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let protocols = "PLAINTEXT:SASL_PLAINTEXT,INT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT";
        let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        Cluster::builder()
            .property("listener.security.protocol.map", protocols)
            .property("listener.name.plaintext.sasl.enabled.mechanisms", "PLAIN")
            .property(
                "listener.name.plaintext.plain.sasl.jaas.config",
                &format!("{login} user_{USER}=\"{PASSWORD}\";"),
            )
            .property("authorizer.class.name", authorizer)
            // All clients of other listeners.
            .property("super.users", "User:ANONYMOUS")
            .start()
    }

    /// Runs the scenario until the time is over, or a check fails.
    ///
    /// # Errors
    /// If the gateway does not start, or the brokers contradict each other.
    ///
    /// # Panics
    /// If the brokers do not start or stop as requested.
    pub fn run(&self, cluster: &Cluster, name: &str) -> io::Result<Report> {
        self.progress.say(format_args!("seed {}", self.seed));
        let mut rng = Rng::with_seed(self.seed);
        let clock = Instant::now();
        let mut stage = self.stage(cluster, name, clock)?;
        let server = stage.keeper.gateway().map(|gateway| gateway.http);
        let server = server.ok_or(io::ErrorKind::NotFound)?;
        let mut readers = Readers::start(self.readers, server, clock, &mut rng);
        let mut report = Report {
            seed: self.seed,
            readers: self.readers,
            resident_bound: GatewayRunner::resident_bound(self.readers),
            ..Report::default()
        };
        while clock.elapsed() < self.duration && report.is_exact() {
            let until = (clock.elapsed() + self.round).min(self.duration);
            while clock.elapsed() < until {
                Self::act(&mut stage, &mut rng, &mut report)?;
            }
            self.settle(&mut stage, &mut readers, &mut report)?;
        }
        report.seconds = clock.elapsed().as_secs_f64();
        report.resident = stage.keeper.resident;
        report.panicked = stage.keeper.has_panicked();
        report.log = stage.keeper.log();
        Ok(report)
    }

    /// Sets up brokers, topics, producers and the gateway.
    fn stage<'a>(&self, cluster: &'a Cluster, name: &str, clock: Instant) -> io::Result<NemesisSetup<'a>> {
        let rate = self.rate / TOPICS as f64;
        let topics: Vec<_> = (0..TOPICS)
            .map(|topic| Topic::new(format!("{name}-{topic}"), rate))
            .collect();
        let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        names.iter().for_each(|topic| cluster.allow(USER, topic, READER));
        let keeper = GatewayRunner::start(&self.binary, cluster, &names)?;
        let mut stage = NemesisSetup {
            cluster,
            keeper,
            topics,
            truth: CommittedRecords::default(),
            chronicle: EventHistory::new(clock, self.progress),
            transaction: Transaction::default(),
            spoiled: None,
        };
        for topic in 0..TOPICS {
            stage.create(topic, PARTITIONS);
            stage.write(topic);
        }
        Ok(stage)
    }

    /// Begins an act, lets it last, perhaps does another one meanwhile, and undoes it.
    fn act(stage: &mut NemesisSetup<'_>, rng: &mut Rng, report: &mut Report) -> io::Result<()> {
        let act = Act::choose(rng, stage);
        Self::begin(act, stage, report)?;
        thread::sleep(LONGEST.mul_f64(rng.f64()));
        if act.lasts() && rng.bool() {
            let beside = Act::beside(rng, stage);
            Self::begin(beside, stage, report)?;
            thread::sleep(LONGEST.mul_f64(rng.f64()));
            beside.undo(stage)?;
            thread::sleep(LONGEST.mul_f64(rng.f64()));
        }
        act.undo(stage)?;
        stage.chronicle.note(format_args!("ended: {act}"));
        thread::sleep(LONGEST.mul_f64(rng.f64() / 2.0));
        Ok(())
    }

    fn begin(act: Act, stage: &mut NemesisSetup<'_>, report: &mut Report) -> io::Result<()> {
        stage.chronicle.note(act);
        *report.acts.entry(act.kind().to_owned()).or_default() += 1;
        act.begin(stage)
    }

    /// Waits until every reader has everything, and checks them.
    fn settle(
        &self,
        stage: &mut NemesisSetup<'_>,
        readers: &mut Readers,
        report: &mut Report,
    ) -> io::Result<()> {
        stage
            .chronicle
            .note("all faults are undone, and no producer writes");
        readers.set_calm(true);
        for topic in 0..TOPICS {
            stage.hush(topic);
            stage.read_up(topic)?;
        }
        let (names, deadline) = (stage.names(), Instant::now() + self.patience);
        loop {
            let mut faults = judge(readers, stage, &names, report);
            let missing = missing(readers, stage);
            if faults.is_empty() && !missing.is_empty() && Instant::now() < deadline {
                thread::sleep(LOOK);
                continue;
            }
            faults.extend(missing);
            report.faults = faults;
            break;
        }
        stage.keeper.look();
        report.rounds += 1;
        self.progress.say(format_args!(
            "round {}: {} records delivered, {} violations",
            report.rounds,
            report.delivered,
            report.faults.len()
        ));
        for topic in 0..TOPICS {
            stage.write(topic);
        }
        readers.set_calm(false);
        Ok(())
    }
}

/// Checks the new observations of the readers. Returns the violations with their histories.
fn judge(
    readers: &mut Readers,
    stage: &NemesisSetup<'_>,
    names: &[String],
    report: &mut Report,
) -> Vec<String> {
    let mut faults = Vec::new();
    for reader in &mut readers.all {
        let notes = reader.notes.take();
        // Later faults often follow from the first one.
        let mut first: Option<Violation> = None;
        for note in &notes {
            match &note.what {
                ObservationKind::Event { .. } => report.delivered += 1,
                ObservationKind::Began { .. } => report.streams += 1,
                ObservationKind::Gap(told) => *report.gaps.entry(told.reason.clone()).or_default() += 1,
                _ => {}
            }
            let fault = reader.judge.take(note, names, &stage.truth);
            first = first.or(fault);
        }
        reader.history.extend(notes);
        faults.extend(first.map(|fault| reader.history.of(&reader.name, &fault, names, &stage.chronicle)));
    }
    faults
}

/// Returns what has not been received yet.
fn missing(readers: &Readers, stage: &NemesisSetup<'_>) -> Vec<String> {
    let (at, names) = (stage.chronicle.clock.elapsed(), stage.names());
    let missing = readers.all.iter().filter_map(|reader| {
        let fault = reader.judge.missing(&stage.truth, at)?;
        Some(reader.history.of(&reader.name, &fault, &names, &stage.chronicle))
    });
    missing.collect()
}

/// The number of partitions of each topic at the start.
const PARTITIONS: usize = 2;

/// The longest time of an act before the next one.
const LONGEST: Duration = Duration::from_secs(5);

/// The time between two checks of whether every reader has everything.
const LOOK: Duration = Duration::from_millis(200);
