//! What is wrong with the files of a listener.

use std::path::{Path, PathBuf};

/// One fault of one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct TlsFault {
    path: PathBuf,
    problem: String,
}

impl TlsFault {
    pub(super) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

/// All faults of the files that sections of the configuration name. `Display` writes a line for each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(section, fault)| format!("{section}: {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct TlsFaults(Vec<(&'static str, TlsFault)>);

impl TlsFaults {
    pub(super) fn new(section: &'static str, faults: Vec<TlsFault>) -> Self {
        Self(faults.into_iter().map(|fault| (section, fault)).collect())
    }

    /// Returns both results, or the faults of both.
    ///
    /// # Errors
    /// If one of them has faults.
    pub fn both<A, B>(one: Result<A, Self>, other: Result<B, Self>) -> Result<(A, B), Self> {
        match (one, other) {
            (Ok(one), Ok(other)) => Ok((one, other)),
            (Err(mut one), Err(other)) => {
                one.0.extend(other.0);
                Err(one)
            }
            (Err(faults), _) | (_, Err(faults)) => Err(faults),
        }
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
