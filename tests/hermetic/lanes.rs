//! Lanes under random schedules: clients that join, fall behind, continue by themselves and join again
//! receive what each would have received alone. The task of the lane runs when the schedule allows it, and
//! time is simulated.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_test::task::new_count_waker;
use futures_util::{FutureExt, future::BoxFuture};
use proptest::{prelude::*, test_runner::TestRunner};
use riverhead::{
    client::ClientKey,
    filter::MAX_FILTERS,
    position::{IdForm, PartitionPosition, decode},
    sse::{SseMessage, SseReader},
    subscription::{
        Batch, BatchLimit, BatchSource, EventFormat, GroupCursor, GroupUpdate, LaneSubscriber, Lanes,
        Subscription,
    },
};
use tokio::{task::yield_now, time::timeout};
use tokio_util::task::TaskTracker;

use crate::support::{
    checker::DeliveryChecker,
    cluster_event::{ClusterEvent, cluster_event},
    model::{ModelFixture, TOPIC},
};

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    prop_oneof![
        27 => cluster_event().prop_map(Op::ClusterEvent),
        8 => (client.clone(), 1..6usize).prop_map(|(client, batches)| Op::Read { client, batches }),
        8 => (client.clone(), 1..6usize).prop_map(|(client, batches)| Op::Peek { client, batches }),
        8 => (1..4usize, 1..4usize, 1..2000usize).prop_map(|(looks, batches, bytes)| {
            Op::Serve { looks, most: BatchLimit { batches, bytes } }
        }),
        6 => (1..4usize).prop_map(|turns| Op::Others { turns }),
        3 => client.prop_map(|client| Op::CutAndResume { client }),
    ]
}

