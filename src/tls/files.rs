//! Reading the files of a listener, within a bound, and telling whether they have changed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

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
        self.read_with_mode(path).map(|(contents, _)| contents)
    }

    /// Reads one file of secrets, which are wiped from memory when they are dropped.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(super) fn read_secret(&mut self, path: &Path) -> Result<SecretFile, TlsFault> {
        let (contents, mode) = self.read_with_mode(path)?;
        Ok(SecretFile {
            contents: Zeroizing::new(contents),
            is_for_all: mode & ALL_USERS != 0,
        })
    }

    fn read_with_mode(&mut self, path: &Path) -> Result<(Vec<u8>, u32), TlsFault> {
        let (contents, mode) =
            bounded(path).map_err(|error| TlsFault::new(path, format!("cannot be read: {error}")))?;
        // With its length, so that no other division into files has the same digest.
        self.0.update(contents.len().to_be_bytes());
        self.0.update(&contents);
        Ok((contents, mode))
    }

    /// Returns the digest of everything that was read.
    pub(super) fn digest(self) -> FileDigest {
        FileDigest(self.0.finalize().into())
    }
}

/// The contents of a file of secrets.
pub(super) struct SecretFile {
    pub(super) contents: Zeroizing<Vec<u8>>,
    /// Whether every user of this machine may read or write it.
    pub(super) is_for_all: bool,
}

/// The digest of the contents of some files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileDigest([u8; 32]);

impl FileDigest {
    /// Returns the digest of one file with these contents.
    pub(super) fn of(contents: &[u8]) -> Self {
        Self(Sha256::digest(contents).into())
    }

    /// Returns its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the contents of a file, and its permissions.
fn bounded(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // As long as it will be, because a buffer that grows would leave copies of keys behind.
    let length = usize::try_from(metadata.len().min(MAX_FILE_BYTES)).unwrap_or_default();
    let mut contents = Vec::with_capacity(length + 1);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "the file is longer than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok((contents, metadata.permissions().mode()))
}

/// The permissions to read and to write of users who are neither the owner nor in the group.
const ALL_USERS: u32 = 0o006;

/// The longest file that is read, in bytes. The bundle of all public authorities has a quarter of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
