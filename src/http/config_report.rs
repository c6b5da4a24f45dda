//! The running configuration as `/admin/config` shows it.
//!
//! Not here: what is in it, and that no secret is (`app`).

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

/// A JSON document about the configuration, and how often it was replaced. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ConfigReport(Arc<RwLock<(Bytes, u64)>>);

impl ConfigReport {
    /// Replaces the document.
    pub fn set(&self, document: impl Into<Bytes>) {
        let mut report = self.0.write();
        report.0 = document.into();
        report.1 += 1;
    }

    /// Returns the document. It is empty if none was set.
    pub(super) fn document(&self) -> Bytes {
        self.0.read().0.clone()
    }

    /// Returns how often the document was replaced, so that a page need not ask for the same one again.
    pub(super) fn revision(&self) -> u64 {
        self.0.read().1
    }
}
