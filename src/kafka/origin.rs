//! Who a cluster is, and where to find it.

use std::{
    ffi::CStr,
    path::Path,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use super::{
    notebook::{Known, Notebook},
    seeds::Seeds,
    settings::{BrokerAddr, Settings},
};

/// The identity of a cluster and the brokers to ask first, over all clients that read it.
///
/// Its id is pinned, by the configuration, by what is known from before, or by the first answer: an address that now
/// belongs to another cluster would hand out other records under the same offsets.
#[derive(Debug)]
pub(super) struct Origin {
    cluster: Arc<str>,
    id: OnceLock<Arc<str>>,
    pub(super) seeds: Seeds,
    notebook: Mutex<Notebook>,
    life: Life,
}

/// Held by every client of a cluster until librdkafka has let go of it.
pub(super) type Life = Arc<()>;

/// What a cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Its id.
    pub(super) cluster_id: Arc<str>,
    /// Where its brokers listen.
    pub(super) brokers: Vec<BrokerAddr>,
}

/// Which broker told where the others are, for health: librdkafka's name of it, and each one's id and `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduced {
    pub(super) by: String,
    pub(super) brokers: Vec<(i32, String)>,
}

/// The brokers that answer are those of another cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the brokers answer for cluster id {found}, and it is {expected} that is read")]
pub struct Foreign {
    /// The id that is pinned.
    pub expected: Arc<str>,
    /// The id that was told.
    pub found: Arc<str>,
}

/// The id that a cluster must have, by its settings or by what was noted in this directory before; `None` takes any.
pub fn expected_id(settings: &Settings, state: Option<&Path>) -> Option<Arc<str>> {
    Origin::new(settings, state).id.get().cloned()
}

impl Origin {
    /// As the settings say, and what was noted in this directory before.
    pub(super) fn new(settings: &Settings, state: Option<&Path>) -> Arc<Self> {
        let notebook = Notebook::open(state, &settings.name);
        let mut known = notebook.known().cloned();
        if let (Some(noted), Some(id)) = (&known, &settings.cluster_id)
            && noted.cluster_id != **id
        {
            tracing::warn!(
                cluster = %settings.name, noted = noted.cluster_id, configured = %id,
                "what was noted is of another cluster id, and is not used"
            );
            known = None;
        }
        let id = settings.cluster_id.clone();
        let id = id.or_else(|| known.as_ref().map(|known| known.cluster_id.as_str().into()));
        let learned = known.map(|known| known.brokers).unwrap_or_default();
        Arc::new(Self {
            cluster: Arc::clone(&settings.name),
            id: id.map(OnceLock::from).unwrap_or_default(),
            seeds: Seeds::new(settings.bootstrap.clone(), learned),
            notebook: Mutex::new(notebook),
            life: Life::default(),
        })
    }

    /// Takes what brokers tell. The first answer pins the id, if nothing has before.
    ///
    /// # Errors
    /// When it is another cluster; nothing of it is taken.
    pub(super) fn hear(&self, told: Told) -> Result<(), Foreign> {
        let expected = self.id.get_or_init(|| {
            tracing::info!(cluster = %self.cluster, id = %told.cluster_id, "the cluster's id is pinned");
            Arc::clone(&told.cluster_id)
        });
        if *expected != told.cluster_id {
            return Err(Foreign {
                expected: Arc::clone(expected),
                found: told.cluster_id,
            });
        }
        let mut brokers = told.brokers;
        brokers.sort();
        // A broker that is cut off from the others tells of itself alone; what was learned before is worth more then.
        if brokers.len() > 1 || self.notebook.lock().known().is_none() {
            self.learn(expected, brokers);
        }
        Ok(())
    }

    /// The other cluster, if this is not the id that is pinned.
    pub(super) fn foreign(&self, found: &CStr) -> Option<Foreign> {
        let expected = self.id.get()?;
        (expected.as_bytes() != found.to_bytes()).then(|| Foreign {
            expected: Arc::clone(expected),
            found: found.to_string_lossy().into(),
        })
    }

    /// For a new client to hold.
    pub(super) fn life(&self) -> Life {
        Life::clone(&self.life)
    }

    /// How many clients there are, those that are being closed included.
    pub(super) fn clients(&self) -> usize {
        Arc::strong_count(&self.life) - 1
    }

    fn learn(&self, id: &str, brokers: Vec<BrokerAddr>) {
        self.seeds.learn(brokers.clone());
        self.notebook.lock().note(Known {
            cluster_id: id.to_owned(),
            brokers,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(id: Option<&str>) -> Settings {
        let mut settings = Settings::new("main", vec!["seed:1".parse().expect("an address")]);
        settings.cluster_id = id.map(Into::into);
        settings
    }

    fn told(id: &str, brokers: &[&str]) -> Told {
        Told {
            cluster_id: id.into(),
            brokers: brokers
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect(),
        }
    }

    fn seeds(origin: &Origin) -> Vec<String> {
        origin.seeds.usable().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_answer_pins_the_id_and_a_restart_remembers_it() {
        let state = tempfile::tempdir().expect("a directory");
        let origin = Origin::new(&settings(None), Some(state.path()));
        assert_eq!(origin.foreign(c"anything"), None, "nothing is pinned yet");
        assert_eq!(origin.hear(told("A", &["b2:1", "b1:1"])), Ok(()));
        assert!(origin.foreign(c"A").is_none() && origin.foreign(c"B").is_some());
        let foreign = origin
            .hear(told("B", &["evil:1", "evil:2"]))
            .expect_err("foreign");
        assert_eq!((&*foreign.expected, &*foreign.found), ("A", "B"));

        let again = Origin::new(&settings(None), Some(state.path()));
        assert_eq!(seeds(&again), ["seed:1", "b1:1", "b2:1"]);
        assert!(again.hear(told("B", &["evil:1"])).is_err());
    }

    #[test]
    fn the_configuration_goes_before_what_was_noted() {
        let state = tempfile::tempdir().expect("a directory");
        let origin = Origin::new(&settings(None), Some(state.path()));
        assert_eq!(origin.hear(told("A", &["b1:1", "b2:1"])), Ok(()));
        let moved = Origin::new(&settings(Some("B")), Some(state.path()));
        assert_eq!(seeds(&moved), ["seed:1"], "A's brokers are not B's");
        assert!(moved.hear(told("A", &["b1:1"])).is_err());
        assert_eq!(moved.hear(told("B", &["c1:1", "c2:1"])), Ok(()));
        let again = Origin::new(&settings(None), Some(state.path()));
        assert!(again.foreign(c"B").is_none() && again.foreign(c"A").is_some());
    }

    #[test]
    fn a_broker_that_knows_only_itself_does_not_shrink_the_list() {
        let origin = Origin::new(&settings(None), None);
        assert_eq!(origin.hear(told("A", &["b1:1", "b2:1", "b3:1"])), Ok(()));
        assert_eq!(origin.hear(told("A", &["b3:1"])), Ok(()));
        assert_eq!(seeds(&origin), ["seed:1", "b1:1", "b2:1", "b3:1"]);
    }
}
