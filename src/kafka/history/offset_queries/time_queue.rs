//! Queue of the times to be looked up in one partition.
//!
//! Not here: the pacing of requests (`pacer`).

use std::collections::{HashMap, HashSet};

use super::reply::{self, QueryReply};
use crate::{
    client::ClientKey,
    kafka::{client::raw::FoundOffset, history::fair_queue::FairQueue},
    position::Timestamp,
};

/// Times that callers want looked up in one partition. A request takes one of them.
pub(super) struct TimeQueue {
    queue: FairQueue<Timestamp>,
    wanted: HashMap<Timestamp, TimeQuery>,
}

/// A time that is queried once for all its callers.
#[derive(Default)]
struct TimeQuery {
    /// The clients for which it is queued.
    clients: HashSet<ClientKey>,
    replies: Vec<QueryReply<FoundOffset>>,
}

impl Default for TimeQueue {
    fn default() -> Self {
        Self {
            queue: FairQueue::new(MAX_TIMES, MAX_TIMES / 2),
            wanted: HashMap::new(),
        }
    }
}

impl TimeQueue {
    /// Adds a caller that wants `time`. Drops `reply` if the queue is full.
    pub(super) fn push(&mut self, time: Timestamp, client: ClientKey, reply: QueryReply<FoundOffset>) {
        let queued = self
            .wanted
            .get(&time)
            .is_some_and(|wanted| wanted.clients.contains(&client));
        // Each time is queued once per client: a client that joins late waits at most for its own turn.
        if !queued && self.queue.push(client, time).is_err() {
            return;
        }
        let wanted = self.wanted.entry(time).or_default();
        wanted.clients.insert(client);
        reply::push(&mut wanted.replies, reply);
    }

    /// Returns the next time that a caller still waits for.
    pub(super) fn pop(&mut self) -> Option<(Timestamp, Vec<QueryReply<FoundOffset>>)> {
        while let Some(time) = self.queue.pop() {
            let Some(mut wanted) = self.wanted.remove(&time) else {
                continue;
            };
            wanted.replies.retain(QueryReply::is_wanted);
            if !wanted.replies.is_empty() {
                return Some((time, wanted.replies));
            }
        }
        None
    }

    /// Returns the number of callers that wait for `time`.
    #[cfg(test)]
    pub(super) fn replies(&self, time: Timestamp) -> usize {
        self.wanted[&time].replies.len()
    }

    /// Returns whether no time is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// Times that may wait for one partition: more than a broker can answer before their callers give up. One client key gets half of
/// them, because it may be a proxy with all clients behind it.
const MAX_TIMES: usize = 16_384;
