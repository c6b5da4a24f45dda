//! Which cluster each group of streams is read from.
//!
//! A group is read from one cluster at a time; the others on its list are watched. When the active one has failed for
//! longer than its deadline, the next one that serves takes over by itself. The way back is a command: clients see every
//! move as repeated events, and a cluster that comes and goes must not drag them along.

mod choice;
mod memory;
mod routes;

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    connect::Cluster,
    counters::{Counters, MoveLabels},
    guard::{self, Restarts},
    handle::Handle,
    status::Trouble,
};
use crate::{catalog::Group, partition::History};
use choice::{Candidate, choose};
use memory::Memory;
use routes::Routes;

/// Where every group is to be read from at the start; what the clusters are connected by.
pub struct Plan {
    groups: Vec<(Group, Active)>,
    memory: Memory,
}

/// The place, in its group's order of preference, of the cluster that is read. Clones follow it.
#[derive(Clone, Debug, Default)]
struct Active(Arc<AtomicUsize>);

/// Moves groups from cluster to cluster. Dropping it ends that; the groups stay where they are.
pub struct Failover {
    watch: Arc<Watch>,
    stop: mpsc::Sender<()>,
}

/// A group's state, for those who tell it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The streams of the group.
    pub streams: Vec<Arc<str>>,
    /// The cluster that it is read from.
    pub cluster: Arc<str>,
    /// Whether that is the first on its list.
    pub preferred: bool,
    /// What is wrong with that cluster for this group.
    pub trouble: Option<Trouble>,
    /// Topics whose timestamps brokers set: moved, they repeat `failover_overlap` more.
    pub broker_clocks: Vec<Arc<str>>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// All streams that are read from elsewhere now: those that share topics move together.
    pub streams: Vec<Arc<str>>,
    /// The cluster they were read from.
    pub from: Arc<str>,
    /// The one they are read from now; the same when there was nothing to do.
    pub to: Arc<str>,
}

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No group has this stream.
    #[error("there is no such stream")]
    NoStream,
    /// The group cannot be read from there.
    #[error("the stream is not read from cluster `{cluster}`; its clusters are {}", clusters.join(", "))]
    NotListed {
        /// What was asked for.
        cluster: String,
        /// What there is.
        clusters: Vec<Arc<str>>,
    },
    /// It would be read from a cluster that fails.
    #[error("cluster `{0}` does not serve it: {1}")]
    Failing(Arc<str>, Trouble),
    /// The move before this one is not over.
    #[error("it is being moved already; try again in a moment")]
    Moving,
}

struct Watch {
    charges: Vec<Charge>,
    memory: Mutex<Memory>,
    counters: Counters,
}

/// One group and its clusters.
struct Charge {
    group: Group,
    clusters: Vec<(Handle, Duration)>,
    active: Active,
    moving: Arc<AtomicBool>,
    /// Since when the active one is.
    since: Mutex<Instant>,
}

impl Plan {
    /// Every group at its first cluster, or where it was before a restart, as noted in this directory.
    pub fn new(groups: Vec<Group>, state: Option<&Path>) -> Self {
        let memory = Memory::open(state);
        let groups = groups.into_iter().map(|group| {
            let active = memory.place_of(&group);
            (group, Active(Arc::new(AtomicUsize::new(active))))
        });
        Self {
            groups: groups.collect(),
            memory,
        }
    }

    /// The topics that `cluster` is on the list of, and that are read from another for now.
    pub fn standby(&self, cluster: &str) -> BTreeSet<Arc<str>> {
        let elsewhere = |(group, active): &&(Group, Active)| {
            let current = group.clusters.get(active.get());
            current.is_none_or(|current| **current != *cluster)
        };
        let groups = self.groups.iter().filter(elsewhere);
        groups
            .flat_map(|(group, _)| group.topics.iter().cloned())
            .collect()
    }

    /// Reads of what is not in memory, from wherever each topic is read.
    pub fn history(&self, clusters: &[Cluster]) -> Arc<dyn History> {
        Arc::new(Routes::new(&self.groups, clusters))
    }

    /// Watches over the groups; `clusters` are all that they name, each with the time that it may fail for.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self, clusters: &[(Handle, Duration)], counters: Counters) -> io::Result<Failover> {
        let charges = self.groups.into_iter().map(|(group, active)| {
            let by_name = |name| clusters.iter().find(|(handle, _)| handle.name() == name).cloned();
            Charge {
                clusters: group.clusters.iter().filter_map(by_name).collect(),
                group,
                active,
                moving: Arc::default(),
                since: Mutex::new(Instant::now()),
            }
        });
        let watch = Arc::new(Watch {
            charges: charges.collect(),
            memory: Mutex::new(self.memory),
            counters,
        });
        let (stop, stopped) = mpsc::channel();
        let watching = Arc::clone(&watch);
        let guards = clusters.iter().map(|(handle, _)| handle.guard(&watch.counters));
        let guards: Vec<_> = guards.collect();
        thread::Builder::new()
            .name(guard::FAILOVER.to_owned())
            .spawn(move || {
                let (mut pause, mut restarts) = (EVERY, Restarts::default());
                while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                    pause = EVERY;
                    if let Err(message) = guard::caught(|| watching.look()) {
                        // It decides about all of them.
                        guards.iter().for_each(|guard| guard.tell(&message));
                        pause = restarts.pause(Instant::now());
                    }
                }
            })?;
        Ok(Failover { watch, stop })
    }
}

impl Active {
    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, place: usize) {
        self.0.store(place, Ordering::Release);
    }
}

