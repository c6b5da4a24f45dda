//! What a subscription reads with: where from, in whose name, and how it is woken.

use std::sync::Arc;

use super::{log_source::LogSource, resume::RequiredProof};
use crate::{client::ClientKey, partition::SharedWaker, position::Timestamp};

/// Who asks.
#[derive(Clone)]
pub(super) struct ReadContext {
    pub(super) source: LogSource,
    pub(super) shared_waker: Arc<SharedWaker>,
    pub(super) client: ClientKey,
    pub(super) now: Timestamp,
    /// See [`ResumeResolver::proof`].
    pub(super) proof: RequiredProof,
}

impl ReadContext {
    /// One who hears of every change of the directory.
    pub(super) fn new(source: &LogSource, client: ClientKey, now: Timestamp) -> Self {
        let shared_waker = SharedWaker::new();
        source.directory.subscribe(&shared_waker);
        Self {
            source: source.clone(),
            shared_waker,
            client,
            now,
            proof: RequiredProof::Unneeded,
        }
    }
}
