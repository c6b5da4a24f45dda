//! The directory of one cluster, with its logs and data. It is removed when the test process ends.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::address::random;

/// A temporary directory that is removed when this value is dropped or, for a cluster in a `static`, when the
/// process ends. It stays if `RIVERHEAD_TEST_KEEP` is set.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    /// Reads a pipe that only this process holds open, and removes the directory at its end. Rust drops no
    /// statics, and a test process may be killed, so only another process can clean up after it.
    janitor: Option<Child>,
}

impl WorkDir {
    pub(crate) fn create() -> Self {
        let name = format!("riverhead-brokers-{}-{:08x}", std::process::id(), random() as u32);
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory under the temporary directory");
        let keep = std::env::var_os(KEEP_VARIABLE).is_some();
        let janitor = (!keep).then(|| hire_janitor(&path));
        Self { path, janitor }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the last lines of every log in the directory, for a person to read after a failure.
    pub(crate) fn tails(&self) -> String {
        let mut logs: Vec<PathBuf> = fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        logs.iter()
            .map(|log| format!("--- {}\n{}\n", log.display(), tail(log)))
            .collect()
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Some(mut janitor) = self.janitor.take() {
            drop(janitor.stdin.take());
            let _ = janitor.wait();
        }
    }
}

fn hire_janitor(path: &Path) -> Child {
    Command::new("sh")
        // Twice, since brokers that are being killed may create a file in between.
        .args([
            "-c",
            r#"cat; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }"#,
            "janitor",
        ])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // An interrupt from the terminal ends the test, and the clean-up is needed after that.
        .process_group(0)
        .spawn()
        .expect("sh")
}

fn tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(log) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)));
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const KEEP_VARIABLE: &str = "RIVERHEAD_TEST_KEEP";

/// Bytes of each log: a stack trace or two.
const TAIL_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_goes_with_the_value() {
        let workplace = WorkDir::create();
        let path = workplace.path().to_owned();
        fs::write(path.join("node.log"), "the last words").expect("written");
        assert!(workplace.tails().contains("the last words"));
        drop(workplace);
        assert!(!path.exists());
    }
}
