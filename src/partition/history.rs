//! The interface for reading records that are no longer, or not yet, in memory.
//!
//! Not here: its implementation, which reads from the brokers (`kafka::history`).

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Page, PartitionLog};
use crate::{
    client::ClientKey,
    position::{Epoch, Offset, Timestamp},
};

/// Reads records that are not in a ring. Implementations bound the work they accept, share reads that several callers
/// want, serve clients in fair turns, and answer every call within a few seconds.
pub trait History: Send + Sync + 'static {
    /// Returns the page of `log` that covers `offset`.
    ///
    /// The page may begin before `offset`. If the log ends at `offset`, the page may end there too, without covering
    /// it.
    fn page(&self, log: &Arc<PartitionLog>, offset: Offset, client: ClientKey) -> HistoryFuture<Arc<Page>>;

    /// Returns the page that [`page`](Self::page) would return, if no broker has to be asked for it. A request may need
    /// hundreds of pages, and this needs no future for each.
    fn page_at_hand(&self, _log: &Arc<PartitionLog>, _offset: Offset) -> Option<Arc<Page>> {
        None
    }

    /// Returns the start and the end of `log`, as its leader reports them when asked after this call.
    fn bounds(&self, log: &Arc<PartitionLog>) -> HistoryFuture<Bounds>;

    /// Returns the offset of the first record of `log` at or after `time`; `None` if there is none yet.
    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> HistoryFuture<Option<Offset>>;

    /// Returns the offset that [`first_at`](Self::first_at) would return, if no broker has to be asked for it.
    fn first_at_hand(&self, _log: &Arc<PartitionLog>, _time: Timestamp) -> Option<Offset> {
        None
    }

    /// Drops cached records of `log` that lie below its start.
    fn drop_deleted(&self, _log: &Arc<PartitionLog>) {}

    /// Returns the memory of cached records and of what was fetched ahead, in bytes.
    fn bytes(&self) -> usize {
        0
    }
}

/// The answer to a read of history.
pub type HistoryFuture<T> = BoxFuture<'static, Result<T, HistoryError>>;

/// The range of offsets of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The log start offset.
    pub start: Offset,
    /// The offset after the last record that a consumer may read: the last stable offset.
    pub end: Offset,
    /// The latest leader epoch that the answering leader knows; `None` if the broker is too old to say.
    pub epoch: Option<Epoch>,
}

/// The reason why a read of history returned nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The broker says that the offset is below the log start or beyond the end. Ask for the bounds.
    #[error("the offset is out of the log's range")]
    OutOfRange,
    /// There was no answer in time, or there is no leader. Try again later; other partitions are not affected.
    #[error("the partition's leader does not answer")]
    Unavailable,
    /// The log is no longer the current one. Look it up in the directory.
    #[error("the log was replaced")]
    Replaced,
}
