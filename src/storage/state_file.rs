//! Versioned JSON files that keep a little state over a restart: read with a bound, replaced in one step.
//!
//! Not here: what the files hold (for example `kafka::identity::cluster_file`).

use std::{
    error::Error,
    fmt::Display,
    fs, io,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::replace;

/// A file that holds a `T`. Without a directory there is no file: reads return nothing, and writes do nothing.
#[derive(Debug)]
pub(crate) struct StateFile<T> {
    path: Option<PathBuf>,
    document: PhantomData<fn() -> T>,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    document: T,
}

impl<T: Serialize + DeserializeOwned> StateFile<T> {
    /// Returns a handle on the file of this name in `directory`. Touches no file.
    pub(crate) fn new(directory: Option<&Path>, name: &str) -> Self {
        Self {
            path: directory.map(|directory| directory.join(name)),
            document: PhantomData,
        }
    }

    /// Returns what the file holds, or `None` if there is no file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not such a document, or is of another version.
    pub(crate) fn read(&self) -> Result<Option<T>, Box<dyn Error>> {
        let text = match self.path.as_deref().map(super::read) {
            None => return Ok(None),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Some(text) => text?,
        };
        match serde_json::from_slice(&text)? {
            Versioned {
                version: VERSION,
                document,
            } => Ok(Some(document)),
            Versioned { version, .. } => Err(format!("its version {version} is not supported").into()),
        }
    }

    /// Replaces the file in one step. Creates the directory if it is missing.
    ///
    /// # Errors
    /// Returns an error if the new text could not be written; the old file stays then.
    pub(crate) fn write(&self, document: &T) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&Versioned {
            version: VERSION,
            document,
        })?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        replace(path, &text)
    }

    /// Returns the file's path for the log; empty without a directory.
    pub(crate) fn display(&self) -> impl Display {
        self.path.as_deref().unwrap_or(Path::new("")).display()
    }
}

/// The version of the documents. A file of another version is ignored: its content is learned again, or commanded again.
const VERSION: u32 = 1;
