use std::{
    collections::HashSet,
    sync::{Arc, LazyLock, mpsc},
};

use parking_lot::Mutex;

use super::*;
use crate::{
    event::Encoding,
    health::Health,
    kafka::{
        BrokerProfile, ClusterOptions, LogAppendTimeTopics, MemoryLimits,
        client::config::{ClientKind, client_config},
        connect,
        damage::{self, SearchOutcome},
        history::HistoryPool,
        metrics::KafkaMetrics,
        settings::ClusterSettings,
        shared::TopicSettings,
    },
    partition::{History, HistoryError, LogDirectory, PartitionLog, TopicPartition},
    position::LogTag,
};

/// The requested panics, by cluster and thread.
static REQUESTED_PANICS: LazyLock<Mutex<HashSet<(String, &'static str)>>> = LazyLock::new(Mutex::default);

/// Panics once if a test has requested it.
pub(super) fn panic_if_requested(cluster: &str, thread: &str) {
    let asked = REQUESTED_PANICS
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

fn panics(counters: &KafkaMetrics, cluster: &str, thread: &str) -> u64 {
    let labels = ThreadLabels {
        cluster: cluster.to_owned(),
        thread: thread.to_owned(),
    };
    counters.thread_panics.get_or_create(&labels).get()
}

/// Returns settings with an address where no broker listens. The threads run all the same.
fn settings(name: &str) -> ClusterSettings {
    ClusterSettings::new(name, vec!["127.0.0.1:1".parse().expect("an address")])
}

fn options(counters: &KafkaMetrics, health: &Health) -> ClusterOptions {
    ClusterOptions {
        memory: MemoryLimits {
            tail: 1 << 20,
            history: 1 << 20,
        },
        profile: BrokerProfile::Real,
        counters: counters.clone(),
        log_append_time_topics: LogAppendTimeTopics::default(),
        state: None,
        health: health.clone(),
    }
}

#[test]
fn a_panic_is_counted_and_an_end_without_one_is_not() {
    let shared = ClusterShared::for_test();
    let handler = PanicHandler::new(&shared, TAIL);
    assert_eq!(handler.catch(|| 1), Some(1));
    assert_eq!(panics(&shared.counters, "main", TAIL), 0);
    assert_eq!(handler.catch(|| panic!("at offset {}", 7)), None::<()>);
    assert_eq!(panics(&shared.counters, "main", TAIL), 1);
    assert_eq!(
        catch_panic(|| panic!("at offset {}", 7)),
        Err::<(), _>("at offset 7".to_owned())
    );
    assert_eq!(catch_panic(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
}

#[test]
fn work_that_panics_is_run_again_until_it_ends_or_nobody_wants_it() {
    let (mut runs, mut pauses) = (0, Vec::new());
    let wait = |pause| {
        pauses.push(pause);
        true
    };
    PanicHandler::new(&ClusterShared::for_test(), TAIL).run_with_restarts(wait, || {
        runs += 1;
        assert!(runs > 3, "too early");
    });
    assert_eq!(runs, 4);
    assert_eq!(pauses, [FIRST_DELAY, FIRST_DELAY * 2, FIRST_DELAY * 4]);
    PanicHandler::new(&ClusterShared::for_test(), TAIL).run_with_restarts(|_| false, || panic!("always"));
}

#[test]
fn pauses_are_bounded_and_short_again_after_a_calm_time() {
    let (mut restarts, now) = (RestartBackoff::default(), Instant::now());
    let pauses: Vec<_> = (0..8).map(|_| restarts.pause(now)).collect();
    assert_eq!((pauses[0], pauses[7]), (FIRST_DELAY, MAX_DELAY));
    assert_eq!(restarts.pause(now + RESET_AFTER), FIRST_DELAY);
}

#[test]
fn every_thread_that_runs_all_the_time_outlives_its_panics() {
    let name = "outlives";
    let (counters, health) = (KafkaMetrics::default(), Health::new());
    let topics = vec![TopicSettings::new("t")];
    let cluster = connect(
        &settings(name),
        topics,
        LogDirectory::new(),
        options(&counters, &health),
    )
    .expect("a cluster");
    for thread in [
        TAIL,
        METADATA_WATCHER,
        SUPERVISOR,
        STALL_DETECTOR,
        BOOTSTRAP_CHECK,
    ] {
        // The second panic shows that the thread outlived the first.
        for time in 1..=2 {
            REQUESTED_PANICS.lock().insert((name.to_owned(), thread));
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

/// Returns the shared state of a cluster of this name.
fn shared(name: &str) -> ClusterShared {
    ClusterShared {
        cluster: name.into(),
        ..ClusterShared::for_test()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_history_and_those_who_ask_refuse_who_waits_and_go_on() {
    let name = "outlives-history";
    let (shared, log, (shutdown_guard, gone)) = (shared(name), log(), mpsc::channel());
    shared.leaders.set(&"t".into(), &[Some(1)]);
    let configs = [ClientKind::History, ClientKind::OffsetQueries]
        .map(|kind| client_config(&settings(name), kind, BrokerProfile::Real));
    let pool = HistoryPool::new(&shared, configs, 1 << 30, shutdown_guard);
    let client = crate::client::ClientKey::of(std::net::Ipv4Addr::LOCALHOST.into());
    for time in 1..=2 {
        for thread in [HISTORY, OFFSET_QUERIES] {
            REQUESTED_PANICS.lock().insert((name.to_owned(), thread));
        }
        // A partition that has just failed backs off, and is not asked for.
        let deadline = Instant::now() + Duration::from_secs(30);
        while panics(&shared.counters, name, HISTORY) < time
            || panics(&shared.counters, name, OFFSET_QUERIES) < time
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
    let (shared, log, (shutdown_guard, _gone)) = (shared(name), log(), mpsc::channel());
    damage::spawn(&shared, shutdown_guard).expect("a thread");
    for time in 1..=2 {
        REQUESTED_PANICS.lock().insert((name.to_owned(), DAMAGE));
        let (sender, outcome) = mpsc::channel();
        let reply = Box::new(move |outcome| drop(sender.send(outcome)));
        shared.damage.request_search(&log, 5, None, reply);
        assert_eq!(
            outcome.recv_timeout(Duration::from_secs(20)),
            Ok(SearchOutcome::Unknown)
        );
        assert_eq!(panics(&shared.counters, name, DAMAGE), time);
    }
    shared.damage.close();
}
