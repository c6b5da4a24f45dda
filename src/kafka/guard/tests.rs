use std::{
    collections::HashSet,
    sync::{LazyLock, mpsc},
    thread,
};

use parking_lot::Mutex;

use super::*;
use crate::{
    event::Encoding,
    health::Health,
    kafka::{
        Clocks, Memory, Options, Profile,
        client::{self, Kind},
        connect,
        damage::{Damage, Verdict},
        history::Pool,
        settings::Settings,
    },
    partition::{Directory, History, HistoryError, PartitionLog, TopicPartition},
    position::LogTag,
};

/// Cluster and thread.
static TRIPS: LazyLock<Mutex<HashSet<(String, &'static str)>>> = LazyLock::new(Mutex::default);

/// Panics once if a test has asked for it.
pub(super) fn trip(cluster: &str, thread: &str) {
    let asked = TRIPS
        .lock()
        .extract_if(|(of, name)| *of == cluster && *name == thread)
        .count();
    assert_eq!(asked, 0, "asked for by a test");
}

fn until(mut done: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "it did not happen in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn panics(counters: &Counters, cluster: &str, thread: &str) -> u64 {
    let labels = ThreadLabels {
        cluster: cluster.to_owned(),
        thread: thread.to_owned(),
    };
    counters.thread_panics.get_or_create(&labels).get()
}

/// Nobody listens there: the threads run all the same.
fn settings(name: &str) -> Settings {
    Settings::new(name, vec!["127.0.0.1:1".parse().expect("an address")])
}

fn options(counters: &Counters, health: &Health) -> Options {
    Options {
        memory: Memory {
            tail: 1 << 20,
            history: 1 << 20,
        },
        profile: Profile::Real,
        counters: counters.clone(),
        standby: Default::default(),
        clocks: Clocks::default(),
        state: None,
        health: health.clone(),
    }
}

#[test]
fn a_panic_is_counted_and_an_end_without_one_is_not() {
    let shared = Shared::of_nothing();
    let guard = Guard::new(&shared, TAIL);
    assert_eq!(guard.catch(|| 1), Some(1));
    assert_eq!(panics(&shared.counters, "main", TAIL), 0);
    assert_eq!(guard.catch(|| panic!("at offset {}", 7)), None::<()>);
    assert_eq!(panics(&shared.counters, "main", TAIL), 1);
    assert_eq!(
        caught(|| panic!("at offset {}", 7)),
        Err::<(), _>("at offset 7".to_owned())
    );
    assert_eq!(caught(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
}

#[test]
fn work_that_panics_is_run_again_until_it_ends_or_nobody_wants_it() {
    let (mut runs, mut pauses) = (0, Vec::new());
    let rest = |pause| {
        pauses.push(pause);
        true
    };
    Guard::new(&Shared::of_nothing(), TAIL).restart(rest, || {
        runs += 1;
        assert!(runs > 3, "too early");
    });
    assert_eq!(runs, 4);
    assert_eq!(pauses, [FIRST, FIRST * 2, FIRST * 4]);
    Guard::new(&Shared::of_nothing(), TAIL).restart(|_| false, || panic!("always"));
}

#[test]
fn pauses_are_bounded_and_short_again_after_a_calm_time() {
    let (mut restarts, now) = (Restarts::default(), Instant::now());
    let pauses: Vec<_> = (0..8).map(|_| restarts.pause(now)).collect();
    assert_eq!((pauses[0], pauses[7]), (FIRST, MOST));
    assert_eq!(restarts.pause(now + CALM), FIRST);
}

#[test]
fn every_thread_that_runs_all_the_time_outlives_its_panics() {
    let name = "outlives";
    let (counters, health) = (Counters::default(), Health::new());
    let topics = vec![("t".into(), Encoding::default())];
    let cluster = connect(
        &settings(name),
        topics,
        Directory::new(),
        options(&counters, &health),
    )
    .expect("a cluster");
    for thread in [TAIL, LOOKOUT, CLUSTER, WITNESS, BOOTSTRAP] {
        // The second one shows that the first was outlived.
        for time in 1..=2 {
            TRIPS.lock().insert((name.to_owned(), thread));
            until(|| panics(&counters, name, thread) == time, thread);
        }
    }
    assert!(cluster.shutdown(Duration::from_secs(15)), "all threads end");
}

fn log() -> Arc<PartitionLog> {
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 100)
}

/// What threads of a cluster of this name share.
fn shared(name: &str) -> Shared {
    Shared {
        cluster: name.into(),
        ..Shared::of_nothing()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_history_and_those_who_ask_refuse_who_waits_and_go_on() {
    let name = "outlives-history";
    let (shared, log, (token, gone)) = (shared(name), log(), mpsc::channel());
    shared.leaders.set(&"t".into(), &[Some(1)]);
    let configs =
        [Kind::History, Kind::Questions].map(|kind| client::config(&settings(name), kind, Profile::Real));
    let pool = Pool::new(&shared, configs, 1 << 30, token);
    let client = crate::client::ClientKey::of(std::net::Ipv4Addr::LOCALHOST.into());
    for time in 1..=2 {
        for thread in [HISTORY, QUESTIONS] {
            TRIPS.lock().insert((name.to_owned(), thread));
        }
        // A partition that has just failed rests, and is not asked for.
        let deadline = Instant::now() + Duration::from_secs(30);
        while panics(&shared.counters, name, HISTORY) < time
            || panics(&shared.counters, name, QUESTIONS) < time
        {
            assert!(Instant::now() < deadline, "they do not run any more");
            let page = pool.page(&log, 5, client).await;
            assert_eq!(page.err(), Some(HistoryError::Unavailable));
            assert_eq!(pool.bounds(&log).await.err(), Some(HistoryError::Unavailable));
        }
    }
    pool.close();
    drop(pool);
    let ended = gone.recv_timeout(Duration::from_secs(15));
    assert_eq!(
        ended,
        Err(mpsc::RecvTimeoutError::Disconnected),
        "all threads end"
    );
}

#[test]
fn a_suspicion_whose_search_panics_is_answered_and_so_is_the_next() {
    let name = "outlives-search";
    let (shared, log, (token, _gone)) = (shared(name), log(), mpsc::channel());
    let config = client::config(&settings(name), Kind::Search, Profile::Real);
    Damage::spawn(config, &shared, token).expect("a thread");
    for time in 1..=2 {
        TRIPS.lock().insert((name.to_owned(), DAMAGE));
        let (sender, verdict) = mpsc::channel();
        let reply = Box::new(move |verdict| drop(sender.send(verdict)));
        shared.damage.suspect(&log, 5, None, reply);
        assert_eq!(
            verdict.recv_timeout(Duration::from_secs(20)),
            Ok(Verdict::Unknown)
        );
        assert_eq!(panics(&shared.counters, name, DAMAGE), time);
    }
    shared.damage.close();
}