impl Failover {
    /// Reads the group that `stream` is of from `cluster`. Unless by `force`, only if that cluster serves it.
    ///
    /// # Errors
    /// When nothing was done.
    pub fn activate(&self, stream: &str, cluster: &str, force: bool) -> Result<Moved, Refused> {
        let charge = self.watch.charges.iter();
        let charge = charge
            .into_iter()
            .find(|charge| charge.group.streams.iter().any(|name| **name == *stream))
            .ok_or(Refused::NoStream)?;
        let to = charge.place_of(cluster)?;
        let (from, target) = (charge.name(charge.active.get()), &charge.clusters[to].0);
        let moved = Moved {
            streams: charge.group.streams.clone(),
            from,
            to: Arc::clone(target.name()),
        };
        if moved.from == moved.to {
            return Ok(moved);
        }
        match target.status().trouble(&charge.group.topics) {
            Some(trouble) if !force => Err(Refused::Failing(moved.to, trouble)),
            _ if self.watch.go(charge, to, "by command") => Ok(moved),
            _ => Err(Refused::Moving),
        }
    }

    /// Every group's state.
    pub fn standings(&self) -> Vec<Standing> {
        self.watch.charges.iter().map(Charge::standing).collect()
    }

    /// Moves nothing any more.
    pub fn end(&self) {
        let _ = self.stop.send(());
    }
}

impl Standing {
    /// What somebody should look at; `None` when all is as it should be, or the cluster's own state says enough.
    pub fn concern(&self) -> Option<String> {
        let streams = self.streams.join(", ");
        let cluster = &self.cluster;
        let moved = (!self.preferred).then(|| {
            format!("{streams}: read from {cluster}, which is not the first choice; back by command")
        });
        let clocks = self.broker_clocks.join(", ");
        let inexact = (!self.preferred && !clocks.is_empty())
            .then(|| format!("{clocks}: brokers set the timestamps, so the move repeated failover_overlap"));
        let leaderless = (self.trouble == Some(Trouble::Leaderless))
            .then(|| format!("{streams}: no partition has a leader"));
        let concerns: Vec<_> = [moved, inexact, leaderless].into_iter().flatten().collect();
        (!concerns.is_empty()).then(|| concerns.join("; "))
    }
}

impl Watch {
    fn look(&self) {
        self.tell();
        for charge in &self.charges {
            let candidates: Vec<_> = charge.candidates().collect();
            let (active, since) = (charge.active.get(), *charge.since.lock());
            if let Some(to) = choose(&candidates, active, since, Instant::now()) {
                self.go(charge, to, "the one before fails");
            }
        }
    }

    /// Tells health what an operator should know of each cluster.
    fn tell(&self) {
        let standings: Vec<_> = self.charges.iter().map(Charge::standing).collect();
        for (handle, _) in self.charges.iter().flat_map(|charge| &charge.clusters) {
            let own = standings
                .iter()
                .filter(|standing| standing.cluster == *handle.name());
            let concerns: Vec<_> = own.filter_map(Standing::concern).collect();
            handle.set_concern((!concerns.is_empty()).then(|| concerns.join("; ")));
        }
    }

    /// Moves a group; false when it is under way already. The old cluster lets go first, so that no partition ever has two
    /// tails, and no log of one cluster is asked of another.
    fn go(&self, charge: &Charge, to: usize, why: &str) -> bool {
        let from = charge.active.get();
        if charge.moving.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (old, new) = (&charge.clusters[from].0, charge.clusters[to].0.clone());
        let trouble = old.status().trouble(&charge.group.topics);
        tracing::warn!(
            streams = charge.group.streams.join(","), from = %old.name(), to = %new.name(), why,
            trouble = trouble.map(|trouble| trouble.to_string()), "another cluster is read; events may repeat"
        );
        self.count(old, &new);
        *charge.since.lock() = Instant::now();
        let (topics, active) = (charge.group.topics.clone(), charge.active.clone());
        let moving = Moving(Arc::clone(&charge.moving));
        old.release(topics.clone(), move || {
            active.set(to);
            new.take(topics);
            drop(moving);
        });
        self.memory.lock().note(&charge.group, to);
        true
    }

    fn count(&self, from: &Handle, to: &Handle) {
        let labels = MoveLabels {
            from: from.name().to_string(),
            to: to.name().to_string(),
        };
        self.counters.moves.get_or_create(&labels).inc();
    }
}

/// A move that is under way. It ends also when nobody calls what ends it, as after a panic of the cluster's thread.
struct Moving(Arc<AtomicBool>);

impl Drop for Moving {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Charge {
    fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.clusters.iter().map(|(handle, after)| Candidate {
            serves: handle.status().trouble(&self.group.topics).is_none(),
            served_at: handle.status().served_at(&self.group.topics),
            after: *after,
        })
    }

    fn place_of(&self, cluster: &str) -> Result<usize, Refused> {
        let place = self
            .clusters
            .iter()
            .position(|(handle, _)| **handle.name() == *cluster);
        place.ok_or_else(|| Refused::NotListed {
            cluster: cluster.to_owned(),
            clusters: self.group.clusters.clone(),
        })
    }

    fn name(&self, place: usize) -> Arc<str> {
        Arc::clone(self.clusters[place].0.name())
    }

    fn standing(&self) -> Standing {
        let active = self.active.get();
        let clocks = self
            .clusters
            .iter()
            .flat_map(|(handle, _)| handle.status().broker_clocks());
        let mut broker_clocks: Vec<_> = clocks.filter(|topic| self.group.topics.contains(topic)).collect();
        broker_clocks.sort();
        broker_clocks.dedup();
        Standing {
            streams: self.group.streams.clone(),
            cluster: self.name(active),
            preferred: active == 0,
            trouble: self.clusters[active].0.status().trouble(&self.group.topics),
            broker_clocks,
        }
    }
}

/// How often the clusters are judged: a small part of the shortest sensible deadline, and a few locks.
const EVERY: Duration = Duration::from_millis(250);
