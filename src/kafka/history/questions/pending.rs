//! Questions that have not been sent yet, and which of them go together.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use super::{
    pace::{Class, Pace},
    reply::Reply,
};
use crate::{
    client::ClientKey,
    kafka::{history::turns::Turns, reader::Found},
    partition::{Bounds, TopicPartition},
    position::Timestamp,
};

/// Questions that wait to be sent. Each is taken out when it is, so that no answer is older than its question.
#[derive(Default)]
pub(super) struct Pending {
    bounds: HashMap<TopicPartition, Vec<Reply<Bounds>>>,
    times: HashMap<TopicPartition, Times>,
}

/// What one request asks its broker: each partition once.
pub(super) struct Request {
    pub(super) broker: i32,
    pub(super) what: What,
}

pub(super) enum What {
    Bounds(Vec<Asked<Bounds>>),
    /// A time of each.
    Times(Vec<(Timestamp, Asked<Found>)>),
}

/// A partition that is asked about, and those who want to know.
pub(super) struct Asked<T> {
    pub(super) partition: TopicPartition,
    pub(super) replies: Vec<Reply<T>>,
}

/// The times that are wanted of one partition: a request takes one of them.
struct Times {
    turns: Turns<Timestamp>,
    wanted: HashMap<Timestamp, Wanted>,
}

/// One time, which is asked once for all.
#[derive(Default)]
struct Wanted {
    /// The clients it stands in the queue for.
    clients: HashSet<ClientKey>,
    replies: Vec<Reply<Found>>,
}

impl Pending {
    pub(super) fn bounds(&mut self, partition: TopicPartition, reply: Reply<Bounds>) {
        push(self.bounds.entry(partition).or_default(), reply);
    }

    /// Refuses, by dropping the reply, what would make the queue of a partition too long.
    pub(super) fn time(
        &mut self,
        partition: TopicPartition,
        time: Timestamp,
        client: ClientKey,
        reply: Reply<Found>,
    ) {
        self.times.entry(partition).or_default().push(time, client, reply);
    }

    /// What can be sent now: as many requests as the pace admits, bounds first. Refuses what has no leader to be asked.
    pub(super) fn take(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<i32>,
        pace: &mut Pace,
        now: Instant,
    ) -> Vec<Request> {
        let mut requests = self.take_bounds(&leader, pace, now);
        loop {
            let more = self.take_times(&leader, pace, now);
            if more.is_empty() {
                return requests;
            }
            requests.extend(more);
        }
    }

    fn take_bounds(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<i32>,
        pace: &mut Pace,
        now: Instant,
    ) -> Vec<Request> {
        let mut batches = Batches::new(Class::Bounds);
        self.bounds.retain(|partition, replies| {
            replies.retain(Reply::is_wanted);
            let Some(broker) = leader(partition).filter(|_| !replies.is_empty()) else {
                return false;
            };
            let admitted = !pace.rests(partition, now) && batches.admit(broker, pace, now);
            if admitted {
                batches.push(broker, Asked::new(partition, std::mem::take(replies)));
            }
            !admitted
        });
        batches.requests(What::Bounds, pace)
    }

    /// At most one request for each broker.
    fn take_times(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<i32>,
        pace: &mut Pace,
        now: Instant,
    ) -> Vec<Request> {
        let mut batches = Batches::new(Class::Times);
        self.times.retain(|partition, times| {
            let Some(broker) = leader(partition) else {
                return false;
            };
            if !times.is_empty()
                && !pace.rests(partition, now)
                && batches.admit(broker, pace, now)
                && let Some((time, replies)) = times.pop()
            {
                batches.push(broker, (time, Asked::new(partition, replies)));
            }
            !times.is_empty()
        });
        batches.requests(What::Times, pace)
    }
}

/// Requests that are being put together, one for each broker.
struct Batches<T> {
    class: Class,
    of: HashMap<i32, Batch<T>>,
}

enum Batch<T> {
    Open(Vec<T>),
    /// The broker takes no more now.
    Refused,
}

impl<T> Batches<T> {
    fn new(class: Class) -> Self {
        Self {
            class,
            of: HashMap::new(),
        }
    }

