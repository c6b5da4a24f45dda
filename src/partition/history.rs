//! What the house needs from Kafka for offsets that are no longer, or not yet, in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Page, PartitionLog};
use crate::{
    client::ClientKey,
    position::{Epoch, Offset, Timestamp},
};

/// Reads of what is not in a ring. Implementations bound how much work they take on, share reads that several callers
/// want, take turns fairly among clients, and answer each call within a few seconds.
pub trait History: Send + Sync + 'static {
    /// The page of `log` that covers `offset`.
    ///
    /// It may begin before `offset`. It may also end at `offset`, with nothing to say of it, when the log ends there.
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>>;

    /// Where `log` starts and ends, as its leader says when asked after this call.
    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>>;

    /// The offset of the first record of `log` at or after `time`; `None` when there is none yet.
    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>>;

    /// Drops what is kept in memory of `log` below its start.
    fn drop_deleted(&self, _log: &Arc<PartitionLog>) {}
}

/// Where a partition's log starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The log start offset.
    pub start: Offset,
    /// The offset behind the last record a reader may see: the last stable offset.
    pub end: Offset,
    /// The latest leader epoch that the answering leader knows; `None` when the broker is too old to say.
    pub epoch: Option<Epoch>,
}

/// Why a read of history gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The broker says that the offset is below the log's start or beyond its end; ask for the bounds.
    #[error("the offset is out of the log's range")]
    OutOfRange,
    /// No answer in time, or no leader. Try again later; other partitions are not concerned.
    #[error("the partition's leader does not answer")]
    Unavailable,
    /// The log is not the current one any more; look into the directory.
    #[error("the log was replaced")]
    Replaced,
}