#[test]
fn nothing_is_lost_repeated_or_invented_and_memory_is_within_its_budget() {
    let budget = prop_oneof![Just(0), 500..5_000usize, Just(1024 * 1024)];
    let filter = prop::sample::select(vec![
        None,
        None,
        Some("n < 0"),
        Some("n in (1, 5, 25) or @partition = 1"),
        // These have a dispatcher.
        Some("n in (1, 5, 25)"),
        Some("n = -1"),
    ]);
    let schedule = (prop::collection::vec(op(), 1..150), any::<bool>(), budget, filter);
    let config = ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seats = LaneCounts::default();
    TestRunner::new(config)
        .run(&schedule, |(ops, compact, budget, filter)| {
            LanesModel::run(&ops, compact, budget, filter, &seats);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(
        seats.taken.load(Relaxed) > 1000,
        "too few clients joined a lane: {seats:?}"
    );
    assert!(
        seats.lost.load(Relaxed) > 100,
        "too few clients fell out of a lane: {seats:?}"
    );
    assert!(
        seats.served.load(Relaxed) > 1000,
        "too few clients were served in a group: {seats:?}"
    );
}

/// A step of a schedule.
#[derive(Clone, Debug)]
enum Op {
    /// An event that does not involve clients.
    ClusterEvent(ClusterEvent),
    /// A client takes some batches, and others run while it waits.
    Read { client: usize, batches: usize },
    /// A client takes what is there, and no other client runs.
    Peek { client: usize, batches: usize },
    /// The members of the group take what it finds in this many steps.
    Serve { looks: usize, most: BatchLimit },
    /// The lane runs.
    Others { turns: usize },
    /// A client's connection breaks, and it reconnects with its last id.
    CutAndResume { client: usize },
}

/// How often clients joined a lane, fell out of it, and received something in its group.
#[derive(Debug, Default)]
struct LaneCounts {
    taken: AtomicUsize,
    lost: AtomicUsize,
    served: AtomicUsize,
}

/// The model, its lanes, some clients with the same request, and a checker for each. All but the first client
/// are in a group.
struct LanesModel<'a> {
    fixture: ModelFixture,
    lanes: Lanes,
    tasks: TaskTracker,
    clients: Vec<(LaneSubscriber, DeliveryChecker)>,
    group_cursor: Option<GroupCursor>,
    form: IdForm,
    filter: Option<&'static str>,
    budget: usize,
    seats: &'a LaneCounts,
    /// Drops deleted records.
    deletions: BoxFuture<'static, Infallible>,
}

impl<'a> LanesModel<'a> {
    /// Runs the schedule, then lets everything settle and compares.
    fn run(ops: &[Op], compact: bool, budget: usize, filter: Option<&'static str>, seats: &'a LaneCounts) {
        runtime().block_on(async {
            let form = if compact { IdForm::Compact } else { IdForm::Json };
            let mut world = Self::new(form, budget, filter, seats);
            for op in ops {
                world.step(op).await;
                assert!(world.lanes.bytes() <= world.budget, "{:?}", world.lanes);
            }
            world.settle().await;
        });
    }

    fn new(form: IdForm, budget: usize, filter: Option<&'static str>, seats: &'a LaneCounts) -> Self {
        let fixture = ModelFixture::new(PARTITIONS);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), budget, tasks.clone());
        let mut group_cursor = None;
        let client = |number| {
            let mut checker = DeliveryChecker::of(wants(filter));
            let id = checker.reconnect(&fixture);
            let mut subscriber = lanes
                .subscribe(fixture.filtered(Some(&id), form, filter))
                .unwrap();
            if number > 0 {
                subscriber.join_group(&mut group_cursor);
            }
            (subscriber, checker)
        };
        Self {
            clients: (0..CLIENTS).map(client).collect(),
            group_cursor,
            fixture,
            deletions: lanes.clone().drop_deleted_records().boxed(),
            lanes,
            tasks,
            form,
            filter,
            budget,
            seats,
        }
    }

    async fn step(&mut self, op: &Op) {
        match *op {
            Op::ClusterEvent(ref cluster_event) => {
                self.fixture.apply(cluster_event);
                let ended = (&mut self.deletions).now_or_never();
                assert!(ended.is_none(), "it goes on for ever");
            }
            Op::Read { client, batches } => self.read(client, batches).await,
            Op::Peek { client, batches } => self.peek(client, batches),
            Op::Serve { looks, most } => self.serve(looks, most),
            Op::Others { turns } => others(turns).await,
            Op::CutAndResume { client } => {
                let id = self.clients[client].1.reconnect(&self.fixture);
                let request = self.fixture.filtered(Some(&id), self.form, self.filter);
                self.clients[client].0 = self.lanes.subscribe(request).unwrap();
                if client > 0 {
                    self.clients[client].0.join_group(&mut self.group_cursor);
                    self.peek(client, usize::MAX);
                }
            }
        }
    }

    /// Does what the fan-out does for clients in a group.
    fn serve(&mut self, looks: usize, most: BatchLimit) {
        for _ in 0..looks {
            let context = Context::from_waker(Waker::noop());
            let group_cursor = self.group_cursor.as_mut().unwrap();
            let Poll::Ready(update) = group_cursor.poll_update(&context, most) else {
                return;
            };
            for client in 1..CLIENTS {
                let (subscriber, checker) = &mut self.clients[client];
                let had = match &update {
                    GroupUpdate::BatchRun(batch_run) => subscriber
                        .take_run(batch_run)
                        .map(|had| &batch_run.batches()[had..]),
                    GroupUpdate::PollEach => None,
                };
                match had {
                    Some(new) => {
                        self.seats.served.fetch_add(new.len(), Relaxed);
                        new.iter()
                            .for_each(|batch| checker.take(&self.fixture, &batch.bytes));
                    }
                    None => self.peek(client, usize::MAX),
                }
            }
        }
    }

    async fn read(&mut self, client: usize, batches: usize) {
        for _ in 0..batches {
            let was = self.clients[client].0.is_in_lane();
            let subscriber = &mut self.clients[client].0;
            let batch = poll_fn(|context| subscriber.poll_batch(context));
            let batch = timeout(self.fixture.longest_silence(), batch).await;
            self.note(client, was);
            let Ok(batch) = batch else { return };
            self.clients[client].1.take(&self.fixture, &batch.bytes);
        }
    }

    fn peek(&mut self, client: usize, batches: usize) {
        for _ in 0..batches {
            let (subscriber, checker) = &mut self.clients[client];
            let was = subscriber.is_in_lane();
            let batch = poll_fn(|context| subscriber.poll_batch(context)).now_or_never();
            if let Some(batch) = &batch {
                checker.take(&self.fixture, &batch.bytes);
            }
            self.note(client, was);
            if batch.is_none() {
                return;
            }
        }
    }

    fn note(&self, client: usize, was: bool) {
        match (was, self.clients[client].0.is_in_lane()) {
            (false, true) => self.seats.taken.fetch_add(1, Relaxed),
            (true, false) => self.seats.lost.fetch_add(1, Relaxed),
            _ => 0,
        };
    }

    /// If a client has read ahead of the tail and the records were then compacted away, its position is one
    /// that the lane never has, until there is another record.
    fn write_everywhere(&self) {
        let mut brokers = self.fixture.model.lock();
        brokers.quiet = false;
        (0..brokers.partitions.len()).for_each(|partition| brokers.produce(partition, 1));
    }

    fn verify(&self) {
        for (client, checker) in &self.clients {
            checker.verify(&self.fixture);
            assert!(client.is_in_lane(), "a client never joined");
        }
    }

    async fn settle(mut self) {
        self.write_everywhere();
        self.fixture.restore();
        // The lane opens when two clients are at the end, and then admits the first of them.
        for client in (0..CLIENTS).chain(0..CLIENTS) {
            self.read(client, usize::MAX).await;
            self.serve(usize::MAX, PLENTY);
        }
        self.verify();
        // With a large enough ring, the members of the group receive everything from now on through the group
        // alone.
        if self.budget >= ROOMY {
            self.write_everywhere();
            self.fixture.restore();
            self.read(0, usize::MAX).await;
            self.serve(usize::MAX, PLENTY);
            self.verify();
        }
        drop((self.clients, self.group_cursor));
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait())
            .await
            .expect("no lane without its clients");
        assert_eq!((self.lanes.count(), self.lanes.bytes()), (0, 0));
    }
}

