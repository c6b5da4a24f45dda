//! The observations of a reader.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// An observation of a reader.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    /// The time since the start of the run.
    pub(super) at: Duration,
    pub(super) what: ObservationKind,
}

/// The kinds of observations.
#[derive(Clone, Debug)]
pub(super) enum ObservationKind {
    /// A stream began, from the last id or from the start of the logs.
    Began { resumes: bool },
    /// A record arrived, with or without an id.
    Event { number: u64, id: bool },
    /// An id arrived without a record.
    Id,
    /// A gap arrived.
    Gap(Box<GapData>),
    /// The stream ended, from either side.
    Ended,
    /// Something arrived that a gateway does not send.
    Strange(String),
}

/// The data of a gap.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct GapData {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) requested: Option<i64>,
    pub(super) resumed: Option<i64>,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) partitions: Option<u32>,
}

/// The observations of a reader that have not been checked yet.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservationLog(Arc<Mutex<Vec<Observation>>>);

impl ObservationLog {
    pub(super) fn add(&self, notes: impl IntoIterator<Item = Observation>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(notes);
    }

    pub(super) fn take(&self) -> Vec<Observation> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
