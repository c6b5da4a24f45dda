//! Questions that have not been sent yet, and which of them go together.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use super::{
    pacer::{QueryClass, QueryPacer},
    reply::QueryReply,
};
use crate::{
    client::ClientKey,
    kafka::{client::raw::FoundOffset, history::fair_queue::FairQueue},
    partition::{Bounds, TopicPartition},
    position::Timestamp,
};

/// Questions that wait to be sent. Each is taken out when it is, so that no answer is older than its question.
#[derive(Default)]
pub(super) struct PendingQueries {
    bounds: HashMap<TopicPartition, Vec<QueryReply<Bounds>>>,
    times: HashMap<TopicPartition, TimeQueue>,
}

/// What one request asks its broker: each partition once.
pub(super) struct OffsetsRequest {
    pub(super) broker: i32,
    pub(super) kind: RequestKind,
}

pub(super) enum RequestKind {
    Bounds(Vec<PartitionQuery<Bounds>>),
    /// A time of each.
    Times(Vec<(Timestamp, PartitionQuery<FoundOffset>)>),
}

/// A partition that is asked about, and those who want to know.
pub(super) struct PartitionQuery<T> {
    pub(super) partition: TopicPartition,
    pub(super) replies: Vec<QueryReply<T>>,
}

/// The times that are wanted of one partition: a request takes one of them.
struct TimeQueue {
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

impl PendingQueries {
    pub(super) fn bounds(&mut self, partition: TopicPartition, reply: QueryReply<Bounds>) {
        push(self.bounds.entry(partition).or_default(), reply);
    }

    /// Refuses, by dropping the reply, what would make the queue of a partition too long.
    pub(super) fn time(
        &mut self,
        partition: TopicPartition,
        time: Timestamp,
        client: ClientKey,
        reply: QueryReply<FoundOffset>,
    ) {
        self.times.entry(partition).or_default().push(time, client, reply);
    }

    /// What can be sent now: as many requests as the pace admits, bounds first. Refuses what has no leader to be asked.
    pub(super) fn take(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<i32>,
        pacer: &mut QueryPacer,
        now: Instant,
    ) -> Vec<OffsetsRequest> {
        let mut requests = self.take_bounds(&leader, pacer, now);
        loop {
            let more = self.take_times(&leader, pacer, now);
            if more.is_empty() {
                return requests;
            }
            requests.extend(more);
        }
    }

    fn take_bounds(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<i32>,
        pacer: &mut QueryPacer,
        now: Instant,
    ) -> Vec<OffsetsRequest> {
        let mut batches = RequestBatches::new(QueryClass::Bounds);
        self.bounds.retain(|partition, replies| {
            replies.retain(QueryReply::is_wanted);
            let Some(broker) = leader(partition).filter(|_| !replies.is_empty()) else {
                return false;
            };
            let admitted = !pacer.is_backing_off(partition, now) && batches.admit(broker, pacer, now);
            if admitted {
                batches.push(broker, PartitionQuery::new(partition, std::mem::take(replies)));
            }
            !admitted
        });
        batches.requests(RequestKind::Bounds, pacer)
    }

    /// At most one request for each broker.
    fn take_times(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<i32>,
        pacer: &mut QueryPacer,
        now: Instant,
    ) -> Vec<OffsetsRequest> {
        let mut batches = RequestBatches::new(QueryClass::Times);
        self.times.retain(|partition, times| {
            let Some(broker) = leader(partition) else {
                return false;
            };
            if !times.is_empty()
                && !pacer.is_backing_off(partition, now)
                && batches.admit(broker, pacer, now)
                && let Some((time, replies)) = times.pop()
            {
                batches.push(broker, (time, PartitionQuery::new(partition, replies)));
            }
            !times.is_empty()
        });
        batches.requests(RequestKind::Times, pacer)
    }
}

/// Requests that are being put together, one for each broker.
struct RequestBatches<T> {
    class: QueryClass,
    by_broker: HashMap<i32, RequestBatch<T>>,
}

enum RequestBatch<T> {
    Open(Vec<T>),
    /// The broker takes no more now.
    Refused,
}

impl<T> RequestBatches<T> {
    fn new(class: QueryClass) -> Self {
        Self {
            class,
            by_broker: HashMap::new(),
        }
    }

