//! Reading the files of a listener, within a bound, and telling whether they have changed.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::fault::TlsFault;

/// Reads files one after the other, and remembers a digest of all that it has read.
///
/// Contents are compared rather than times: Kubernetes and ACME clients swap a symbolic link, and what it leads to may be older
/// than what was served before.
#[derive(Default)]
pub(super) struct FileReader(Sha256);

impl FileReader {
    /// Reads one file.
    ///
    /// # Errors
    /// When it cannot be read, or is much longer than such a file ever is.
    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<u8>, TlsFault> {
        let contents =
            bounded(path).map_err(|error| TlsFault::new(path, format!("cannot be read: {error}")))?;
        // With its length, so that no other division into files has the same digest.
        self.0.update(contents.len().to_be_bytes());
        self.0.update(&contents);
        Ok(contents)
    }

    /// Returns the digest of everything that was read.
    pub(super) fn digest(self) -> FileDigest {
        FileDigest(self.0.finalize().into())
    }
}

/// The digest of the contents of some files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileDigest([u8; 32]);

impl FileDigest {
    /// Returns the digest of one file with these contents.
    pub(super) fn of(contents: &[u8]) -> Self {
        Self(Sha256::digest(contents).into())
    }
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "the file is longer than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(contents)
}

/// The longest file that is read, in bytes. The bundle of all public authorities has a quarter of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