#[test]
fn in_a_lane_a_client_reads_byte_for_byte_what_it_would_read_alone() {
    for form in [IdForm::Json, IdForm::Compact] {
        runtime().block_on(compare(form));
    }
}

async fn compare(form: IdForm) {
    let fixture = ModelFixture::new(PARTITIONS);
    let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
    let start = DeliveryChecker::default().reconnect(&fixture);
    let mut alone = fixture.subscribe(Some(&start), form);
    let mut first = lanes.subscribe(fixture.request(Some(&start), form)).unwrap();
    let mut second = lanes.subscribe(fixture.request(None, form)).unwrap();
    // Once in each partition, so that a record follows every entry of the id.
    fixture.write(0, 3);
    fixture.write(1, 2);
    let mut reading = (collect(&mut alone).await, follow(&mut first).await);
    follow(&mut second).await;
    assert!(follow(&mut first).await.is_empty());
    assert!(first.is_in_lane() && second.is_in_lane());
    for round in 0..20 {
        fixture.model.lock().quiet = round % 4 == 3;
        fixture.write(round % 2, 1 + round % 3);
        reading.0.extend(collect(&mut alone).await);
        reading.1.extend(follow(&mut first).await);
        assert!(first.is_in_lane());
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(&reading.1), text(&reading.0));
    assert!(reading.0.len() > 2000);
}

#[test]
fn a_client_that_is_overrun_goes_on_at_its_place_and_joins_again() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let lanes = Lanes::new(fixture.source.clone(), 4096, TaskTracker::new());
        let mut quick = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        let mut slow = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        follow(&mut quick).await;
        follow(&mut slow).await;
        follow(&mut quick).await;
        assert!(quick.is_in_lane() && slow.is_in_lane());
        for _ in 0..100 {
            fixture.write(0, 1);
            follow(&mut quick).await;
        }
        assert!(lanes.bytes() <= 4096);
        fixture
            .source
            .directory
            .all()
            .iter()
            .for_each(|log| while log.evict_oldest() > 0 {});
        let bytes = next(&mut slow).await.expect("what it missed");
        assert!(!slow.is_in_lane(), "the ring has moved past it");
        let mut missed = numbers(&bytes);
        // The memory of a client counts, and most of this budget is enough to stop it.
        drop(bytes);
        missed.extend(numbers(&follow(&mut slow).await));
        assert_eq!(missed, (1..=100).collect::<Vec<_>>());
        assert!(slow.is_in_lane());
    });
}

