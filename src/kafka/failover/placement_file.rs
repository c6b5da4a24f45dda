//! Which groups are not at their first cluster, over a restart: a restart is no command to go back.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{catalog::StreamGroup, storage::StateFile};

/// What is remembered of the groups' places.
#[derive(Debug)]
pub(super) struct PlacementFile {
    file: StateFile<Placements>,
    placements: Placements,
}

#[derive(Debug, Serialize, Deserialize)]
struct Placement {
    stream: String,
    cluster: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Placements {
    moved: Vec<Placement>,
}

impl PlacementFile {
    /// What was noted in this directory.
    pub(super) fn open(directory: Option<&Path>) -> Self {
        let file = StateFile::new(directory, "moved-streams.json");
        let placements = file
            .read()
            .inspect_err(|why| tracing::warn!(file = %file.display(), "the state file is ignored: {why}"));
        Self {
            placements: placements.ok().flatten().unwrap_or_default(),
            file,
        }
    }

    /// The place of the group's cluster in its order of preference.
    pub(super) fn index_of(&self, group: &StreamGroup) -> usize {
        let entry = self.placements.moved.iter().find(|entry| entry.is_of(group));
        let index = entry.and_then(|entry| {
            let mut clusters = group.clusters.iter();
            clusters.position(|cluster| **cluster == *entry.cluster)
        });
        index.unwrap_or_default()
    }

    /// Forgets the streams that `is_there` is false for. They are written with the next note.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.placements.moved.retain(|entry| is_there(&entry.stream));
    }

    /// Notes where a group is now.
    pub(super) fn save(&mut self, group: &StreamGroup, index: usize) {
        self.placements.moved.retain(|entry| !entry.is_of(group));
        if index > 0 {
            let (stream, cluster) = (&group.streams[0], &group.clusters[index]);
            self.placements.moved.push(Placement {
                stream: stream.to_string(),
                cluster: cluster.to_string(),
            });
        }
        if let Err(error) = self.file.write(&self.placements) {
            tracing::warn!(
                file = %self.file.display(),
                "cannot write the state file; a restart will not know which streams were moved: {error}"
            );
        }
    }
}

impl Placement {
    fn is_of(&self, group: &StreamGroup) -> bool {
        group.streams.iter().any(|stream| **stream == *self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(streams: &[&str]) -> StreamGroup {
        StreamGroup {
            streams: streams.iter().map(|name| (*name).into()).collect(),
            topics: Vec::new(),
            clusters: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn a_restart_is_no_command_to_go_back() {
        let state = tempfile::tempdir().expect("a directory");
        let mut memory = PlacementFile::open(Some(state.path()));
        let (edits, pages) = (group(&["edits", "all"]), group(&["pages"]));
        assert_eq!(memory.index_of(&edits), 0);
        memory.save(&edits, 1);
        let again = PlacementFile::open(Some(state.path()));
        assert_eq!((again.index_of(&edits), again.index_of(&pages)), (1, 0));
        let mut fewer = group(&["all"]);
        assert_eq!(again.index_of(&fewer), 0, "its name stands for the group");
        fewer.streams.push("edits".into());
        fewer.clusters.pop();
        assert_eq!(
            again.index_of(&fewer),
            0,
            "the cluster is not on its list any more"
        );
        memory.save(&edits, 0);
        assert_eq!(PlacementFile::open(Some(state.path())).index_of(&edits), 0);
    }

    #[test]
    fn a_broken_file_is_as_none() {
        let state = tempfile::tempdir().expect("a directory");
        for text in [
            "",
            "{}",
            r#"{"version":9,"moved":[{"stream":"edits","cluster":"b"}]}"#,
        ] {
            std::fs::write(state.path().join("moved-streams.json"), text).expect("a file");
            let memory = PlacementFile::open(Some(state.path()));
            assert_eq!(memory.index_of(&group(&["edits"])), 0, "{text}");
        }
    }
}
