//! The memory budgets of the logs.

use std::num::NonZeroUsize;

/// The configuration section `memory`: budgets in bytes, each for the whole process. When one is used up, rings shrink
/// before any request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// The budget of all tail rings together, in bytes.
    pub tail: NonZeroUsize,
    /// The budget of the cache of history pages, in bytes.
    pub history: NonZeroUsize,
    /// The budget of the lanes' rings and composed batches, in bytes.
    pub lanes: NonZeroUsize,
}

impl MemorySettings {
    /// Returns the most memory that a process needs for this many clusters, in bytes, beside what each client costs.
    pub fn resident_bytes(&self, clusters: usize) -> usize {
        let budgets = [self.tail, self.history, self.lanes].map(NonZeroUsize::get);
        let cluster_overhead = Self::cluster_overhead(clusters);
        budgets.into_iter().fold(cluster_overhead, usize::saturating_add)
    }

    /// Returns the same in bytes while records of `record` bytes are read that are larger than a page, from clusters
    /// with these numbers of brokers. A budget that is smaller than the large records in flight grows to their size
    /// plus a quarter of the budget.
    pub fn resident_bytes_with_large(&self, brokers: &[usize], record: usize) -> usize {
        let [tail, history, lanes] = [self.tail, self.history, self.lanes].map(NonZeroUsize::get);
        let at_least = |budget: usize, records: usize| {
            let on_their_way = record.saturating_mul(records);
            budget.max(on_their_way.saturating_add(budget / 4))
        };
        let of_tails = brokers.iter().map(|brokers| tail_records(*brokers)).sum();
        let own = history / brokers.len().max(1);
        let of_history = brokers.iter().map(|it| at_least(own, history_records(*it)));
        // Sockets hold one event even if it alone exceeds the budget.
        [
            at_least(tail, of_tails),
            of_history.fold(0, usize::saturating_add),
            at_least(lanes, 1),
            Self::cluster_overhead(brokers.len()),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Returns the memory needed for this many clusters and the process itself, in bytes: the queues of the Kafka
    /// clients and responses in flight.
    pub fn cluster_overhead(clusters: usize) -> usize {
        FIRST_CLUSTER + clusters.saturating_sub(1) * FURTHER_CLUSTER
    }
}

/// Returns how many large records of a cluster with this many brokers are in flight to its rings: one in a response of
/// each broker, one in the queue, one that the tail handles, and one in the page being built. While one is in the queue
/// no more are fetched.
pub fn tail_records(brokers: usize) -> usize {
    brokers.saturating_add(3)
}

/// Returns how many large records the history readers of such a cluster have in flight. Each reader has one in a
/// response or a queue, one that it handles, and one in the page being built.
pub fn history_records(brokers: usize) -> usize {
    brokers.min(MAX_HISTORY_READERS).saturating_mul(3)
}

/// The most history readers of one cluster. There is one for each broker up to this number, which bounds connections
/// and threads.
pub const MAX_HISTORY_READERS: usize = 8;

/// The memory of the process itself and of the first cluster, in bytes. `kafka::client` sizes its queues and fetches to
/// fit.
const FIRST_CLUSTER: usize = 64 * MIB;

/// The memory of each further cluster, in bytes.
const FURTHER_CLUSTER: usize = 48 * MIB;

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            // Four minutes of 1,000 events/s of 1 KB each: clients that resume after a restart do not read from the
            // brokers.
            tail: const { NonZeroUsize::new(256 * MIB).unwrap() },
            // 256 pages of 512 KiB: the number of places in the past that can be read at the same time before pages are
            // read twice.
            history: const { NonZeroUsize::new(128 * MIB).unwrap() },
            // 2,000 lanes, the most there can be, with one batch of 64 KiB each.
            lanes: const { NonZeroUsize::new(128 * MIB).unwrap() },
        }
    }
}

const MIB: usize = 1024 * 1024;
