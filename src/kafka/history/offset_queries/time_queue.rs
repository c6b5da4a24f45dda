//! The times that wait to be asked of the leader of one partition.

use std::collections::{HashMap, HashSet};

use super::reply::{self, QueryReply};
use crate::{
    client::ClientKey,
    kafka::{client::raw::FoundOffset, history::fair_queue::FairQueue},
    position::Timestamp,
};

/// The times that are wanted of one partition: a request takes one of them.
pub(super) struct TimeQueue {
    queue: FairQueue<Timestamp>,
    wanted: HashMap<Timestamp, TimeQuery>,
}

/// One time, which is asked once for all.
#[derive(Default)]
struct TimeQuery {
    /// The clients it stands in the queue for.
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
    pub(super) fn push(&mut self, time: Timestamp, client: ClientKey, reply: QueryReply<FoundOffset>) {
        let queued = self
            .wanted
            .get(&time)
            .is_some_and(|wanted| wanted.clients.contains(&client));
        // It stands in the queue once for each client that wants it: who joins late waits for its own turn at most.
        if !queued && self.queue.push(client, time).is_err() {
            return;
        }
        let wanted = self.wanted.entry(time).or_default();
        wanted.clients.insert(client);
        reply::push(&mut wanted.replies, reply);
    }

    /// The next time that somebody still waits for.
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

    /// Returns how many replies wait for `time`.
    #[cfg(test)]
    pub(super) fn replies(&self, time: Timestamp) -> usize {
        self.wanted[&time].replies.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// Times that may wait for one partition: more than a broker can answer while their callers wait. One client key, which may
/// be a proxy with all clients behind it, gets half.
const MAX_TIMES: usize = 16_384;