    /// Whether one more partition of this broker may be asked now.
    fn admit(&mut self, broker: i32, pacer: &QueryPacer, now: Instant) -> bool {
        let batch =
            self.by_broker
                .entry(broker)
                .or_insert_with(|| match pacer.can_send(broker, self.class, now) {
                    true => RequestBatch::Open(Vec::new()),
                    false => RequestBatch::Refused,
                });
        matches!(batch, RequestBatch::Open(items) if items.len() < MAX_PARTITIONS)
    }

    fn push(&mut self, broker: i32, item: T) {
        if let Some(RequestBatch::Open(items)) = self.by_broker.get_mut(&broker) {
            items.push(item);
        }
    }

    fn requests(self, kind: impl Fn(Vec<T>) -> RequestKind, pacer: &mut QueryPacer) -> Vec<OffsetsRequest> {
        let by_broker = self.by_broker.into_iter();
        by_broker
            .filter_map(|(broker, batch)| match batch {
                RequestBatch::Open(items) if !items.is_empty() => {
                    pacer.record_sent(broker, self.class);
                    Some(OffsetsRequest {
                        broker,
                        kind: kind(items),
                    })
                }
                RequestBatch::Open(_) | RequestBatch::Refused => None,
            })
            .collect()
    }
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
    fn push(&mut self, time: Timestamp, client: ClientKey, reply: QueryReply<FoundOffset>) {
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
        push(&mut wanted.replies, reply);
    }

    /// The next time that somebody still waits for.
    fn pop(&mut self) -> Option<(Timestamp, Vec<QueryReply<FoundOffset>>)> {
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

    fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}

impl<T> PartitionQuery<T> {
    fn new(partition: &TopicPartition, replies: Vec<QueryReply<T>>) -> Self {
        Self {
            partition: partition.clone(),
            replies,
        }
    }
}

/// Adds a reply, and drops those that are not wanted any more whenever the list has doubled: a leader that is away for long
/// must not collect them.
fn push<T>(replies: &mut Vec<QueryReply<T>>, reply: QueryReply<T>) {
    if replies.len() == replies.capacity() {
        replies.retain(QueryReply::is_wanted);
    }
    replies.push(reply);
}

/// Partitions in one request: librdkafka compares each with each.
const MAX_PARTITIONS: usize = 512;

/// Times that may wait for one partition: more than a broker can answer while their callers wait. One client key, which may
/// be a proxy with all clients behind it, gets half.
const MAX_TIMES: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::sync::oneshot::{self, Receiver};

