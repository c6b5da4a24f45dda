//! What is wrong with the files of authentication.

use std::path::Path;

/// One fault of one file. It never shows a value, which may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct AuthFault {
    file: String,
    problem: String,
}

impl AuthFault {
    pub(super) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            file: path.display().to_string(),
            problem: problem.into(),
        }
    }
}

/// All faults of the files that the section `auth` names. `Display` writes a line for each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|fault| format!("auth: {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct AuthFaults(Vec<AuthFault>);

impl From<Vec<AuthFault>> for AuthFaults {
    fn from(faults: Vec<AuthFault>) -> Self {
        Self(faults)
    }
}

impl AuthFaults {
    /// Returns all of these together.
    pub(super) fn all(faults: Option<Self>, other: Option<AuthFault>) -> Self {
        Self(
            faults
                .into_iter()
                .flat_map(|faults| faults.0)
                .chain(other)
                .collect(),
        )
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
