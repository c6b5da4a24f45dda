//! The key sets of issuers that were fetched last, kept in files over a restart.
//!
//! Without them a process that starts while an issuer cannot be reached would refuse all its tokens, although the process before it
//! had good keys for an hour more.

use std::{fs, io, path::PathBuf, time::Duration};

use http::Uri;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{api_key::hex, files};
use crate::position::Timestamp;

/// The files of key sets. Without a directory nothing is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptKeys {
    directory: Option<PathBuf>,
}

/// A key set that was kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeptSet {
    /// The text as it was fetched.
    pub(super) text: String,
    /// How long ago.
    pub(super) age: Duration,
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The address of the set. It is compared, because the name of the file has only a part of its digest.
    url: String,
    /// When it was fetched, in milliseconds since the Unix epoch.
    fetched_at: Timestamp,
    keys: String,
}

impl KeptKeys {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory }
    }

    /// Returns the key set that was kept of this address. A file that cannot be used is told and counts as none.
    pub(super) fn read(&self, url: &Uri, now: Timestamp) -> Option<KeptSet> {
        let path = self.path(url)?;
        if let Ok(false) = path.try_exists() {
            return None;
        }
        let read = files::read(&path).map_err(|fault| fault.to_string());
        let document = read.and_then(|text| {
            let document: Result<Document, _> = serde_json::from_slice(&text);
            document.map_err(|error| format!("{}: {error}", path.display()))
        });
        let document = document.inspect_err(|problem| {
            tracing::warn!(
                problem,
                "the keys of an issuer that were kept before cannot be used; they are fetched"
            );
        });
        let document = document.ok()?;
        // A clock that was set back must not prolong the life of keys.
        let age = u64::try_from(now.checked_sub(document.fetched_at)?).ok()?;
        let is_same = document.version == VERSION && document.url == url.to_string();
        is_same.then_some(KeptSet {
            text: document.keys,
            age: Duration::from_millis(age),
        })
    }

    /// Keeps the key set that was fetched from this address now. Creates the directory if it is missing.
    ///
    /// # Errors
    /// When the file cannot be written. The one before stays then.
    pub(super) fn write(&self, url: &Uri, keys: String, now: Timestamp) -> io::Result<()> {
        let (Some(path), Some(directory)) = (self.path(url), &self.directory) else {
            return Ok(());
        };
        fs::create_dir_all(directory)?;
        let document = Document {
            version: VERSION,
            url: url.to_string(),
            fetched_at: now,
            keys,
        };
        files::replace(&path, &serde_json::to_string(&document)?)
    }

    fn path(&self, url: &Uri) -> Option<PathBuf> {
        let digest = hex(&Sha256::digest(url.to_string())[..8]);
        let directory = self.directory.as_ref()?;
        Some(directory.join(format!("issuer-keys-{digest}.json")))
    }
}

/// The version of the files.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_again_under_its_own_address_with_its_age() {
        let directory = tempfile::tempdir().unwrap();
        let kept = KeptKeys::new(Some(directory.path().join("not/there/yet")));
        let [one, other] = ["https://a.example/jwks", "https://b.example/jwks"].map(Uri::from_static);
        assert_eq!(kept.read(&one, 0), None);
        kept.write(&one, "{\"keys\":[]}".into(), 5_000).unwrap();
        let expected = |age| {
            Some(KeptSet {
                text: "{\"keys\":[]}".into(),
                age: Duration::from_millis(age),
            })
        };
        assert_eq!(kept.read(&one, 7_000), expected(2_000));
        assert_eq!(kept.read(&one, 4_999), None, "the clock was set back");
        assert_eq!(kept.read(&other, 7_000), None);
        // Somebody gives it another name.
        fs::rename(kept.path(&one).unwrap(), kept.path(&other).unwrap()).unwrap();
        assert_eq!(kept.read(&other, 7_000), None);
        fs::write(kept.path(&one).unwrap(), "rubbish").unwrap();
        assert_eq!(kept.read(&one, 7_000), None);
        kept.write(&one, "{\"keys\":[]}".into(), 7_000).unwrap();
        assert_eq!(kept.read(&one, 7_000), expected(0));
    }

    #[test]
    fn without_a_directory_nothing_is_kept_and_nothing_breaks() {
        let kept = KeptKeys::default();
        let url = Uri::from_static("https://a.example/jwks");
        kept.write(&url, "{}".into(), 0).unwrap();
        assert_eq!(kept.read(&url, 0), None);
    }
}
