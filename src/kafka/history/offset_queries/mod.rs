//! Offset queries to leaders: the bounds of a partition, and the first offset at or after a time.
//!
//! All queries of a cluster use one client and one thread of their own, so that they never wait for pages, nor pages for them.
//! Requests are sent without waiting for the answers to earlier ones, up to [`pacer::IN_FLIGHT`] per broker. Each carries all
//! partitions that wait. A query whose callers have all stopped waiting is not sent.
//!
//! Not here: what the answers are used for (`history::pool`, and `supervisor` for the tail).

mod pacer;
mod pending;
mod reply;
mod request;
mod stage;
mod time_queue;
mod worker;

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};

use crate::{
    client::ClientKey,
    kafka::client::raw::{FoundOffset, QueueWaker},
    partition::{Bounds, TopicPartition},
    position::Timestamp,
};
use pending::PendingQueries;

pub(super) use reply::QueryReply;
pub(super) use worker::spawn;

/// The queue of offset queries, served by the query thread.
#[derive(Default)]
pub(super) struct OffsetQueries {
    inbox: Mutex<QueryInbox>,
    closed: Condvar,
}

#[derive(Default)]
struct QueryInbox {
    pending: PendingQueries,
    /// Wakes the thread. `None` while the thread has no client; it looks at the queue by itself as soon as it has one.
    waker: Option<QueueWaker>,
    closed: bool,
}

impl OffsetQueries {
    /// Queries the bounds of a partition.
    pub(super) fn query_bounds(&self, partition: TopicPartition, reply: QueryReply<Bounds>) {
        self.enqueue(|pending| pending.bounds(partition, reply));
    }

    /// Queries the first record at or after a time, in the turn of `client`.
    pub(super) fn query_time(
        &self,
        partition: TopicPartition,
        time: Timestamp,
        client: ClientKey,
        reply: QueryReply<FoundOffset>,
    ) {
        self.enqueue(|pending| pending.time(partition, time, client, reply));
    }

    /// Ends the thread. Callers that wait get an error, because their replies are dropped.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        inbox.wake();
        self.closed.notify_all();
    }

    fn enqueue(&self, add: impl FnOnce(&mut PendingQueries)) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            add(&mut inbox.pending);
            inbox.wake();
        }
    }

    /// Drops the pending queries, and those that arrive within `wait`. Returns whether the thread is to end.
    fn drop_pending_for(&self, wait: Duration) -> bool {
        let mut inbox = self.inbox.lock();
        inbox.waker = None;
        inbox.pending = PendingQueries::default();
        self.closed
            .wait_while_for(&mut inbox, |inbox| !inbox.closed, wait);
        inbox.pending = PendingQueries::default();
        inbox.closed
    }

    fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }
}

impl QueryInbox {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

/// The query thread's handle to the queue.
type SharedQueries = Arc<OffsetQueries>;