#[test]
fn those_in_a_row_are_not_woken_and_get_what_it_finds() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let lanes = Lanes::new(fixture.source.clone(), 64 * 1024, TaskTracker::new());
        let mut group_cursor = None;
        let mut subscribers = [(); 3].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        for subscriber in &mut subscribers {
            follow(subscriber).await;
        }
        follow(&mut subscribers[0]).await;
        let (waker, woken) = new_count_waker();
        let context = &mut Context::from_waker(&waker);
        for subscriber in &mut subscribers {
            subscriber.join_group(&mut group_cursor);
            assert!(subscriber.poll_batch(context).is_pending() && subscriber.is_in_lane());
        }
        let mut group_cursor = group_cursor.unwrap();
        assert!(!matches!(
            group_cursor.poll_update(&Context::from_waker(Waker::noop()), PLENTY),
            Poll::Ready(GroupUpdate::BatchRun(_))
        ));
        let mut seen = vec![Vec::new(); 3];
        for n in 0..10 {
            fixture.write(n % 2, 3);
            others(20).await;
            let Poll::Ready(GroupUpdate::BatchRun(batch_run)) = group_cursor.poll_update(context, PLENTY)
            else {
                panic!("nothing after {n}")
            };
            for (subscriber, seen) in subscribers.iter_mut().zip(&mut seen) {
                let had = subscriber.take_run(&batch_run).unwrap();
                assert_eq!(
                    subscriber.take_run(&batch_run),
                    Some(batch_run.batches().len()),
                    "once"
                );
                seen.extend(
                    batch_run.batches()[had..]
                        .iter()
                        .flat_map(|batch| numbers(&batch.bytes)),
                );
            }
        }
        assert_eq!(seen, vec![(1..=30).collect::<Vec<_>>(); 3]);
        assert!(
            group_cursor
                .poll_update(&Context::from_waker(Waker::noop()), PLENTY)
                .is_pending()
        );
        for subscriber in &mut subscribers {
            assert!(subscriber.poll_batch(context).is_pending());
        }
        let before = woken.get();
        fixture.write(0, 1);
        others(20).await;
        assert_eq!(woken, before, "a follower was woken");
    });
}

#[test]
fn a_client_whose_leader_is_away_stays_out_of_the_lane_and_the_rest_flows() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        fixture.write(0, 5);
        fixture.write(1, 5);
        let start = DeliveryChecker::default().reconnect(&fixture);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut live = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        let mut other = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        for subscriber in [&mut live, &mut other] {
            follow(subscriber).await;
        }
        fixture
            .source
            .directory
            .all()
            .iter()
            .for_each(|log| while log.evict_oldest() > 0 {});
        fixture.model.lock().partitions[0].mute = true;
        let mut late = [(); 2].map(|()| {
            lanes
                .subscribe(fixture.request(Some(&start), IdForm::Json))
                .unwrap()
        });
        for late in &mut late {
            assert_eq!(numbers(&follow(late).await), [6, 7, 8, 9, 10]);
        }
        for n in 11..20 {
            fixture.write(1, 1);
            for subscriber in late.iter_mut().chain([&mut live]) {
                assert_eq!(numbers(&follow(subscriber).await), [n]);
            }
        }
        assert!(live.is_in_lane() && !late.iter().any(LaneSubscriber::is_in_lane));
        fixture.model.lock().partitions[0].mute = false;
        for late in &mut late {
            assert_eq!(numbers(&follow(late).await), [1, 2, 3, 4, 5]);
            assert!(late.is_in_lane());
        }
    });
}

