//! Questions to leaders: where partitions start and end, and what a time means in them.
//!
//! One client and one thread of their own serve all questions of a cluster, so that they wait for no page, and no page for
//! them. Requests go out without waiting for the answers to those before, up to [`pacer::IN_FLIGHT`] a broker, and each takes
//! along all partitions that wait. What nobody waits for any more is not asked.
//!
//! Not here: what the answers are for (`history`, and `cluster` for the tail).

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

/// Where questions are left for the thread that asks them.
#[derive(Default)]
pub(super) struct OffsetQueries {
    inbox: Mutex<QueryInbox>,
    closed: Condvar,
}

#[derive(Default)]
struct QueryInbox {
    pending: PendingQueries,
    /// Wakes the thread; `None` while it has no client, and looks by itself as soon as it has one.
    waker: Option<QueueWaker>,
    closed: bool,
}

impl OffsetQueries {
    /// Asks for the bounds of a partition.
    pub(super) fn query_bounds(&self, partition: TopicPartition, reply: QueryReply<Bounds>) {
        self.enqueue(|pending| pending.bounds(partition, reply));
    }

    /// Asks, in the name of `client`, for the first record at or after a time.
    pub(super) fn query_time(
        &self,
        partition: TopicPartition,
        time: Timestamp,
        client: ClientKey,
        reply: QueryReply<FoundOffset>,
    ) {
        self.enqueue(|pending| pending.time(partition, time, client, reply));
    }

    /// Ends the thread. Nobody waits in vain: a reply that is dropped refuses.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        inbox.wake();
        self.closed.notify_all();
    }

    fn enqueue(&self, question: impl FnOnce(&mut PendingQueries)) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            question(&mut inbox.pending);
            inbox.wake();
        }
    }

    /// Drops what has been asked for, and what comes within `wait`; whether the thread is to end.
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

/// The thread's end of [`OffsetQueries`].
type SharedQueries = Arc<OffsetQueries>;
