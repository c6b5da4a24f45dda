//! The bounds of a partition, as its leader says, and answers of leaders that are behind the tail.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::HistoryPool;
use crate::{
    kafka::history::offset_queries::{OffsetQueries, QueryReply},
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

impl HistoryPool {
    /// Asks the leader of a partition for its bounds.
    pub(in crate::kafka) fn query_bounds(
        &self,
        partition: TopicPartition,
        reply: impl FnOnce(Result<Bounds, HistoryError>) + Send + 'static,
    ) {
        // Dropped, the reply says that there is no answer.
        let reply = QueryReply::to_callback(reply);
        if let Some(queries) = self.queries() {
            queries.query_bounds(partition, reply);
        }
    }

    pub(super) async fn find_bounds(&self, log: &Arc<PartitionLog>) -> Result<Bounds, HistoryError> {
        // Before the question: the tail may read on while the answer is on its way.
        let read = log.end().offset;
        let bounds = self.query(log, OffsetQueries::query_bounds).await?;
        if bounds.end < read {
            return Err(self.report_stale(log));
        }
        self.core.shared.directory.set_start(log, bounds.start);
        Ok(bounds)
    }

    /// Notes that the answer to a question, or a read, is behind what the tail has read, and says so to who asked.
    pub(super) fn report_stale(&self, log: &Arc<PartitionLog>) -> HistoryError {
        if log.is_replaced() {
            return HistoryError::Replaced;
        }
        if self.core.stale.record_stale(log.partition(), Instant::now()) {
            tracing::warn!(
                cluster = %self.core.cluster, partition = %log.partition(),
                "the tail has read further than the broker that history is read from: new clients read it"
            );
            self.replace_readers();
        }
        HistoryError::Unavailable
    }

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
