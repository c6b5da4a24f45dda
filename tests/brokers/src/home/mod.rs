//! The installation of Kafka on this machine: Java, the jars, a class-data archive and the compiled admin
//! program.
//!
//! All of it is created once per machine and kept in `$RIVERHEAD_KAFKA_HOME`, by default
//! `$XDG_CACHE_HOME/riverhead/kafka-4.1.1` or `~/.cache/riverhead/kafka-4.1.1`.

mod archive;
mod jars;
mod java;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The kept files, all of which exist.
#[derive(Debug)]
pub(crate) struct KafkaHome {
    /// Every jar that a node needs, in a fixed order: an archive works only for the class path that it was
    /// created with.
    class_path: String,
    archive: PathBuf,
    admin_classes: PathBuf,
}

impl KafkaHome {
    /// Returns the installation of this machine, and creates it if it is missing. Test processes that start
    /// together create it once, and wait for each other.
    ///
    /// # Panics
    ///
    /// If Java or Maven is missing or too old, with what to install.
    pub(crate) fn get() -> &'static Self {
        static HOME: OnceLock<KafkaHome> = OnceLock::new();
        HOME.get_or_init(|| Self::prepare(&directory()).unwrap_or_else(|fault| panic!("{fault}")))
    }

    fn prepare(directory: &Path) -> Result<Self, String> {
        let version = java::version()?;
        let _lock = lock(directory)?;
        let libraries = jars::fetched(directory)?;
        let class_path = jars::class_path(&libraries)?;
        let archive = archive::made(directory, &class_path, &version)?;
        let admin_classes = jars::admin_compiled(directory, &libraries, &class_path)?;
        Ok(Self {
            class_path,
            archive,
            admin_classes,
        })
    }

    /// Returns a command for the node with this properties file.
    pub(crate) fn node(&self, properties: &Path, heap_mb: u32) -> Command {
        let mut command = java::command(heap_mb);
        command
            .args(self.archive_flags())
            .args(["-cp", &self.class_path, "kafka.Kafka"])
            .arg(properties);
        command
    }

    /// Returns a command for the admin program. Its class path begins with the archive's, so it starts as
    /// fast.
    pub(crate) fn admin(&self, bootstrap: &str) -> Command {
        let mut command = java::command(ADMIN_HEAP_MB);
        let class_path = format!("{}:{}", self.class_path, self.admin_classes.display());
        command
            .args(self.archive_flags())
            .args(["-cp", &class_path, "Admin", bootstrap]);
        command
    }

    fn archive_flags(&self) -> [String; 2] {
        [
            format!("-XX:SharedArchiveFile={}", self.archive.display()),
            "-Xshare:auto".to_owned(),
        ]
    }
}

fn directory() -> PathBuf {
    let below = |variable| {
        std::env::var_os(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    below("RIVERHEAD_KAFKA_HOME")
        .or_else(|| below("XDG_CACHE_HOME").map(|cache| cache.join(KEPT_AS)))
        .or_else(|| below("HOME").map(|home| home.join(".cache").join(KEPT_AS)))
        .unwrap_or_else(|| std::env::temp_dir().join(KEPT_AS))
}

/// The lock is held until it is dropped. The kernel releases it if the process dies.
fn lock(directory: &Path) -> Result<File, String> {
    let locked = || {
        fs::create_dir_all(directory)?;
        let file = File::create(directory.join("lock"))?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|error: std::io::Error| format!("cannot use {}: {error}", directory.display()))
}

/// The directory, with the version of the brokers as in `pom.xml`.
const KEPT_AS: &str = "riverhead/kafka-4.1.1";

/// Enough for the Admin client and some thousand records read back.
const ADMIN_HEAP_MB: u32 = 64;