/// Returns an id of three partitions of a topic that was deleted since, after this id of the model's topic.
fn with_deleted_topic(id: &str) -> String {
    let deleted = (0..3).map(|partition| {
        format!(r#",{{"topic":"gone","partition":{partition},"offset":700,"timestamp":1790000000000}}"#)
    });
    format!("{}{}]", id.trim_end_matches(']'), deleted.collect::<String>())
}

#[test]
fn clients_with_places_in_a_topic_that_is_absent_are_told_once_and_join_the_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        fixture.source.directory.set_absent(&"gone".into());
        let id = with_deleted_topic(&DeliveryChecker::default().reconnect(&fixture));
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut crowd: Vec<_> = (0..200)
            .map(|_| {
                let mut request = fixture.request(Some(&id), IdForm::Json);
                request.topics = [TOPIC, "gone"].into();
                lanes.subscribe(request).unwrap()
            })
            .collect();
        for subscriber in &mut crowd {
            let told = read(&follow(subscriber).await);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(
                told[0].data,
                r#"{"topic":"gone","partition":0,"requested":700,"resumed":null,"reason":"partition_gone","partitions":3}"#
            );
        }
        for subscriber in &mut crowd {
            assert!(follow(subscriber).await.is_empty() && subscriber.is_in_lane());
        }
        let before = lanes.composed();
        fixture.write(0, 10);
        for subscriber in &mut crowd {
            let bytes = follow(subscriber).await;
            assert_eq!(numbers(&bytes), (1..=10).collect::<Vec<_>>());
            let ids = read(&bytes).into_iter().map(|message| message.id.unwrap());
            assert!(ids.into_iter().all(|id| id.ends_with(r#"{"topic":"gone","partition":0,"offset":-2}]"#)));
        }
        assert!(lanes.composed() - before < 3000, "composed once for all");
    });
}

#[test]
fn a_hole_at_the_end_of_history_keeps_nobody_out_of_the_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        fixture.model.lock().produce(0, 10);
        // The tail has reached the last existing record. After it, history has a marker or compacted records.
        fixture.publish(0, 9);
        fixture.model.lock().partitions[0].records.pop();
        let start = DeliveryChecker::default().reconnect(&fixture);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut both = [(); 2].map(|()| {
            lanes
                .subscribe(fixture.request(Some(&start), IdForm::Json))
                .unwrap()
        });
        for subscriber in &mut both {
            assert_eq!(numbers(&follow(subscriber).await), (1..=9).collect::<Vec<_>>());
        }
        for subscriber in &mut both {
            assert!(follow(subscriber).await.is_empty() && subscriber.is_in_lane());
        }
    });
}

#[test]
fn those_who_catch_up_open_no_lane_and_those_who_left_do_not_count() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let start = DeliveryChecker::default().reconnect(&fixture);
        fixture.write(0, 500);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, tasks.clone());
        let mut three = [(); 3].map(|()| {
            lanes
                .subscribe(fixture.request(Some(&start), IdForm::Json))
                .unwrap()
        });
        for subscriber in &mut three {
            assert!(next(subscriber).await.is_some());
        }
        assert_eq!(tasks.len(), 0, "all are on their way");
        let [mut first, mut second, mut third] = three;
        follow(&mut first).await;
        drop(first);
        follow(&mut second).await;
        assert_eq!(tasks.len(), 0, "one is at the end");
        follow(&mut third).await;
        assert_eq!(tasks.len(), 1);
        follow(&mut second).await;
        assert!(second.is_in_lane() && third.is_in_lane());
    });
}

