//! What a reader notes down.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Something that happened to a reader.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    /// Since the beginning of the run.
    pub(super) at: Duration,
    pub(super) what: ObservationKind,
}

/// What can happen to it.
#[derive(Clone, Debug)]
pub(super) enum ObservationKind {
    /// A stream began; where the last id leads, or at the start of the logs.
    Began { resumes: bool },
    /// A record came, and an id with it or not.
    Event { number: u64, id: bool },
    /// An id came with what is no record.
    Id,
    /// It was told of a gap.
    Gap(Box<GapData>),
    /// The stream ended, whoever ended it.
    Ended,
    /// Something came that a gateway does not send.
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

/// The notes of a reader that nobody has looked at yet.
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
