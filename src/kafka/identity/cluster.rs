//! The identity of a cluster: its pinned id, and the brokers to ask first.

use std::{
    ffi::CStr,
    path::Path,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use super::{
    bootstrap_brokers::BootstrapBrokers,
    cluster_file::{ClusterFile, SavedCluster},
};
use crate::kafka::settings::{BrokerAddr, ClusterSettings};

/// The identity of a cluster and its bootstrap brokers, shared by all clients that read it.
///
/// Its id is pinned by the configuration, by what was known before a restart, or by the first answer. An address that now
/// belongs to another cluster would serve other records under the same offsets.
#[derive(Debug)]
pub(in crate::kafka) struct ClusterIdentity {
    cluster: Arc<str>,
    id: OnceLock<Arc<str>>,
    pub(in crate::kafka) bootstrap: BootstrapBrokers,
    file: Mutex<ClusterFile>,
    client_guard: ClientGuard,
}

/// Held by every client of a cluster until librdkafka has closed it.
pub(in crate::kafka) type ClientGuard = Arc<()>;

/// What a broker reports of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct ClusterInfo {
    /// The id of the cluster.
    pub(in crate::kafka) cluster_id: Arc<str>,
    /// The addresses where its brokers listen.
    pub(in crate::kafka) brokers: Vec<BrokerAddr>,
}

/// The brokers as one broker advertises them, for health: librdkafka's name of that broker, and the id and `host:port` of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct AdvertisedBrokers {
    pub(in crate::kafka) by: String,
    pub(in crate::kafka) brokers: Vec<(i32, String)>,
}

/// The brokers that answered belong to another cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the brokers answer for cluster id {found}, but the expected id is {expected}")]
pub struct WrongCluster {
    /// The id that is pinned.
    pub expected: Arc<str>,
    /// The id that the brokers reported.
    pub found: Arc<str>,
}

/// Returns the id that a cluster must have, by its settings or by the state file in this directory. Returns `None` if any id
/// will do.
pub fn expected_cluster_id(settings: &ClusterSettings, state: Option<&Path>) -> Option<Arc<str>> {
    ClusterIdentity::new(settings, state).id.get().cloned()
}

impl ClusterIdentity {
    /// Creates the identity from the settings and from the state file in this directory.
    pub(in crate::kafka) fn new(settings: &ClusterSettings, state: Option<&Path>) -> Arc<Self> {
        let file = ClusterFile::open(state, &settings.name);
        let mut known = file.saved().cloned();
        if let (Some(noted), Some(id)) = (&known, &settings.cluster_id)
            && noted.cluster_id != **id
        {
            tracing::warn!(
                cluster = %settings.name, noted = noted.cluster_id, configured = %id,
                "the state file is ignored: it belongs to another cluster id"
            );
            known = None;
        }
        let id = settings.cluster_id.clone();
        let id = id.or_else(|| known.as_ref().map(|known| known.cluster_id.as_str().into()));
        let learned = known.map(|known| known.brokers).unwrap_or_default();
        Arc::new(Self {
            cluster: Arc::clone(&settings.name),
            id: id.map(OnceLock::from).unwrap_or_default(),
            bootstrap: BootstrapBrokers::new(settings.bootstrap.clone(), learned),
            file: Mutex::new(file),
            client_guard: ClientGuard::default(),
        })
    }

    /// Takes what a broker reports. The first answer pins the id, if nothing has pinned it before.
    ///
    /// # Errors
    /// Returns an error if it is another cluster. Nothing of the answer is taken then.
    pub(in crate::kafka) fn accept(&self, info: ClusterInfo) -> Result<(), WrongCluster> {
        let expected = self.id.get_or_init(|| {
            tracing::info!(cluster = %self.cluster, id = %info.cluster_id, "the cluster id is pinned");
            Arc::clone(&info.cluster_id)
        });
        if *expected != info.cluster_id {
            return Err(WrongCluster {
                expected: Arc::clone(expected),
                found: info.cluster_id,
            });
        }
        let mut brokers = info.brokers;
        brokers.sort();
        // A broker that is cut off from the others reports itself alone. The brokers learned before are worth more then.
        if brokers.len() > 1 || self.file.lock().saved().is_none() {
            self.learn(expected, brokers);
        }
        Ok(())
    }

