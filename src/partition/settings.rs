//! How much memory the logs may use.

use std::num::NonZeroUsize;

/// The section `memory`: budgets in bytes, each for the whole process. When one is used up, rings shrink before anything
/// is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// All tail rings together, in bytes.
    pub tail: NonZeroUsize,
    /// The cache of history pages, in bytes.
    pub history: NonZeroUsize,
    /// The rings and composed batches of the lanes, in bytes.
    pub lanes: NonZeroUsize,
}

impl MemorySettings {
    /// The most memory that a process takes which reads so many clusters, in bytes, beside what each client costs.
    pub fn resident_bytes(&self, clusters: usize) -> usize {
        let budgets = [self.tail, self.history, self.lanes].map(NonZeroUsize::get);
        let cluster_overhead = Self::cluster_overhead(clusters);
        budgets.into_iter().fold(cluster_overhead, usize::saturating_add)
    }

    /// The same while records of `record` bytes are read, which are more than a page, of clusters with so many brokers each. Budgets that
    /// are smaller than what is on its way take as much as that, and keep a quarter.
    pub fn resident_bytes_with_large(&self, brokers: &[usize], record: usize) -> usize {
        let [tail, history, lanes] = [self.tail, self.history, self.lanes].map(NonZeroUsize::get);
        let at_least = |budget: usize, records: usize| {
            let on_their_way = record.saturating_mul(records);
            budget.max(on_their_way.saturating_add(budget / 4))
        };
        let of_tails = brokers.iter().map(|brokers| tail_records(*brokers)).sum();
        let own = history / brokers.len().max(1);
        let of_history = brokers
            .iter()
            .map(|brokers| at_least(own, history_records(*brokers)));
        // Sockets hold one event even if it is more than all.
        [
            at_least(tail, of_tails),
            of_history.fold(0, usize::saturating_add),
            at_least(lanes, 1),
            Self::cluster_overhead(brokers.len()),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// What so many clusters cost, and the process itself, in bytes: the queues of Kafka's clients and answers on their way.
    pub fn cluster_overhead(clusters: usize) -> usize {
        FIRST_CLUSTER + clusters.saturating_sub(1) * FURTHER_CLUSTER
    }
}

/// How many large records of a cluster with so many brokers are on their way to its rings: an answer of each broker, and one in the
/// queue, in the hands of the tail, and in the page that is made of it. With one in the queue nothing more is asked for.
pub fn tail_records(brokers: usize) -> usize {
    brokers.saturating_add(3)
}

/// How many large records the history readers of such a cluster have on their way: each one in an answer or a queue, one in its
/// hands, and the page that is made of it.
pub fn history_records(brokers: usize) -> usize {
    brokers.min(MAX_HISTORY_READERS).saturating_mul(3)
}

/// History readers of one cluster: one a broker, until there are more brokers than this. Bounds connections and threads.
pub const MAX_HISTORY_READERS: usize = 8;

/// What the process itself takes, and the first cluster. `kafka::client` sizes queues and fetches for it.
const FIRST_CLUSTER: usize = 64 * MIB;

/// What each further cluster takes.
const FURTHER_CLUSTER: usize = 48 * MIB;

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            // At 1 KB an event and 1,000 events/s four minutes: clients that resume after a restart read no broker.
            tail: const { NonZeroUsize::new(256 * MIB).unwrap() },
            // 256 pages of 512 KiB: as many places in the past as can be read at once before pages are read twice.
            history: const { NonZeroUsize::new(128 * MIB).unwrap() },
            // 2,000 lanes, the most there can be, with one batch of 64 KiB each.
            lanes: const { NonZeroUsize::new(128 * MIB).unwrap() },
        }
    }
}

const MIB: usize = 1024 * 1024;
