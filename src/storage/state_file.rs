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

use super::{MAX_FILE_BYTES, read_up_to, replace, replace_private};

/// A file that holds a `T`. Without a directory there is no file: reads return nothing, and writes do nothing.
#[derive(Clone, Debug)]
pub(crate) struct StateFile<T> {
    path: Option<PathBuf>,
    is_private: bool,
    /// How long the file may be.
    max_bytes: u64,
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
            is_private: false,
            max_bytes: MAX_FILE_BYTES,
            document: PhantomData,
        }
    }

    /// Returns a handle on a file that only its owner may read.
    #[cfg(feature = "kafka")]
    pub(crate) fn private(directory: Option<&Path>, name: &str) -> Self {
        Self {
            is_private: true,
            ..Self::new(directory, name)
        }
    }

    /// Lets the file have so many bytes.
    #[cfg(feature = "kafka")]
    pub(crate) fn up_to(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// Returns what the file holds, or `None` if there is no file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not such a document, or is of another version.
    pub(crate) fn read(&self) -> Result<Option<T>, Box<dyn Error>> {
        let text = match self.path.as_deref().map(|path| read_up_to(path, self.max_bytes)) {
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
    /// Returns an error if the new text is too long or could not be written; the old file stays then.
    pub(crate) fn write(&self, document: &T) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let document = Versioned {
            version: VERSION,
            document,
        };
        let text = match self.is_private {
            // Not indented: it may be large, and is for riverhead alone.
            true => serde_json::to_vec(&document)?,
            false => serde_json::to_vec_pretty(&document)?,
        };
        if text.len() as u64 > self.max_bytes {
            return Err(io::Error::other(format!("longer than {} bytes", self.max_bytes)));
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        match self.is_private {
            true => replace_private(path, &text),
            false => replace(path, &text),
        }
    }

    /// Returns the file's path for the log; empty without a directory.
    pub(crate) fn display(&self) -> impl Display {
        self.path.as_deref().unwrap_or(Path::new("")).display()
    }
}

/// The version of the documents. A file of another version is ignored: its content is learned again, or commanded again.
const VERSION: u32 = 1;
