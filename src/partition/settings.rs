//! How much memory the logs may use.

use std::num::NonZeroUsize;

/// The section `memory`: budgets in bytes, each for the whole process. When one is used up, rings shrink before anything
/// is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// All tail rings together, in bytes.
    pub tail: NonZeroUsize,
    /// The cache of history pages, in bytes.
    pub history: NonZeroUsize,
    /// The rings and composed batches of the lanes, in bytes.
    pub lanes: NonZeroUsize,
}

impl Settings {
    /// The most memory that a process takes which reads so many clusters, in bytes, beside what each client costs.
    pub fn resident(&self, clusters: usize) -> usize {
        let budgets = [self.tail, self.history, self.lanes].map(NonZeroUsize::get);
        let of_clusters = Self::of_clusters(clusters);
        budgets.into_iter().fold(of_clusters, usize::saturating_add)
    }

    /// What so many clusters cost, and the process itself, in bytes: the queues of Kafka's clients and answers on their way.
    pub fn of_clusters(clusters: usize) -> usize {
        FIRST_CLUSTER + clusters.saturating_sub(1) * FURTHER_CLUSTER
    }
}

/// What the process itself takes, and the first cluster. `kafka::client` sizes queues and fetches for it.
const FIRST_CLUSTER: usize = 64 * MIB;

/// What each further cluster takes.
const FURTHER_CLUSTER: usize = 48 * MIB;

impl Default for Settings {
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
