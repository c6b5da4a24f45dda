//! The bootstrap brokers: the brokers that a new client asks first.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use crate::kafka::settings::BrokerAddr;

/// The configured brokers, then those that the cluster advertised. The latter remain when every configured broker is gone.
#[derive(Debug)]
pub(in crate::kafka) struct BootstrapBrokers {
    lists: RwLock<BrokerLists>,
    version: AtomicU64,
}

/// The lists behind the lock.
#[derive(Debug, Default)]
struct BrokerLists {
    configured: Vec<BrokerAddr>,
    learned: Vec<BrokerAddr>,
    /// Brokers that answer for another cluster.
    foreign: BTreeSet<BrokerAddr>,
    /// A broker that is cut off from the others, and when that was found out.
    cut_off: Option<(BrokerAddr, Instant)>,
}

impl BootstrapBrokers {
    pub(in crate::kafka) fn new(configured: Vec<BrokerAddr>, learned: Vec<BrokerAddr>) -> Self {
        Self {
            lists: RwLock::new(BrokerLists {
                configured,
                learned,
                foreign: BTreeSet::new(),
                cut_off: None,
            }),
            version: AtomicU64::new(0),
        }
    }

    /// Returns a number that grows whenever running clients should be told of changed brokers.
    pub(in crate::kafka) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns each broker once, the configured ones first, without those of another cluster, and without one that is cut off
    /// if there are others.
    pub(in crate::kafka) fn usable(&self) -> Vec<BrokerAddr> {
        let lists = self.lists.read();
        let ours = lists.all().filter(|broker| !lists.foreign.contains(broker));
        let (cut_off, usable): (Vec<_>, Vec<_>) = ours.cloned().partition(|broker| lists.is_cut_off(broker));
        if usable.is_empty() { cut_off } else { usable }
    }

    /// Returns each broker once, including those of another cluster and one that is cut off.
    pub(in crate::kafka) fn all(&self) -> Vec<BrokerAddr> {
        self.lists.read().all().cloned().collect()
    }

    /// Replaces the configured list. Brokers of another cluster, or cut off, have to be found out again.
    pub(in crate::kafka) fn configure(&self, brokers: Vec<BrokerAddr>) {
        let mut lists = self.lists.write();
        lists.configured = brokers;
        lists.foreign.clear();
        lists.cut_off = None;
        drop(lists);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Replaces the advertised brokers. Running clients know them already.
    pub(in crate::kafka) fn learn(&self, brokers: Vec<BrokerAddr>) {
        self.lists.write().learned = brokers;
    }

    /// Excludes these brokers, which answer for another cluster.
    pub(in crate::kafka) fn exclude(&self, foreign: BTreeSet<BrokerAddr>) {
        self.lists.write().foreign = foreign;
    }

    /// Excludes this broker for a while: its metadata is from before it was cut off.
    pub(in crate::kafka) fn avoid(&self, cut_off: BrokerAddr) {
        self.lists.write().cut_off = Some((cut_off, Instant::now()));
    }
}

impl BrokerLists {
    /// Returns whether this broker was found to be cut off a short time ago.
    fn is_cut_off(&self, broker: &BrokerAddr) -> bool {
        let cut_off = self.cut_off.as_ref();
        cut_off.is_some_and(|(it, since)| it == broker && since.elapsed() < AVOID_FOR)
    }

    /// Returns the configured brokers, then the advertised ones that are not configured.
    fn all(&self) -> impl Iterator<Item = &BrokerAddr> {
        let more = self.learned.iter().filter(|it| !self.configured.contains(it));
        self.configured.iter().chain(more.take(MAX_LEARNED))
    }
}

/// The most advertised brokers to ask. Each address is a thread of librdkafka until the first answer; this many outlive any
/// decommissioning.
const MAX_LEARNED: usize = 16;

/// How long a broker that was cut off is avoided. A new client knows the other brokers long before this is over.
const AVOID_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(text: &str) -> Vec<BrokerAddr> {
        text.split(' ')
            .map(|text| text.parse().expect("an address"))
            .collect()
    }

    #[test]
    fn learned_brokers_stand_behind_the_configured_ones_each_once() {
        let bootstrap = BootstrapBrokers::new(brokers("a:1 b:1"), brokers("b:1 c:1"));
        assert_eq!(bootstrap.usable(), brokers("a:1 b:1 c:1"));
        bootstrap.learn(brokers("d:1"));
        assert_eq!(
            (bootstrap.usable(), bootstrap.version()),
            (brokers("a:1 b:1 d:1"), 0)
        );
        bootstrap.configure(brokers("e:1"));
        assert_eq!((bootstrap.usable(), bootstrap.version()), (brokers("e:1 d:1"), 1));
    }

    #[test]
    fn an_address_of_another_cluster_is_not_asked_until_the_list_is_read_again() {
        let bootstrap = BootstrapBrokers::new(brokers("a:1 b:1"), Vec::new());
        bootstrap.exclude(brokers("a:1").into_iter().collect());
        assert_eq!(
            (bootstrap.usable(), bootstrap.all()),
            (brokers("b:1"), brokers("a:1 b:1"))
        );
        bootstrap.configure(brokers("a:1"));
        assert_eq!(bootstrap.usable(), brokers("a:1"));
    }

    #[test]
    fn a_broker_that_was_cut_off_is_not_asked_first_unless_it_is_the_only_one() {
        let bootstrap = BootstrapBrokers::new(brokers("a:1 b:1"), Vec::new());
        bootstrap.avoid("a:1".parse().expect("an address"));
        assert_eq!(bootstrap.usable(), brokers("b:1"));
        bootstrap.exclude(brokers("b:1").into_iter().collect());
        assert_eq!(bootstrap.usable(), brokers("a:1"));
    }

    #[test]
    fn a_cluster_of_hundreds_adds_a_bounded_number_of_seeds() {
        let learned = (0..500)
            .map(|n| format!("b{n}:9092").parse().expect("an address"))
            .collect();
        let bootstrap = BootstrapBrokers::new(brokers("a:1"), learned);
        assert_eq!(bootstrap.usable().len(), 1 + MAX_LEARNED);
    }
}