    use super::*;
    use crate::partition::HistoryError;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: number,
        }
    }

    fn key(last: u8) -> ClientKey {
        ClientKey::of(Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn ask(
        pending: &mut PendingQueries,
        number: i32,
        time: Timestamp,
        client: u8,
    ) -> Receiver<Result<FoundOffset, HistoryError>> {
        let (sender, receiver) = oneshot::channel();
        pending.time(
            partition(number),
            time,
            key(client),
            QueryReply::to_channel(sender),
        );
        receiver
    }

    fn query_bounds(pending: &mut PendingQueries, number: i32) -> Receiver<Result<Bounds, HistoryError>> {
        let (sender, receiver) = oneshot::channel();
        pending.bounds(partition(number), QueryReply::to_channel(sender));
        receiver
    }

    /// A request: its broker; and of each partition the number, the time if it is one, and how many asked.
    type SentRequest = (i32, Vec<(i32, Option<Timestamp>, usize)>);

    /// What is sent now, when even partitions are led by broker 0 and odd ones by 1.
    fn sent(pending: &mut PendingQueries, pacer: &mut QueryPacer) -> Vec<SentRequest> {
        let requests = pending.take(|partition| Some(partition.partition % 2), pacer, Instant::now());
        let asked = |request: OffsetsRequest| {
            let mut asked: Vec<_> = match request.kind {
                RequestKind::Bounds(asked) => asked
                    .iter()
                    .map(|asked| (asked.partition.partition, None, asked.replies.len()))
                    .collect(),
                RequestKind::Times(asked) => asked
                    .iter()
                    .map(|(time, asked)| (asked.partition.partition, Some(*time), asked.replies.len()))
                    .collect(),
            };
            asked.sort_unstable();
            (request.broker, asked)
        };
        let mut sent: Vec<_> = requests.into_iter().map(asked).collect();
        sent.sort_by_key(|(broker, _)| *broker);
        sent
    }

    #[test]
    fn a_request_takes_along_all_that_wait_with_each_partition_once() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        let _waiting: Vec<_> = [(0, 10), (2, 10), (2, 20), (0, 10), (1, 30)]
            .map(|(number, time)| ask(&mut pending, number, time, 1))
            .into();
        assert_eq!(
            sent(&mut pending, &mut pacer),
            [
                (0, vec![(0, Some(10), 2), (2, Some(10), 1)]),
                (0, vec![(2, Some(20), 1)]),
                (1, vec![(1, Some(30), 1)]),
            ]
        );
        assert_eq!(sent(&mut pending, &mut pacer), []);
    }

    #[test]
    fn bounds_go_before_times_and_all_of_a_partition_are_one_question() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        let _times: Vec<_> = (0..200).map(|time| ask(&mut pending, 0, time, 1)).collect();
        assert_eq!(
            sent(&mut pending, &mut pacer).len(),
            super::super::pacer::IN_FLIGHT
        );
        let _bounds: Vec<_> = (0..5).map(|_| query_bounds(&mut pending, 0)).collect();
        pacer.record_answer(0, QueryClass::Times, Instant::now());
        assert_eq!(sent(&mut pending, &mut pacer), [(0, vec![(0, None, 5)])]);
    }

    #[test]
    fn what_nobody_waits_for_is_not_asked() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        drop(
            (0..50)
                .map(|time| ask(&mut pending, 0, time, 1))
                .collect::<Vec<_>>(),
        );
        drop(query_bounds(&mut pending, 0));
        let _waits = ask(&mut pending, 0, 50, 1);
        assert_eq!(sent(&mut pending, &mut pacer), [(0, vec![(0, Some(50), 1)])]);
        assert!(pending.times.is_empty() && pending.bounds.is_empty());
    }

    #[test]
    fn replies_that_nobody_waits_for_do_not_pile_up() {
        let mut pending = PendingQueries::default();
        for _ in 0..10_000 {
            drop(query_bounds(&mut pending, 0));
            drop(ask(&mut pending, 0, 7, 1));
        }
        assert!(pending.bounds[&partition(0)].len() < 10);
        assert!(pending.times[&partition(0)].wanted[&7].replies.len() < 10);
    }

    #[test]
    fn one_who_asks_much_delays_another_by_one_turn() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        let _many: Vec<_> = (0..500).map(|time| ask(&mut pending, 0, time, 1)).collect();
        let _one = ask(&mut pending, 0, 1_000, 2);
        let times: Vec<_> = sent(&mut pending, &mut pacer)
            .into_iter()
            .map(|(_, asked)| asked[0].1)
            .collect();
        assert_eq!(times[..3], [Some(0), Some(1_000), Some(1)]);
    }

    #[test]
    fn a_partition_without_a_leader_is_refused_at_once_and_one_that_rests_waits() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        let mut refused = [ask(&mut pending, 0, 1, 1)];
        assert!(pending.take(|_| None, &mut pacer, Instant::now()).is_empty());
        assert_eq!(refused[0].try_recv(), Ok(Err(HistoryError::Unavailable)));
        let _waits = ask(&mut pending, 0, 1, 1);
        pacer.record_refusal(&partition(0), Instant::now());
        assert_eq!(sent(&mut pending, &mut pacer), []);
        pacer.record_success(&partition(0));
        assert_eq!(sent(&mut pending, &mut pacer).len(), 1);
    }

    #[test]
    fn a_broker_that_is_silent_holds_up_no_other() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        let now = Instant::now();
        pacer.record_sent(0, QueryClass::Times);
        pacer.record_timeout(0, QueryClass::Times, now, now);
        let _waiting: Vec<_> = (0..2).map(|number| ask(&mut pending, number, 1, 1)).collect();
        assert_eq!(sent(&mut pending, &mut pacer), [(1, vec![(1, Some(1), 1)])]);
    }
}
