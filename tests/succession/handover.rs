//! Hot restart.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::join_all;

use crate::{
    DEADLINE, PARTITIONS, TOPIC,
    brokers::Brokers,
    plan, signal, start_brokers, until,
    visitors::{Got, Visitors, faithful},
};

/// From the first record of each partition.
const ALL: &str = r#"[{"topic":"eqiad.edits","partition":0,"offset":-2},{"topic":"eqiad.edits","partition":1,"offset":-2}]"#;

/// Writes numbers into all partitions until it is told to end; how many it were.
fn write(brokers: &Brokers, enough: &AtomicBool) -> i64 {
    let mut number = 0;
    while !enough.load(Ordering::Relaxed) {
        brokers.write(TOPIC, number as i32 % PARTITIONS, [number]);
        number += 1;
        thread::sleep(Duration::from_millis(2));
    }
    number
}

/// The process that a log says is the successor.
fn successor(log: &str) -> Option<u32> {
    let line = log.lines().find(|line| line.contains("handed over: draining"))?;
    let pid = line.split("successor=").nth(1)?.split(' ').next()?;
    pid.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hot_restart_refuses_nobody_and_loses_nothing() {
    let (brokers, enough) = (Arc::new(start_brokers()), Arc::new(AtomicBool::new(false)));
    let mut first = plan(brokers.addresses()).start().unwrap();
    let address = first.http;
    let writer = {
        let (brokers, enough) = (Arc::clone(&brokers), Arc::clone(&enough));
        tokio::task::spawn_blocking(move || write(&brokers, &enough))
    };
    let visitors = Visitors::start(address);
    let readers: Vec<_> = (0..20)
        .map(|_| tokio::spawn(faithful(address, Some(ALL.into()), 1_500)))
        .collect();
    tokio::task::block_in_place(|| until("a visitor", &first, || visitors.served() > 20));

    signal(first.pid(), "USR2");
    let pid = tokio::task::block_in_place(|| {
        until("the successor", &first, || successor(&first.log()).is_some());
        successor(&first.log()).unwrap()
    });
    let successor = Stopped(pid);
    let before = visitors.served();
    tokio::task::block_in_place(|| {
        assert_eq!(first.wait(DEADLINE).unwrap(), Some(0), "{}", first.log());
    });
    let log = first.log();
    let last = log.lines().rfind(|line| line.contains("drain")).unwrap();
    assert!(last.ends_with("drained"), "{log}");
    let got: Vec<Got> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    assert!(visitors.served() > before + 20, "the successor serves");
    visitors.end().await;
    enough.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() >= 1_500);
    for mut got in got {
        assert!(got.connections >= 2, "each was drained");
        got.numbers.sort_unstable();
        let mut distinct = got.numbers.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), got.numbers.len(), "nothing comes twice");
        whole_in_each_partition(&got.numbers);
    }
    drop(successor);
}

/// Of each partition the beginning, without a hole.
fn whole_in_each_partition(numbers: &[i64]) {
    let each = i64::from(PARTITIONS);
    for partition in 0..each {
        let own: Vec<_> = numbers
            .iter()
            .copied()
            .filter(|number| number % each == partition)
            .collect();
        let due: Vec<_> = (0..own.len() as i64)
            .map(|index| index * each + partition)
            .collect();
        assert_eq!(own, due, "partition {partition}");
    }
}

/// A process that is nobody's child any more.
struct Stopped(u32);

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "KILL");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_kafka_does_not_answer_never_takes_over() {
    let brokers = start_brokers();
    let first = plan(brokers.addresses())
        .set("RIVERHEAD_HTTP__TAKEOVER", "1s")
        .start()
        .unwrap();
    let reader = tokio::spawn(faithful(first.http, Some(ALL.into()), 20));
    brokers.write(TOPIC, 0, (0..10).map(|n| n * 2));
    tokio::task::block_in_place(|| {
        until("a reader", &first, || {
            first.metric("riverhead_streams_open").unwrap() >= 1.0
        });
        (0..3).for_each(|broker| brokers.mute(broker));
        signal(first.pid(), "USR2");
        until("the end of the successor", &first, || {
            first.log().contains("staying")
        });
    });
    let log = first.log();
    assert!(
        log.contains("cannot start: no answer from Kafka within 1s"),
        "{log}"
    );
    assert!(log.contains("it ended with exit status: 1"), "{log}");
    // As if nothing had been.
    (0..3).for_each(|broker| brokers.unmute(broker));
    brokers.write(TOPIC, 1, (0..10).map(|n| n * 2 + 1));
    let got = reader.await.unwrap();
    assert_eq!((got.numbers.len(), got.connections), (20, 1));
    let visitors = Visitors::start(first.http);
    tokio::task::block_in_place(|| until("a visitor", &first, || visitors.served() > 5));
    visitors.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_successor_that_has_not_taken_over() {
    let brokers = start_brokers();
    let mut first = plan(brokers.addresses())
        .set("RIVERHEAD_HTTP__DRAIN", "100ms")
        .start()
        .unwrap();
    tokio::task::block_in_place(|| {
        (0..3).for_each(|broker| brokers.mute(broker));
        signal(first.pid(), "USR2");
        until("a successor", &first, || {
            first.log().contains("started a successor")
        });
        signal(first.pid(), "TERM");
        assert_eq!(first.wait(DEADLINE).unwrap(), Some(0), "{}", first.log());
    });
    // A successor that was left behind would listen.
    TcpListener::bind(first.http).expect("the port is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_systemd_passes_on_is_served() {
    let brokers = start_brokers();
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    let plan = plan(brokers.addresses());
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("riverhead.toml");
    std::fs::write(&file, plan.config()).unwrap();
    let mut command = std::process::Command::new(&plan.binary);
    let mapping = command_fds::FdMapping {
        parent_fd: passed.into(),
        child_fd: 3,
    };
    command_fds::CommandFdExt::fd_mappings(&mut command, vec![mapping]).unwrap();
    command
        .args(["serve", "--config"])
        .arg(&file)
        .env("LISTEN_FDS", "1");
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, format!("listening on http://{address}\n"));
    let visitors = Visitors::start(address);
    let begun = std::time::Instant::now();
    while visitors.served() < 5 {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    visitors.end().await;
    child.kill().unwrap();
    child.wait().unwrap();
}
