//! Questions to leaders: where partitions start and end, and what a time means in them.
//!
//! One client and one thread of their own serve all questions of a cluster, so that they wait for no page, and no page for
//! them. Requests go out without waiting for the answers to those before, up to [`pace::IN_FLIGHT`] a broker, and each takes
//! along all partitions that wait. What nobody waits for any more is not asked.
//!
//! Not here: what the answers are for (`history`, and `cluster` for the tail).

mod asker;
mod pace;
mod pending;
mod reply;

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};

use crate::{
    client::ClientKey,
    kafka::reader::{Alarm, Found},
    partition::{Bounds, TopicPartition},
    position::Timestamp,
};
use pending::Pending;

pub(super) use asker::spawn;
pub(super) use reply::Reply;

/// Where questions are left for the thread that asks them.
#[derive(Default)]
pub(super) struct Questions {
    inbox: Mutex<Inbox>,
    closed: Condvar,
}

#[derive(Default)]
struct Inbox {
    pending: Pending,
    /// Wakes the thread; `None` while it has no client, and looks by itself as soon as it has one.
    alarm: Option<Alarm>,
    closed: bool,
}

impl Questions {
    /// Asks for the bounds of a partition.
    pub(super) fn ask_bounds(&self, partition: TopicPartition, reply: Reply<Bounds>) {
        self.leave(|pending| pending.bounds(partition, reply));
    }

    /// Asks, in the name of `client`, for the first record at or after a time.
    pub(super) fn ask_time(
        &self,
        partition: TopicPartition,
        time: Timestamp,
        client: ClientKey,
        reply: Reply<Found>,
    ) {
        self.leave(|pending| pending.time(partition, time, client, reply));
    }

    /// Ends the thread. Nobody waits in vain: a reply that is dropped refuses.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        inbox.ring();
        self.closed.notify_all();
    }

    fn leave(&self, question: impl FnOnce(&mut Pending)) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            question(&mut inbox.pending);
            inbox.ring();
        }
    }

    /// Drops what has been asked for, and what comes within `wait`; whether the thread is to end.
    fn refuse_for(&self, wait: Duration) -> bool {
        let mut inbox = self.inbox.lock();
        inbox.alarm = None;
        inbox.pending = Pending::default();
        self.closed
            .wait_while_for(&mut inbox, |inbox| !inbox.closed, wait);
        inbox.pending = Pending::default();
        inbox.closed
    }

    fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }
}

impl Inbox {
    fn ring(&self) {
        if let Some(alarm) = &self.alarm {
            alarm.ring();
        }
    }
}

/// The thread's end of [`Questions`].
type Desk = Arc<Questions>;
