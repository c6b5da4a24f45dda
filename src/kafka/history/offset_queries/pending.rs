//! Offset queries that have not been sent, and the choice of those that go into a request.
//!
//! Not here: pacing (`pacer`), and the order among clients that ask for times (`time_queue`).

use std::{collections::HashMap, time::Instant};

use super::{
    pacer::{QueryClass, QueryPacer},
    reply::{self, QueryReply},
    request::{OffsetsRequest, PartitionQuery, RequestBatches, RequestKind},
    time_queue::TimeQueue,
};
use crate::{
    client::ClientKey,
    kafka::client::raw::FoundOffset,
    partition::{Bounds, TopicPartition},
    position::Timestamp,
};

/// Queries that wait to be sent. A query is removed when it is sent, so that no answer is older than its query.
#[derive(Default)]
pub(super) struct PendingQueries {
    bounds: HashMap<TopicPartition, Vec<QueryReply<Bounds>>>,
    times: HashMap<TopicPartition, TimeQueue>,
}

impl PendingQueries {
    /// Adds a query for bounds.
    pub(super) fn bounds(&mut self, partition: TopicPartition, reply: QueryReply<Bounds>) {
        reply::push(self.bounds.entry(partition).or_default(), reply);
    }

    /// Adds a query for a time. Drops the reply, which refuses the query, if the partition's queue is full.
    pub(super) fn time(
        &mut self,
        partition: TopicPartition,
        time: Timestamp,
        client: ClientKey,
        reply: QueryReply<FoundOffset>,
    ) {
        self.times.entry(partition).or_default().push(time, client, reply);
    }

    /// Returns the requests that can be sent now, as far as the pacer admits: bounds first. Refuses queries for partitions
    /// without a leader.
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

    /// Returns at most one request for each broker.
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

    /// A request: its broker, and for each partition its number, the time if there is one, and the number of replies.
    type SentRequest = (i32, Vec<(i32, Option<Timestamp>, usize)>);

    /// Returns the requests sent now. Broker 0 leads the even partitions, broker 1 the odd ones.
    fn sent(pending: &mut PendingQueries, pacer: &mut QueryPacer) -> Vec<SentRequest> {
        let requests = pending.take(|partition| Some(partition.partition % 2), pacer, Instant::now());
        let summary = |request: OffsetsRequest| {
            let mut queries: Vec<_> = match request.kind {
                RequestKind::Bounds(queries) => queries
                    .iter()
                    .map(|query| (query.partition.partition, None, query.replies.len()))
                    .collect(),
                RequestKind::Times(queries) => queries
                    .iter()
                    .map(|(time, query)| (query.partition.partition, Some(*time), query.replies.len()))
                    .collect(),
            };
            queries.sort_unstable();
            (request.broker, queries)
        };
        let mut sent: Vec<_> = requests.into_iter().map(summary).collect();
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
        assert!(pending.times[&partition(0)].replies(7) < 10);
    }

    #[test]
    fn one_who_asks_much_delays_another_by_one_turn() {
        let (mut pending, mut pacer) = (PendingQueries::default(), QueryPacer::default());
        let _many: Vec<_> = (0..500).map(|time| ask(&mut pending, 0, time, 1)).collect();
        let _one = ask(&mut pending, 0, 1_000, 2);
        let times: Vec<_> = sent(&mut pending, &mut pacer)
            .into_iter()
            .map(|(_, queries)| queries[0].1)
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