    /// Whether one more partition of this broker may be asked now.
    fn admit(&mut self, broker: i32, pace: &Pace, now: Instant) -> bool {
        let batch = self
            .of
            .entry(broker)
            .or_insert_with(|| match pace.admits(broker, self.class, now) {
                true => Batch::Open(Vec::new()),
                false => Batch::Refused,
            });
        matches!(batch, Batch::Open(items) if items.len() < MOST_PARTITIONS)
    }

    fn push(&mut self, broker: i32, item: T) {
        if let Some(Batch::Open(items)) = self.of.get_mut(&broker) {
            items.push(item);
        }
    }

    fn requests(self, what: impl Fn(Vec<T>) -> What, pace: &mut Pace) -> Vec<Request> {
        let of = self.of.into_iter();
        of.filter_map(|(broker, batch)| match batch {
            Batch::Open(items) if !items.is_empty() => {
                pace.sent(broker, self.class);
                Some(Request {
                    broker,
                    what: what(items),
                })
            }
            Batch::Open(_) | Batch::Refused => None,
        })
        .collect()
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            turns: Turns::new(MOST_TIMES, MOST_TIMES / 2),
            wanted: HashMap::new(),
        }
    }
}

impl Times {
    fn push(&mut self, time: Timestamp, client: ClientKey, reply: Reply<Found>) {
        let queued = self
            .wanted
            .get(&time)
            .is_some_and(|wanted| wanted.clients.contains(&client));
        // It stands in the queue once for each client that wants it: who joins late waits for its own turn at most.
        if !queued && self.turns.push(client, time).is_err() {
            return;
        }
        let wanted = self.wanted.entry(time).or_default();
        wanted.clients.insert(client);
        push(&mut wanted.replies, reply);
    }

