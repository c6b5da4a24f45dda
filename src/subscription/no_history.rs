//! Histories for unit tests that read only what is in memory.

use std::{future::ready, sync::Arc};

use futures_util::future::BoxFuture;

use crate::{
    client::ClientKey,
    partition::{Bounds, History, HistoryError, Page, PartitionLog},
    position::{Offset, Timestamp},
};

/// A history that never answers.
pub(super) struct NoHistory;

impl History for NoHistory {
    fn page(
        &self,
        _: &Arc<PartitionLog>,
        _: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(std::future::pending())
    }

    fn bounds(&self, _: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(std::future::pending())
    }

    fn first_at(
        &self,
        _: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(std::future::pending())
    }
}

/// A history of logs all of whose records are in memory.
pub(crate) struct MemoryHistory;

impl History for MemoryHistory {
    fn page(
        &self,
        _: &Arc<PartitionLog>,
        _: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(ready(Err(HistoryError::OutOfRange)))
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(ready(Ok(Bounds {
            start: log.tail_start(),
            end: log.next(),
            epoch: log.leader_epoch(),
        })))
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(ready(Ok(Some(log.tail_start()))))
    }
}
