//! Reading the files of authentication, within a bound, and locking them; their TOML as JSON.
//!
//! Not here: writing them (`storage`).

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use toml_span::value::ValueInner;

use super::fault::AuthFault;
use crate::storage;

/// Reads a file, within the bound of [`storage::read`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AuthFault> {
    storage::read(path).map_err(|error| AuthFault::new(path, format!("cannot be read: {error}")))
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

/// Locks the directory of a file against other processes that write in it, until the result is dropped: during a hot restart two
/// processes may write the same file. Waits for at most [`MAX_LOCK_WAIT`], and for nothing where a file system has no locks.
pub(super) fn lock_directory_of(path: &Path) -> Option<File> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = storage::open_directory_of(path).ok()?;
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

/// Returns a text as a TOML string. JSON's escapes are among those of TOML.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// How long another process is waited for. It takes some milliseconds to write a file.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(2);