    /// The next time that somebody still waits for.
    fn pop(&mut self) -> Option<(Timestamp, Vec<Reply<Found>>)> {
        while let Some(time) = self.turns.pop() {
            let Some(mut wanted) = self.wanted.remove(&time) else {
                continue;
            };
            wanted.replies.retain(Reply::is_wanted);
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

impl<T> Asked<T> {
    fn new(partition: &TopicPartition, replies: Vec<Reply<T>>) -> Self {
        Self {
            partition: partition.clone(),
            replies,
        }
    }
}

/// Adds a reply, and drops those that are not wanted any more whenever the list has doubled: a leader that is away for long
/// must not collect them.
fn push<T>(replies: &mut Vec<Reply<T>>, reply: Reply<T>) {
    if replies.len() == replies.capacity() {
        replies.retain(Reply::is_wanted);
    }
    replies.push(reply);
}

/// Partitions in one request: librdkafka compares each with each.
const MOST_PARTITIONS: usize = 512;

/// Times that may wait for one partition: more than a broker can answer while their callers wait. One client key, which may
/// be a proxy with all clients behind it, gets half.
const MOST_TIMES: usize = 16_384;

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
        pending: &mut Pending,
        number: i32,
        time: Timestamp,
        client: u8,
    ) -> Receiver<Result<Found, HistoryError>> {
        let (sender, receiver) = oneshot::channel();
        pending.time(partition(number), time, key(client), Reply::to(sender));
        receiver
    }

    fn ask_bounds(pending: &mut Pending, number: i32) -> Receiver<Result<Bounds, HistoryError>> {
        let (sender, receiver) = oneshot::channel();
        pending.bounds(partition(number), Reply::to(sender));
        receiver
    }

    /// A request: its broker; and of each partition the number, the time if it is one, and how many asked.
    type Sent = (i32, Vec<(i32, Option<Timestamp>, usize)>);

    /// What is sent now, when even partitions are led by broker 0 and odd ones by 1.
    fn sent(pending: &mut Pending, pace: &mut Pace) -> Vec<Sent> {
        let requests = pending.take(|partition| Some(partition.partition % 2), pace, Instant::now());
        let asked = |request: Request| {
            let mut asked: Vec<_> = match request.what {
                What::Bounds(asked) => asked
                    .iter()
                    .map(|asked| (asked.partition.partition, None, asked.replies.len()))
                    .collect(),
                What::Times(asked) => asked
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
        let (mut pending, mut pace) = (Pending::default(), Pace::default());
        let _waiting: Vec<_> = [(0, 10), (2, 10), (2, 20), (0, 10), (1, 30)]
            .map(|(number, time)| ask(&mut pending, number, time, 1))
            .into();
        assert_eq!(
            sent(&mut pending, &mut pace),
            [
                (0, vec![(0, Some(10), 2), (2, Some(10), 1)]),
                (0, vec![(2, Some(20), 1)]),
                (1, vec![(1, Some(30), 1)]),
            ]
        );
        assert_eq!(sent(&mut pending, &mut pace), []);
    }

    #[test]
    fn bounds_go_before_times_and_all_of_a_partition_are_one_question() {
        let (mut pending, mut pace) = (Pending::default(), Pace::default());
        let _times: Vec<_> = (0..200).map(|time| ask(&mut pending, 0, time, 1)).collect();
        assert_eq!(sent(&mut pending, &mut pace).len(), super::super::pace::IN_FLIGHT);
        let _bounds: Vec<_> = (0..5).map(|_| ask_bounds(&mut pending, 0)).collect();
        pace.answered(0, Class::Times, Instant::now());
        assert_eq!(sent(&mut pending, &mut pace), [(0, vec![(0, None, 5)])]);
    }

    #[test]
    fn what_nobody_waits_for_is_not_asked() {
        let (mut pending, mut pace) = (Pending::default(), Pace::default());
        drop(
            (0..50)
                .map(|time| ask(&mut pending, 0, time, 1))
                .collect::<Vec<_>>(),
        );
        drop(ask_bounds(&mut pending, 0));
        let _waits = ask(&mut pending, 0, 50, 1);
        assert_eq!(sent(&mut pending, &mut pace), [(0, vec![(0, Some(50), 1)])]);
        assert!(pending.times.is_empty() && pending.bounds.is_empty());
    }

    #[test]
    fn replies_that_nobody_waits_for_do_not_pile_up() {
        let mut pending = Pending::default();
        for _ in 0..10_000 {
            drop(ask_bounds(&mut pending, 0));
            drop(ask(&mut pending, 0, 7, 1));
        }
        assert!(pending.bounds[&partition(0)].len() < 10);
        assert!(pending.times[&partition(0)].wanted[&7].replies.len() < 10);
    }

    #[test]
    fn one_who_asks_much_delays_another_by_one_turn() {
        let (mut pending, mut pace) = (Pending::default(), Pace::default());
        let _many: Vec<_> = (0..500).map(|time| ask(&mut pending, 0, time, 1)).collect();
        let _one = ask(&mut pending, 0, 1_000, 2);
        let times: Vec<_> = sent(&mut pending, &mut pace)
            .into_iter()
            .map(|(_, asked)| asked[0].1)
            .collect();
        assert_eq!(times[..3], [Some(0), Some(1_000), Some(1)]);
    }

    #[test]
    fn a_partition_without_a_leader_is_refused_at_once_and_one_that_rests_waits() {
        let (mut pending, mut pace) = (Pending::default(), Pace::default());
        let mut refused = [ask(&mut pending, 0, 1, 1)];
        assert!(pending.take(|_| None, &mut pace, Instant::now()).is_empty());
        assert_eq!(refused[0].try_recv(), Ok(Err(HistoryError::Unavailable)));
        let _waits = ask(&mut pending, 0, 1, 1);
        pace.refused(&partition(0), Instant::now());
        assert_eq!(sent(&mut pending, &mut pace), []);
        pace.told(&partition(0));
        assert_eq!(sent(&mut pending, &mut pace).len(), 1);
    }

    #[test]
    fn a_broker_that_is_silent_holds_up_no_other() {
        let (mut pending, mut pace) = (Pending::default(), Pace::default());
        let now = Instant::now();
        pace.sent(0, Class::Times);
        pace.unanswered(0, Class::Times, now, now);
        let _waiting: Vec<_> = (0..2).map(|number| ask(&mut pending, number, 1, 1)).collect();
        assert_eq!(sent(&mut pending, &mut pace), [(1, vec![(1, Some(1), 1)])]);
    }
}