    /// Returns the wrong cluster if `found` is not the pinned id; `None` if it is, or if none is pinned.
    pub(in crate::kafka) fn wrong_cluster(&self, found: &CStr) -> Option<WrongCluster> {
        let expected = self.id.get()?;
        (expected.as_bytes() != found.to_bytes()).then(|| WrongCluster {
            expected: Arc::clone(expected),
            found: found.to_string_lossy().into(),
        })
    }

    /// Returns the guard for a new client to hold.
    pub(in crate::kafka) fn client_guard(&self) -> ClientGuard {
        ClientGuard::clone(&self.client_guard)
    }

    /// Returns how many clients there are, including those that are being closed.
    pub(in crate::kafka) fn client_count(&self) -> usize {
        Arc::strong_count(&self.client_guard) - 1
    }

    /// Keeps the advertised brokers, in memory and in the state file.
    fn learn(&self, id: &str, brokers: Vec<BrokerAddr>) {
        self.bootstrap.learn(brokers.clone());
        self.file.lock().save(SavedCluster {
            cluster_id: id.to_owned(),
            brokers,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(id: Option<&str>) -> ClusterSettings {
        let mut settings = ClusterSettings::new("main", vec!["seed:1".parse().expect("an address")]);
        settings.cluster_id = id.map(Into::into);
        settings
    }

    fn info(id: &str, brokers: &[&str]) -> ClusterInfo {
        ClusterInfo {
            cluster_id: id.into(),
            brokers: brokers
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect(),
        }
    }

    fn bootstrap(identity: &ClusterIdentity) -> Vec<String> {
        identity
            .bootstrap
            .usable()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_first_answer_pins_the_id_and_a_restart_remembers_it() {
        let state = tempfile::tempdir().expect("a directory");
        let identity = ClusterIdentity::new(&settings(None), Some(state.path()));
        assert_eq!(identity.wrong_cluster(c"anything"), None, "nothing is pinned yet");
        assert_eq!(identity.accept(info("A", &["b2:1", "b1:1"])), Ok(()));
        assert!(identity.wrong_cluster(c"A").is_none() && identity.wrong_cluster(c"B").is_some());
        let wrong_cluster = identity
            .accept(info("B", &["evil:1", "evil:2"]))
            .expect_err("wrong_cluster");
        assert_eq!((&*wrong_cluster.expected, &*wrong_cluster.found), ("A", "B"));

        let again = ClusterIdentity::new(&settings(None), Some(state.path()));
        assert_eq!(bootstrap(&again), ["seed:1", "b1:1", "b2:1"]);
        assert!(again.accept(info("B", &["evil:1"])).is_err());
    }

    #[test]
    fn the_configuration_goes_before_what_was_noted() {
        let state = tempfile::tempdir().expect("a directory");
        let identity = ClusterIdentity::new(&settings(None), Some(state.path()));
        assert_eq!(identity.accept(info("A", &["b1:1", "b2:1"])), Ok(()));
        let moved = ClusterIdentity::new(&settings(Some("B")), Some(state.path()));
        assert_eq!(bootstrap(&moved), ["seed:1"], "A's brokers are not B's");
        assert!(moved.accept(info("A", &["b1:1"])).is_err());
        assert_eq!(moved.accept(info("B", &["c1:1", "c2:1"])), Ok(()));
        let again = ClusterIdentity::new(&settings(None), Some(state.path()));
        assert!(again.wrong_cluster(c"B").is_none() && again.wrong_cluster(c"A").is_some());
    }

    #[test]
    fn a_broker_that_knows_only_itself_does_not_shrink_the_list() {
        let identity = ClusterIdentity::new(&settings(None), None);
        assert_eq!(identity.accept(info("A", &["b1:1", "b2:1", "b3:1"])), Ok(()));
        assert_eq!(identity.accept(info("A", &["b3:1"])), Ok(()));
        assert_eq!(bootstrap(&identity), ["seed:1", "b1:1", "b2:1", "b3:1"]);
    }
}
