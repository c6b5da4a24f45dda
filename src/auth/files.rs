//! Reading the files of authentication, within a bound, and their TOML as JSON.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
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

/// The longest file, in bytes: some thousands of keys.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
