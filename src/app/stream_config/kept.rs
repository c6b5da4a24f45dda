//! The streams of `[stream_config]` that were read last, in a file that outlives a restart.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::StreamEntries,
    storage::{read_up_to, replace_private},
};

/// The file. Without a directory nothing is kept.
#[derive(Clone)]
pub(super) struct KeptStreams(Option<PathBuf>);

/// What the file holds. It may hold rules that name what is to be hidden.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    /// By which streams from elsewhere are told.
    origin: String,
    streams: StreamEntries,
}

impl KeptStreams {
    /// Returns a handle on the file in `directory`. Touches no file.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        Self(directory.map(|directory| directory.join("stream-config.json")))
    }

    /// Returns the streams that were kept of this origin. A file that cannot be used is told and counts as none.
    pub(super) fn read(&self, origin: &str) -> Option<StreamEntries> {
        let path = self.0.as_deref()?;
        match read(path) {
            Ok(document) => (document.origin == origin).then_some(document.streams),
            Err(error) if is_not_found(&*error) => None,
            Err(error) => {
                tracing::warn!(file = %path.display(), "the state file is ignored: {error}");
                None
            }
        }
    }

    /// Keeps the streams of an origin. What cannot be written is told.
    pub(super) fn write(&self, origin: String, streams: &StreamEntries) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = write(path, origin, streams.clone()) {
            tracing::warn!(
                file = %path.display(),
                "cannot write the state file; after a restart while [stream_config] cannot be read, its streams are not known: {error}"
            );
        }
    }
}

fn read(path: &Path) -> Result<Document, Box<dyn Error>> {
    match serde_json::from_slice(&read_up_to(path, MAX_BYTES)?)? {
        document @ Document { version: VERSION, .. } => Ok(document),
        Document { version, .. } => Err(format!("its version {version} is not supported").into()),
    }
}

fn write(path: &Path, origin: String, streams: StreamEntries) -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_vec(&Document {
        version: VERSION,
        origin,
        streams,
    })?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes").into());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    Ok(replace_private(path, &text)?)
}

fn is_not_found(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The version of the file. One of another version is ignored.
const VERSION: u32 = 1;

/// The longest file, in bytes: the longest document, with the aliases of YAML written out.
const MAX_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
