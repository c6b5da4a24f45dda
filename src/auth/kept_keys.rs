//! The key sets of issuers that were fetched last, kept in files over a restart.
//!
//! Without them a process that starts while an issuer cannot be reached would refuse all its tokens, although the process before it
//! had good keys for an hour more.

use std::{io, path::PathBuf, time::Duration};

use http::Uri;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::api_key::hex;
use crate::{position::Timestamp, storage::StateFile};

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
        let file = self.file(url);
        let document = file.read().inspect_err(|problem| {
            tracing::warn!(
                file = %file.display(),
                "the keys of an issuer that were kept before cannot be used; they are fetched: {problem}"
            );
        });
        let document = document.ok()??;
        // A clock that was set back must not prolong the life of keys.
        let age = u64::try_from(now.checked_sub(document.fetched_at)?).ok()?;
        (document.url == url.to_string()).then_some(KeptSet {
            text: document.keys,
            age: Duration::from_millis(age),
        })
    }

    /// Keeps the key set that was fetched from this address now. Creates the directory if it is missing.
    ///
    /// # Errors
    /// When the file cannot be written. The one before stays then.
    pub(super) fn write(&self, url: &Uri, keys: String, now: Timestamp) -> io::Result<()> {
        self.file(url).write(&Document {
            url: url.to_string(),
            fetched_at: now,
            keys,
        })
    }

    fn file(&self, url: &Uri) -> StateFile<Document> {
        let digest = hex(&Sha256::digest(url.to_string())[..8]);
        StateFile::new(self.directory.as_deref(), &format!("issuer-keys-{digest}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_set_is_found_again_under_its_own_address_with_its_age() {
        let directory = tempfile::tempdir().unwrap();
        let kept = KeptKeys::new(Some(directory.path().join("not/there/yet")));
        let path = |url| kept.file(url).display().to_string();
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
        fs::rename(path(&one), path(&other)).unwrap();
        assert_eq!(kept.read(&other, 7_000), None);
        fs::write(path(&one), "rubbish").unwrap();
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
