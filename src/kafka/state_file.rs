//! Versioned JSON files that keep a little state over a restart: read with a bound, replaced in one step.
//!
//! Not here: what the files hold (`identity::cluster_file`, `failover::placement_file`, `app`).

use std::{
    error::Error,
    fmt::Display,
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A file that holds a `T`. Without a directory there is no file: reads return nothing, and writes do nothing.
#[derive(Debug)]
pub struct StateFile<T> {
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
    pub fn new(directory: Option<&Path>, name: &str) -> Self {
        Self {
            path: directory.map(|directory| directory.join(name)),
            document: PhantomData,
        }
    }

    /// Returns what the file holds, or `None` if there is no file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not such a document, or is of another version.
    pub fn read(&self) -> Result<Option<T>, Box<dyn Error>> {
        let file = match self.path.as_ref().map(File::open) {
            None => return Ok(None),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Some(file) => BufReader::new(file?.take(MAX_FILE_BYTES)),
        };
        match serde_json::from_reader(file)? {
            Versioned {
                version: VERSION,
                document,
            } => Ok(Some(document)),
            Versioned { version, .. } => Err(format!("its version {version} is not supported").into()),
        }
    }

    /// Replaces the file: a reader finds the old text or the new one, also after a crash. Creates the directory if it is missing.
    ///
    /// # Errors
    /// Returns an error if the new text could not be written; the old file stays then.
    pub fn write(&self, document: &T) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&Versioned {
            version: VERSION,
            document,
        })?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // The draft's name contains the process id: during a hot restart both processes may write.
        let draft = path.with_extension(format!("{}.tmp", process::id()));
        let mut out = File::create(&draft)?;
        let written = out.write_all(&text).and_then(|()| out.sync_all());
        written
            .and_then(|()| fs::rename(&draft, path))
            .inspect_err(|_| _ = fs::remove_file(&draft))
    }

    /// Returns the file's path for the log; empty without a directory.
    pub fn display(&self) -> impl Display {
        self.path.as_deref().unwrap_or(Path::new("")).display()
    }
}

/// The version of the documents. A file of another version is ignored: its content is learned again, or commanded again.
const VERSION: u32 = 1;

/// The most bytes that are read of a file: several times the topics of all streams that a configuration has room for. JSON that is
/// cut off does not parse.
const MAX_FILE_BYTES: u64 = 8 << 20;