#[test]
fn those_who_resume_from_a_few_places_share_what_one_of_them_composes() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let start = DeliveryChecker::default().reconnect(&fixture);
        for _ in 0..100 {
            fixture.write(0, 20);
            fixture.write(1, 15);
        }
        let all = collect(&mut fixture.subscribe(Some(&start), IdForm::Json)).await;
        let mut ids = vec![start];
        ids.extend([10, 700, 701].map(|at: usize| read(&all)[at].id.clone().unwrap()));
        let lanes = Lanes::new(fixture.source.clone(), 64 * 1024 * 1024, TaskTracker::new());
        let subscriber = |id: &String| lanes.subscribe(fixture.request(Some(id), IdForm::Json)).unwrap();
        let mut crowd: Vec<_> = ids.iter().cycle().take(100).map(subscriber).collect();
        for (id, subscriber) in ids.iter().cycle().zip(&mut crowd) {
            let alone = collect(&mut fixture.subscribe(Some(id), IdForm::Json)).await;
            assert!(
                follow(subscriber).await == alone,
                "as if it were alone, from {id}"
            );
        }
        let (composed, unique) = (lanes.composed(), all.len() as u64);
        assert!(
            (unique..unique * 5 / 4).contains(&composed),
            "{composed} of {unique}"
        );
        for subscriber in &mut crowd {
            assert!(follow(subscriber).await.is_empty() && subscriber.is_in_lane());
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        fixture.write(0, 1);
        for subscriber in &mut crowd {
            follow(subscriber).await;
        }
        assert!(
            lanes.bytes() < 64 * 1024,
            "no client is left that could need the kept batches"
        );
    });
}

#[test]
fn what_one_has_composed_is_there_for_one_who_comes_a_moment_later() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let start = DeliveryChecker::default().reconnect(&fixture);
        (0..100).for_each(|_| fixture.write(0, 20));
        let lanes = Lanes::new(fixture.source.clone(), 64 * 1024 * 1024, TaskTracker::new());
        let subscriber = |id| lanes.subscribe(fixture.request(id, IdForm::Json)).unwrap();
        let mut live = [subscriber(None), subscriber(None)];
        for live in &mut live {
            follow(live).await;
        }
        let mut pair = [subscriber(Some(&start)), subscriber(Some(&start))];
        let first = next(&mut pair[0]).await.unwrap();
        next(&mut pair[1]).await.unwrap();
        drop(pair);
        let composed = lanes.composed();
        assert_eq!(next(&mut subscriber(Some(&start))).await.unwrap(), first);
        assert_eq!(lanes.composed(), composed);

        tokio::time::advance(Duration::from_secs(60)).await;
        fixture.write(0, 1);
        for live in &mut live {
            follow(live).await;
        }
        assert_ne!(lanes.composed(), composed);
        let composed = lanes.composed();
        next(&mut subscriber(Some(&start))).await.unwrap();
        assert!(lanes.composed() > composed, "it is kept for a moment only");
    });
}

#[test]
fn an_id_from_a_lane_stands_at_the_event_it_came_with() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut both = [(); 2].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        for subscriber in &mut both {
            follow(subscriber).await;
        }
        fixture.write(0, 3);
        fixture.write(1, 1);
        let mut reader = SseReader::new(1024 * 1024);
        reader.push(&follow(&mut both[1]).await).unwrap();
        assert!(both[1].is_in_lane());
        let ids: Vec<_> = std::iter::from_fn(|| reader.next_message())
            .map(|event| event.id.unwrap())
            .collect();
        let offsets = |id: &String| -> Vec<_> {
            let entries = decode(id.as_bytes()).unwrap().entries.into_iter();
            entries
                .map(|entry| match entry.place {
                    PartitionPosition::At(mark) => mark.offset,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(
            ids.iter().map(offsets).collect::<Vec<_>>(),
            [[1, 0], [2, 0], [3, 0], [3, 1]]
        );
    });
}

#[test]
fn a_client_alone_with_its_wish_has_no_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, tasks.clone());
        let mut one = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        let mut other = lanes.subscribe(fixture.request(None, IdForm::Compact)).unwrap();
        follow(&mut one).await;
        follow(&mut other).await;
        fixture.write(0, 4);
        assert_eq!(numbers(&follow(&mut one).await), [1, 2, 3, 4]);
        assert_eq!(numbers(&follow(&mut other).await), [1, 2, 3, 4]);
        assert!(!one.is_in_lane() && !other.is_in_lane());
        assert_eq!((tasks.len(), lanes.bytes()), (0, 0));
    });
}

