//! What is remembered of a cluster over a restart: who it is, and where its brokers were.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::kafka::{atomic_file, settings::BrokerAddr};

/// A small file for one cluster, or none. Nothing that is wrong with it keeps riverhead from its work: it is said, and
/// the configuration stands alone.
#[derive(Debug)]
pub(super) struct StateFile {
    cluster: String,
    file: Option<PathBuf>,
    /// What the file says.
    saved: Option<SavedCluster>,
}

/// What is known of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedCluster {
    /// Its id.
    pub(in crate::kafka) cluster_id: String,
    /// Its brokers, sorted, as it advertises them.
    pub(in crate::kafka) brokers: Vec<BrokerAddr>,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct SavedClusterDocument {
    version: u32,
    cluster: String,
    cluster_id: String,
    brokers: Vec<String>,
    /// When that changed last; for people.
    learned: String,
}

impl StateFile {
    /// The notebook of the cluster called `cluster` in this directory, with what it says.
    pub(in crate::kafka) fn open(directory: Option<&Path>, cluster: &str) -> Self {
        let file = directory.map(|directory| directory.join(format!("cluster-{cluster}.json")));
        let known = file.as_deref().and_then(|file| read(file, cluster));
        Self {
            cluster: cluster.to_owned(),
            file,
            saved: known,
        }
    }

    /// What the file says.
    pub(in crate::kafka) fn saved(&self) -> Option<&SavedCluster> {
        self.saved.as_ref()
    }

    /// Writes it down, if that is news.
    pub(in crate::kafka) fn save(&mut self, known: SavedCluster) {
        if self.saved.as_ref() == Some(&known) {
            return;
        }
        if let Some(file) = &self.file
            && let Err(error) = write(file, &self.cluster, &known)
        {
            tracing::warn!(cluster = self.cluster, file = %file.display(), "what is known of the cluster is not kept: {error}");
        }
        // Also when it could not be written: the next change is the next try, and a full disk is said once for each.
        self.saved = Some(known);
    }
}

fn read(file: &Path, cluster: &str) -> Option<SavedCluster> {
    let text = atomic_file::read(file)
        .map_err(|error| error.to_string())
        .transpose()?;
    let known = text.and_then(|text| parse(&text, cluster));
    known
        .inspect_err(|why| tracing::warn!(cluster, file = %file.display(), "a state file is ignored: {why}"))
        .ok()
}

fn parse(text: &str, cluster: &str) -> Result<SavedCluster, String> {
    let page: SavedClusterDocument = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if page.version != VERSION {
        return Err(format!("it is of version {}", page.version));
    }
    if page.cluster != cluster {
        return Err(format!("it speaks of cluster `{}`", page.cluster));
    }
    let brokers: Result<_, _> = page.brokers.iter().map(|broker| broker.parse()).collect();
    Ok(SavedCluster {
        cluster_id: page.cluster_id,
        brokers: brokers.map_err(|error| format!("it names a broker that is none: {error}"))?,
    })
}

fn write(file: &Path, cluster: &str, known: &SavedCluster) -> io::Result<()> {
    let page = SavedClusterDocument {
        version: VERSION,
        cluster: cluster.to_owned(),
        cluster_id: known.cluster_id.clone(),
        brokers: known.brokers.iter().map(ToString::to_string).collect(),
        learned: jiff::Timestamp::now().to_string(),
    };
    atomic_file::replace(file, &serde_json::to_vec_pretty(&page)?)
}

/// Another version's file is not understood, and not needed: what it holds is learned again.
const VERSION: u32 = 1;

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
        let mut state_file = StateFile::open(Some(&below), "main");
        assert_eq!(state_file.saved(), None);
        state_file.save(known(&["b1:9092", "[::1]:9092"]));
        state_file.save(known(&["b2:9092"]));
        let again = StateFile::open(Some(&below), "main");
        assert_eq!(again.saved(), Some(&known(&["b2:9092"])));
        assert_eq!(StateFile::open(Some(&below), "other").saved(), None);
        let files = fs::read_dir(&below).expect("the directory").count();
        assert_eq!(files, 1, "no drafts stay behind");
    }

    #[test]
    fn a_broken_file_is_as_none_and_is_written_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("cluster-main.json");
        let good = r#"{"version":1,"cluster":"main","cluster_id":"x","brokers":["b:1"],"learned":""}"#;
        assert!(parse(good, "main").is_ok());
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
            let mut state_file = StateFile::open(Some(directory.path()), "main");
            assert_eq!(state_file.saved(), None, "{text}");
            state_file.save(known(&["b1:9092"]));
            let again = StateFile::open(Some(directory.path()), "main");
            assert_eq!(again.saved(), Some(&known(&["b1:9092"])));
        }
    }

    #[test]
    fn without_a_directory_nothing_is_kept_and_nothing_breaks() {
        let mut state_file = StateFile::open(None, "main");
        state_file.save(known(&["b1:9092"]));
        assert_eq!(state_file.saved(), Some(&known(&["b1:9092"])));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut state_file = StateFile::open(Some(file.path()), "main");
        state_file.save(known(&["b1:9092"]));
    }
}
