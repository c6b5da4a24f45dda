//! Partition bounds as the leader reports them, and the detection of leaders that are behind the tail.
//!
//! Not here: the requests to leaders (`offset_queries`), and when readers are replaced (`stale_answers`).

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::HistoryPool;
use crate::{
    kafka::history::offset_queries::{OffsetQueries, QueryReply},
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

impl HistoryPool {
    /// Asks the leader of a partition for its bounds. `reply` gets [`HistoryError::Unavailable`] if there is no answer.
    pub(in crate::kafka) fn query_bounds(
        &self,
        partition: TopicPartition,
        reply: impl FnOnce(Result<Bounds, HistoryError>) + Send + 'static,
    ) {
        // A reply that is dropped answers `Unavailable`.
        let reply = QueryReply::to_callback(reply);
        if let Some(queries) = self.queries() {
            queries.query_bounds(partition, reply);
        }
    }

    /// Like [`query_bounds`](Self::query_bounds), for a reader that begins at the end: the epoch in the answer is one that no record
    /// from the end on is older than. It is `None` if that is not known, as while a transaction is open.
    pub(in crate::kafka) fn query_tail_bounds(
        &self,
        partition: TopicPartition,
        reply: impl FnOnce(Result<Bounds, HistoryError>) + Send + 'static,
    ) {
        let reply = QueryReply::to_callback(reply).with_lowest_epoch();
        if let Some(queries) = self.queries() {
            queries.query_bounds(partition, reply);
        }
    }

    /// Asks the leader for the bounds, and moves the log's start to the one that it reports.
    /// # Errors
    /// [`HistoryError::Unavailable`] if there is no answer, or if it is behind what the tail has read;
    /// [`HistoryError::Replaced`].
    pub(super) async fn find_bounds(&self, log: &Arc<PartitionLog>) -> Result<Bounds, HistoryError> {
        // Taken before the query, because the tail may read on while the answer is on its way.
        let read = log.end().offset;
        let bounds = self.query(log, OffsetQueries::query_bounds).await?;
        if bounds.end < read {
            return Err(self.report_stale(log));
        }
        self.core.shared.directory.set_start(log, bounds.start);
        Ok(bounds)
    }

    /// Records that an answer or a read is behind what the tail has read, and returns the error for the caller. Replaces the
    /// readers if stale answers persist.
    pub(super) fn report_stale(&self, log: &Arc<PartitionLog>) -> HistoryError {
        if log.is_replaced() {
            return HistoryError::Replaced;
        }
        if self.core.stale.record_stale(log.partition(), Instant::now()) {
            tracing::warn!(
                cluster = %self.core.cluster, partition = %log.partition(),
                "history is read from a broker that is behind the tail; the history clients are replaced"
            );
            self.replace_readers();
        }
        HistoryError::Unavailable
    }

    /// Sends an offset query and waits for its answer.
    /// # Errors
    /// [`HistoryError::Replaced`] if the log was replaced meanwhile, else [`HistoryError::Unavailable`].
    pub(super) async fn query<T: Send + 'static>(
        &self,
        log: &Arc<PartitionLog>,
        ask: impl FnOnce(&OffsetQueries, TopicPartition, QueryReply<T>),
    ) -> Result<T, HistoryError> {
        let queries = self.queries().ok_or(HistoryError::Unavailable)?;
        let (sender, answer) = oneshot::channel();
        ask(&queries, log.partition().clone(), QueryReply::to_channel(sender));
        let answer = answer.await.unwrap_or(Err(HistoryError::Unavailable))?;
        match log.is_replaced() {
            true => Err(HistoryError::Replaced),
            false => Ok(answer),
        }
    }
}