/// Returns what the checker expects for the filters of the simulation.
fn wants(filter: Option<&str>) -> fn(i32, u64) -> bool {
    match filter {
        None => |_, _| true,
        Some("n < 0" | "n = -1") => |_, _| false,
        Some("n in (1, 5, 25)") => |_, n| [1, 5, 25].contains(&n),
        Some(_) => |partition, n| partition == 1 || [1, 5, 25].contains(&n),
    }
}

#[test]
fn a_quiet_filter_is_told_how_far_it_has_come_and_resumes_there() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let filtered = |id: Option<&str>| {
            let request = fixture.filtered(id, IdForm::Json, Some("n < 0"));
            lanes.subscribe(request).unwrap()
        };
        let mut both = [filtered(None), filtered(None)];
        let mut messages = Vec::new();
        for _ in 0..2 {
            fixture.write(0, 30);
            for subscriber in &mut both {
                messages = read(&follow(subscriber).await);
            }
        }
        assert!(both[1].is_in_lane());
        let [checkpoint] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        assert_eq!(
            (checkpoint.event.as_str(), checkpoint.data.as_str()),
            ("checkpoint", r#"{"skipped":30}"#)
        );
        let id = checkpoint.id.as_deref().unwrap();
        let request = fixture.request(Some(id), IdForm::Json);
        fixture.write(0, 1);
        assert_eq!(
            numbers(&follow(&mut lanes.subscribe(request).unwrap()).await),
            [61]
        );
        let mut json_lines = fixture.filtered(None, IdForm::Json, Some("n < 0"));
        json_lines.view.format = EventFormat::Ndjson;
        let mut subscriber = lanes.subscribe(json_lines).unwrap();
        follow(&mut subscriber).await;
        fixture.write(0, 30);
        assert!(
            follow(&mut subscriber).await.is_empty(),
            "JSON lines have no checkpoints"
        );
    });
}

#[test]
fn tenants_alone_share_one_task_and_each_resumes_where_it_was() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, tasks.clone());
        let subscriber = |n: u64, id: Option<&str>| {
            let mut request = fixture.filtered(id, IdForm::Json, Some(&format!("n in ({n}, {})", n + 20)));
            request.client = ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + n as u32).into());
            lanes.subscribe(request).unwrap()
        };
        let mut all: Vec<_> = (1..=20).map(|n| subscriber(n, None)).collect();
        for subscriber in &mut all {
            follow(subscriber).await;
        }
        assert!(all.iter().all(LaneSubscriber::is_in_lane));
        assert_eq!((lanes.count(), tasks.len()), (20, 1));
        fixture.write(0, 10);
        fixture.write(1, 10);
        let mut ids = Vec::new();
        for (n, subscriber) in (1..).zip(&mut all) {
            let bytes = follow(subscriber).await;
            assert_eq!(numbers(&bytes), [n]);
            ids.push(read(&bytes)[0].id.clone().unwrap());
        }
        drop(all);
        others(20).await;
        assert_eq!((lanes.count(), tasks.len()), (0, 0));
        fixture.write(0, 10);
        fixture.write(1, 10);
        // With the ids of others too: an id is a position, and says nothing of the filter.
        for n in 1..=20 {
            for id in [&ids[n as usize - 1], &ids[0], &ids[19]] {
                let seen = numbers(&follow(&mut subscriber(n, Some(id))).await);
                assert!(
                    seen.contains(&(n + 20)) && seen.iter().all(|it| [n, n + 20].contains(it)),
                    "{n}: {seen:?}"
                );
            }
        }
    });
}

