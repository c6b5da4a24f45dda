//! The streams of `[stream_config]` that were read last, in a file that outlives a restart.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{config::StreamEntries, storage::StateFile};

/// The file. Without a directory nothing is kept.
#[derive(Clone)]
pub(super) struct KeptStreams(StateFile<Document>);

/// What the file holds. It may hold rules that name what is to be hidden.
#[derive(Clone, Serialize, Deserialize)]
struct Document {
    /// By which streams from elsewhere are told.
    origin: String,
    streams: StreamEntries,
}

impl KeptStreams {
    /// Returns a handle on the file in `directory`. Touches no file.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        Self(StateFile::private(directory, "stream-config.json").up_to(MAX_BYTES))
    }

    /// Returns the streams that were kept of this origin. A file that cannot be used is told and counts as none.
    pub(super) fn read(&self, origin: &str) -> Option<StreamEntries> {
        let document = self.0.read().unwrap_or_else(|error| {
            tracing::warn!(file = %self.0.display(), "the state file is ignored: {error}");
            None
        })?;
        (document.origin == origin).then_some(document.streams)
    }

    /// Keeps the streams of an origin. What cannot be written is told.
    pub(super) fn write(&self, origin: String, streams: &StreamEntries) {
        let document = Document {
            origin,
            streams: streams.clone(),
        };
        if let Err(error) = self.0.write(&document) {
            tracing::warn!(
                file = %self.0.display(),
                "cannot write the state file; after a restart while [stream_config] cannot be read, its streams are not known: {error}"
            );
        }
    }
}

/// The longest file, in bytes: the longest document, with the aliases of YAML written out.
const MAX_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn entries(text: &str) -> StreamEntries {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_kept_is_read_again_for_the_same_origin_only_and_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("state");
        let kept = KeptStreams::new(Some(&directory));
        assert_eq!(kept.read("a"), None);
        let streams = entries(r#"{"edits":{"topics":["e"]}}"#);
        kept.write("a".into(), &streams);
        assert_eq!(kept.read("a"), Some(streams));
        assert_eq!(kept.read("b"), None);
        let file = directory.join("stream-config.json");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for rubbish in ["", "{}", r#"{"version":2,"origin":"a","streams":{}}"#] {
            fs::write(&file, rubbish).unwrap();
            assert_eq!(kept.read("a"), None, "{rubbish}");
        }
    }

    #[test]
    fn without_a_directory_and_for_what_is_too_long_nothing_is_kept() {
        let kept = KeptStreams::new(None);
        kept.write("a".into(), &entries("{}"));
        assert_eq!(kept.read("a"), None);
        let directory = tempfile::tempdir().unwrap();
        let kept = KeptStreams::new(Some(directory.path()));
        let long = format!(r#"{{"edits":{{"description":"{}"}}}}"#, "x".repeat(5 << 20));
        kept.write("a".into(), &entries(&long));
        assert_eq!(kept.read("a"), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
