//! Reading the files of authentication, within a bound, and writing them; their TOML as JSON.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use toml_span::value::ValueInner;

use super::fault::AuthFault;

/// Reads a file of at most [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AuthFault> {
    bounded(path).map_err(|error| AuthFault::new(path, format!("cannot be read: {error}")))
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut contents)?;
    match contents.len() as u64 > MAX_FILE_BYTES {
        true => Err(io::Error::other(format!("longer than {MAX_FILE_BYTES} bytes"))),
        false => Ok(contents),
    }
}

/// Parses a TOML document. The error says where it ends to be one, and shows nothing of it.
pub(super) fn toml(path: &Path, text: &[u8]) -> Result<Value, AuthFault> {
    let text = str::from_utf8(text).map_err(|_| AuthFault::new(path, "is not UTF-8"))?;
    let document = toml_span::parse(text).map_err(|error| {
        let line = text[..text.floor_char_boundary(error.span.start)]
            .matches('\n')
            .count()
            + 1;
        AuthFault::new(path, format!("is not TOML, in line {line}"))
    })?;
    Ok(json(&document))
}

/// Returns a TOML value as JSON. A number that JSON does not have becomes null, which no reader here accepts.
fn json(value: &toml_span::Value<'_>) -> Value {
    match value.as_ref() {
        ValueInner::String(text) => Value::String(text.to_string()),
        ValueInner::Integer(number) => (*number).into(),
        ValueInner::Float(number) => (*number).into(),
        ValueInner::Boolean(flag) => (*flag).into(),
        ValueInner::Array(items) => items.iter().map(json).collect(),
        ValueInner::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| (key.name.to_string(), json(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// Returns the message of serde without the values in it, which stand between quotes.
pub(super) fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let parts = message.split('"').step_by(2);
    parts.collect::<Vec<_>>().join("...")
}

/// Writes the file in one step: whoever reads it meanwhile gets the whole text, old or new. Only its owner may read a new file.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a symbolic link leads to is replaced, and not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    let next = path.with_file_name(format!(".{name}.{}.next", std::process::id()));
    // One that a crash has left. In a container every process may have the same id.
    _ = fs::remove_file(&next);
    let written = write_new(&next, text, path).and_then(|()| fs::rename(&next, path));
    if written.is_err() {
        // It may not exist.
        _ = fs::remove_file(&next);
    }
    written.inspect(|()| sync_directory_of(path))
}

/// Writes the entry of a file in its directory to the disk. Until then a power failure brings back the file as it was.
fn sync_directory_of(path: &Path) {
    // Not every file system can do that, and the file is in its place all the same.
    _ = directory_of(path).and_then(|directory| directory.sync_all());
}

/// Locks the directory of a file against other processes that write in it, until the result is dropped: during a hot restart two
/// processes may write the same file. Waits for at most [`MAX_LOCK_WAIT`], and for nothing where a file system has no locks.
pub(super) fn lock_directory_of(path: &Path) -> Option<File> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = directory_of(path).ok()?;
    let start = Instant::now();
    while let Err(TryLockError::WouldBlock) = directory.try_lock() {
        if start.elapsed() > MAX_LOCK_WAIT {
            return None;
        }
        thread::sleep(LOCK_RETRY);
    }
    Some(directory)
}

/// What differs between two versions of a file: the number of the inode, the time of the change in seconds and nanoseconds, and the
/// length.
pub(super) type FileVersion = (u64, i64, i64, u64);

/// Returns the version of a file, if there is one.
pub(super) fn version(path: &Path) -> Option<FileVersion> {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

/// Opens the directory of a file.
fn directory_of(path: &Path) -> io::Result<File> {
    match path.parent() {
        // A path without a directory is relative to the current one.
        Some(directory) if directory.as_os_str().is_empty() => File::open("."),
        Some(directory) => File::open(directory),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn write_new(next: &Path, text: &str, before: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(next)?;
    if let Ok(before) = fs::metadata(before) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Returns a text as a TOML string. JSON's escapes are among those of TOML.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// How long another process is waited for. It takes some milliseconds to write a file.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// The longest file, in bytes: some thousands of keys.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