#[test]
fn ten_thousand_different_wishes_are_ten_thousand_subscriptions_and_no_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 4096, tasks.clone());
        let mut popular = [(); 2].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        let hostile = |n: u32| {
            let mut request = fixture.filtered(None, IdForm::Json, Some(&format!("n = {n} or n < 0")));
            request.client = ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + n / 5).into());
            lanes.subscribe(request)
        };
        let all: Vec<_> = (0..10_000).map(hostile).collect();
        assert_eq!(
            all.iter().filter(|subscriber| subscriber.is_ok()).count(),
            MAX_FILTERS
        );
        for subscriber in &mut popular {
            follow(subscriber).await;
        }
        fixture.write(0, 1);
        for subscriber in &mut popular {
            assert_eq!(numbers(&follow(subscriber).await), [1]);
            assert!(subscriber.is_in_lane());
        }
        assert_eq!(tasks.len(), 1);
        assert!(lanes.bytes() <= 4096);
    });
}

#[test]
fn two_thousand_lanes_of_strangers_stay_within_the_budget_and_the_others_miss_nothing() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let (tasks, budget) = (TaskTracker::new(), 64 * 1024);
        let lanes = Lanes::new(fixture.source.clone(), budget, tasks.clone());
        let mut popular = [(); 2].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        // Each filter passes everything, and has two clients: a lane with a ring.
        let hostile = |(n, address): (usize, usize)| {
            let mut request = fixture.filtered(None, IdForm::Json, Some(&format!("n > 0 or n = -{n}")));
            request.client = ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + address as u32).into());
            lanes.subscribe(request)
        };
        let first = (0..MAX_FILTERS).map(|n| (n, n / 5));
        let second = (0..MAX_FILTERS).map(|n| (n, MAX_FILTERS + n / 5));
        let mut strangers: Vec<_> = first.chain(second).map(|it| hostile(it).unwrap()).collect();
        assert_eq!((lanes.count(), tasks.len()), (MAX_FILTERS + 1, 0));
        for subscriber in popular.iter_mut().chain(&mut strangers) {
            assert!(follow(subscriber).await.is_empty());
        }
        assert_eq!((lanes.count(), tasks.len()), (MAX_FILTERS + 1, MAX_FILTERS + 1));
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..10 {
            fixture.write(0, 5);
            for (subscriber, seen) in popular.iter_mut().zip(&mut seen) {
                seen.extend(numbers(&follow(subscriber).await));
                assert!(lanes.bytes() <= budget, "{lanes:?}");
            }
        }
        let all: Vec<_> = (1..=50).collect();
        assert_eq!(seen, [all.clone(), all]);
        drop(strangers);
        follow(&mut popular[0]).await;
        assert_eq!((lanes.count(), tasks.len()), (1, 1));
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

async fn others(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

async fn within(batch: impl Future<Output = Batch>) -> Option<Bytes> {
    timeout(PATIENCE, batch).await.ok().map(|batch| batch.bytes)
}

async fn next(subscriber: &mut LaneSubscriber) -> Option<Bytes> {
    within(poll_fn(|context| subscriber.poll_batch(context))).await
}

/// Returns everything that a follower receives.
async fn follow(subscriber: &mut LaneSubscriber) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = next(subscriber).await {
        all.extend(bytes);
    }
    all
}

/// Returns everything that a subscription receives.
async fn collect(subscription: &mut Subscription) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = within(poll_fn(|context| subscription.poll_batch(context))).await {
        all.extend(bytes);
    }
    all
}

fn read(bytes: &[u8]) -> Vec<SseMessage> {
    let mut reader = SseReader::new(1024 * 1024);
    reader.push(bytes).unwrap();
    std::iter::from_fn(|| reader.next_message()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let number =
        |message: SseMessage| serde_json::from_str::<serde_json::Value>(&message.data).unwrap()["n"].as_u64();
    read(bytes).into_iter().filter_map(number).collect()
}

/// Enough memory for a ring that holds some records, in bytes.
const ROOMY: usize = 1024 * 1024;

/// More than there ever is.
const PLENTY: BatchLimit = BatchLimit {
    batches: usize::MAX,
    bytes: usize::MAX,
};

/// The number of clients with the same request: two that make a lane, and one more.
const CLIENTS: usize = 3;

/// The number of partitions at the start. Schedules add up to two more.
const PARTITIONS: usize = 2;

/// Longer than any pause in the model. It takes no real time, because the clock is simulated.
const PATIENCE: Duration = Duration::from_secs(20);
