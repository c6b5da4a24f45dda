//! Assigns processors, so that the clients do not use the processors of the measured server.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The last processors for the server, and the others for its clients, its brokers and the producers.
#[derive(Clone, Debug)]
pub struct Pins(Option<Sets>);

#[derive(Clone, Debug)]
struct Sets {
    server: CpuSet,
    others: CpuSet,
}

impl Pins {
    /// Assigns nothing: the kernel decides.
    pub fn none() -> Self {
        Self(None)
    }

    /// Reserves this many processors for the server. Assigns nothing on a machine that does not have more.
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

    /// Keeps this thread, and all that it starts, off the server's processors.
    pub fn keep_off(&self) {
        if let Some(sets) = &self.0 {
            // This fails only if the processors could not be read above.
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
