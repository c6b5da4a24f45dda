//! The check of the JSON Schemas that streams name: files must be there, and be JSON. A URL is not asked for.

use std::{fs, path::Path};

use serde::de::IgnoredAny;

use crate::catalog::{Catalog, Stream, schema_url};

/// What is wrong with the schemas of a configuration, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.concat())]
pub struct SchemaFaults(Vec<String>);

/// Checks the files that streams name as their schemas. A relative path begins at the directory of `config`.
///
/// # Errors
/// Every file that cannot be read, or is not JSON.
pub(super) fn check(config: &Path, catalog: &Catalog) -> Result<(), SchemaFaults> {
    let directory = config.parent().unwrap_or(Path::new(""));
    let faults: Vec<_> = catalog
        .streams()
        .filter_map(|stream| fault(directory, stream))
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SchemaFaults(faults))
    }
}

fn fault(directory: &Path, stream: &Stream) -> Option<String> {
    let schema = stream.schema.as_ref()?;
    if schema_url(schema).is_some() {
        return None;
    }
    let path = directory.join(&**schema);
    let why = read(&path).err()?;
    let (name, path) = (&stream.name, path.display());
    Some(format!("the schema of stream `{name}`, {path}: {why}\n"))
}

fn read(path: &Path) -> Result<(), String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let read: Result<IgnoredAny, _> = serde_json::from_slice(&text);
    read.map(drop).map_err(|error| format!("it is not JSON: {error}"))
}

impl SchemaFaults {
    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}
