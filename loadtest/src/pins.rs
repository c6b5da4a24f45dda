//! Which processors are whose, so that what a server uses is not what its clients left it.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The last processors for the server, the others for its clients, its brokers and whoever writes.
#[derive(Clone, Debug)]
pub struct Pins(Option<Sets>);

#[derive(Clone, Debug)]
struct Sets {
    server: CpuSet,
    others: CpuSet,
}

impl Pins {
    /// Everybody runs where the kernel likes.
    pub fn none() -> Self {
        Self(None)
    }

    /// So many processors for the server; none of this on a machine that has not got more.
    pub fn for_server(count: usize) -> Self {
        let Ok(all) = sched_getaffinity(None) else {
            return Self(None);
        };
        let known: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        if count == 0 || known.len() <= count {
            return Self(None);
        }
        let (others, server) = known.split_at(known.len() - count);
        let [others, server] = [others, server].map(set);
        Self(Some(Sets { server, others }))
    }

    /// From now on this thread, and whatever it starts, keeps off the server's processors.
    pub fn keep_off(&self) {
        if let Some(sets) = &self.0 {
            // Fails only where it could not be asked for above.
            _ = sched_setaffinity(None, &sets.others);
        }
    }

    /// Runs `start`, and what it starts, on the server's processors.
    pub fn on_server<T>(&self, start: impl FnOnce() -> T) -> T {
        let Some(sets) = &self.0 else {
            return start();
        };
        let before = sched_getaffinity(None);
        _ = sched_setaffinity(None, &sets.server);
        let started = start();
        if let Ok(before) = before {
            _ = sched_setaffinity(None, &before);
        }
        started
    }
}

fn set(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    set
}
