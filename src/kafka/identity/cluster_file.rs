//! The file that keeps a cluster's id and brokers over a restart.

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

use crate::{kafka::settings::BrokerAddr, storage::StateFile};

/// The state file of one cluster. A fault of the file never stops riverhead: it is logged, and the configuration is used alone.
#[derive(Debug)]
pub(super) struct ClusterFile {
    cluster: String,
    file: StateFile<ClusterDocument>,
    /// The content of the file.
    saved: Option<SavedCluster>,
}

/// The saved identity of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedCluster {
    /// The id of the cluster.
    pub(super) cluster_id: String,
    /// Its brokers, sorted, as it advertises them.
    pub(super) brokers: Vec<BrokerAddr>,
}

/// The content as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct ClusterDocument {
    cluster: String,
    cluster_id: String,
    brokers: Vec<String>,
    /// When the content last changed, for people.
    learned: String,
}

impl ClusterFile {
    /// Reads the file of the cluster called `cluster` in this directory.
    pub(super) fn open(directory: Option<&Path>, cluster: &str) -> Self {
        let file = StateFile::new(directory, &format!("cluster-{cluster}.json"));
        let read = |document: Option<ClusterDocument>| document.map(|it| it.parse(cluster)).transpose();
        let saved = file.read().and_then(read).inspect_err(
            |why| tracing::warn!(cluster, file = %file.display(), "the state file is ignored: {why}"),
        );
        Self {
            cluster: cluster.to_owned(),
            file,
            saved: saved.unwrap_or_default(),
        }
    }

    /// Returns the content of the file; `None` if there is none, or it was ignored.
    pub(super) fn saved(&self) -> Option<&SavedCluster> {
        self.saved.as_ref()
    }

    /// Writes the file if the content has changed.
    pub(super) fn save(&mut self, known: SavedCluster) {
        if self.saved.as_ref() == Some(&known) {
            return;
        }
        let document = ClusterDocument {
            cluster: self.cluster.clone(),
            cluster_id: known.cluster_id.clone(),
            brokers: known.brokers.iter().map(ToString::to_string).collect(),
            learned: jiff::Timestamp::now().to_string(),
        };
        if let Err(error) = self.file.write(&document) {
            tracing::warn!(
                cluster = self.cluster, file = %self.file.display(),
                "cannot write the state file of the cluster: {error}"
            );
        }
        // Also after a failed write: the next change is the next try, so a full disk is logged once for each change.
        self.saved = Some(known);
    }
}

impl ClusterDocument {
    /// Returns the saved identity.
    ///
    /// # Errors
    /// Says what is wrong if the document belongs to another cluster, or a broker's address is invalid.
    fn parse(self, cluster: &str) -> Result<SavedCluster, Box<dyn Error>> {
        if self.cluster != cluster {
            return Err(format!("it belongs to cluster `{}`", self.cluster).into());
        }
        let brokers: Result<_, _> = self.brokers.iter().map(|broker| broker.parse()).collect();
        Ok(SavedCluster {
            cluster_id: self.cluster_id,
            brokers: brokers.map_err(|error| format!("it has an invalid broker address: {error}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn known(brokers: &[&str]) -> SavedCluster {
        SavedCluster {
            cluster_id: "q7ZkAbc".into(),
            brokers: brokers
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect(),
        }
    }

    #[test]
    fn what_is_noted_is_known_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = directory.path().join("not/there/yet");
        let mut cluster_file = ClusterFile::open(Some(&below), "main");
        assert_eq!(cluster_file.saved(), None);
        cluster_file.save(known(&["b1:9092", "[::1]:9092"]));
        cluster_file.save(known(&["b2:9092"]));
        let again = ClusterFile::open(Some(&below), "main");
        assert_eq!(again.saved(), Some(&known(&["b2:9092"])));
        assert_eq!(ClusterFile::open(Some(&below), "other").saved(), None);
        let files = fs::read_dir(&below).expect("the directory").count();
        assert_eq!(files, 1, "no drafts stay behind");
    }

    #[test]
    fn a_broken_file_is_as_none_and_is_written_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("cluster-main.json");
        let good = r#"{"version":1,"cluster":"main","cluster_id":"x","brokers":["b:1"],"learned":""}"#;
        fs::write(&file, good).expect("a file");
        assert!(
            ClusterFile::open(Some(directory.path()), "main")
                .saved()
                .is_some()
        );
        let broken = [
            "",
            "{\"version\":1",
            &good.replace("\"version\":1", "\"version\":2"),
            &good.replace("main", "other"),
            &good.replace("b:1", "b"),
            &good.replace("cluster_id", "id"),
        ];
        for text in broken {
            fs::write(&file, text).expect("a file");
            let mut cluster_file = ClusterFile::open(Some(directory.path()), "main");
            assert_eq!(cluster_file.saved(), None, "{text}");
            cluster_file.save(known(&["b1:9092"]));
            let again = ClusterFile::open(Some(directory.path()), "main");
            assert_eq!(again.saved(), Some(&known(&["b1:9092"])));
        }
    }

    #[test]
    fn without_a_directory_nothing_is_kept_and_nothing_breaks() {
        let mut cluster_file = ClusterFile::open(None, "main");
        cluster_file.save(known(&["b1:9092"]));
        assert_eq!(cluster_file.saved(), Some(&known(&["b1:9092"])));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut cluster_file = ClusterFile::open(Some(file.path()), "main");
        cluster_file.save(known(&["b1:9092"]));
    }
}
