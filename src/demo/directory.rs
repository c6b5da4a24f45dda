//! A directory for the files of one run of the demo, which only this user can read.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The directory. It is deleted with its files on drop.
#[derive(Debug)]
pub(super) struct DemoDirectory(PathBuf);

/// The files could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the demo's files to {}: {source}", .directory.display())]
pub struct DemoFilesError {
    /// The directory of the files.
    directory: PathBuf,
    /// What the operating system says.
    source: io::Error,
}

impl DemoDirectory {
    /// Creates a new directory for temporary files.
    pub(super) fn create() -> Result<Self, DemoFilesError> {
        let directory = env::temp_dir().join(format!("riverhead-demo-{:016x}", fastrand::u64(..)));
        // Fails if it exists, so that nobody else has put a link there.
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => Ok(Self(directory)),
            Err(source) => Err(DemoFilesError { directory, source }),
        }
    }

    /// Writes a new file.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), DemoFilesError> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(self.file(name));
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| DemoFilesError {
            directory: self.0.clone(),
            source,
        })
    }

    /// Returns the path of a file.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Returns its own path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DemoDirectory {
    fn drop(&mut self) {
        // What is left of a run that was killed is worth nothing: its keys are of no other run.
        let _ = fs::remove_dir_all(&self.0);
    }
}
