//! What a subscription needs to read: the source, the client on whose account it reads, and the waker.

use std::sync::Arc;

use super::RequiredProof;
use crate::{
    client::ClientKey,
    partition::{History, LogDirectory, SharedWaker},
    position::Timestamp,
};

/// The source of events, shared by all subscriptions of a process.
#[derive(Clone)]
pub struct LogSource {
    /// The directory of the current logs.
    pub directory: Arc<LogDirectory>,
    /// Reads records that are no longer in memory.
    pub history: Arc<dyn History>,
}

/// The context of a subscription's reads, shared by its partitions.
#[derive(Clone)]
pub(super) struct ReadContext {
    pub(super) source: LogSource,
    pub(super) shared_waker: Arc<SharedWaker>,
    pub(super) client: ClientKey,
    pub(super) now: Timestamp,
    /// See [`ResumeResolver::proof`](super::resume::ResumeResolver::proof).
    pub(super) proof: RequiredProof,
}

impl ReadContext {
    /// Creates a context whose waker is woken by every change of the directory.
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
