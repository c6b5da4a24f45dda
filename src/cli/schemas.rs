//! The check of the JSON Schemas that streams name: files must be there, and be JSON. A URL is not asked for.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::de::IgnoredAny;

use crate::catalog::{Catalog, Stream, schema_url};

/// What is wrong with the schemas of a configuration.
#[derive(Debug)]
pub struct SchemaFaults(Vec<SchemaFault>);

#[derive(Debug)]
struct SchemaFault {
    stream: String,
    path: PathBuf,
    why: SchemaError,
}

#[derive(Debug, thiserror::Error)]
enum SchemaError {
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

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

fn fault(directory: &Path, stream: &Stream) -> Option<SchemaFault> {
    let schema = stream.schema.as_ref()?;
    if schema_url(schema).is_some() {
        return None;
    }
    let path = directory.join(&**schema);
    let why = read(&path).err()?;
    Some(SchemaFault {
        stream: stream.name.to_string(),
        path,
        why,
    })
}

fn read(path: &Path) -> Result<(), SchemaError> {
    let text = fs::read(path)?;
    serde_json::from_slice::<IgnoredAny>(&text)?;
    Ok(())
}

impl SchemaFaults {
    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for SchemaFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for SchemaFault { stream, path, why } in &self.0 {
            writeln!(f, "the schema of stream `{stream}`, {}: {why}", path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaFaults {}
