//! Many streams that come and go by reload.

use std::{collections::BTreeSet, fs};

use riverhead_brokers::eventually;

use super::{
    APPLIED, Riverhead, SOON,
    client::{Client, LINES},
    streams::{text, until_read},
};
use crate::support::brokers::{Brokers, stamp};

const KEPT: &str = "name = 'kept'\ntopics = ['kept']";

/// Returns so many streams, each with a topic of its own.
fn passing(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("name = 'passing-{number}'\ntopics = ['passing-topic-{number}']"))
        .collect()
}

fn with_kept(passing: &[String]) -> Vec<&str> {
    let passing = passing.iter().map(String::as_str);
    [KEPT].into_iter().chain(passing).collect()
}

/// Waits until nothing is said of streams that are gone.
fn until_forgotten(riverhead: &Riverhead) {
    eventually(SOON, "nothing is left of the streams", || {
        let text = riverhead.metrics();
        let left = text.lines().find(|line| line.contains("passing"));
        left.is_none()
            .then_some(())
            .ok_or(left.unwrap_or_default().to_owned())
    });
}

#[test]
fn a_hundred_streams_come_and_go_under_clients_of_another_that_notice_nothing() {
    let topics: Vec<_> = (0..100).map(|number| format!("passing-topic-{number}")).collect();
    let topics: Vec<_> = [("kept", 2)]
        .into_iter()
        .chain(topics.iter().map(|topic| (topic.as_str(), 1)))
        .collect();
    let brokers = Brokers::start(&topics);
    let riverhead = Riverhead::start(&text(&brokers, "", &[KEPT]));
    until_read(&riverhead, 2.0);
    let passing = passing(100);
    let clients = [
        ("kept?since=1", ""),
        ("kept?since=1", ""),
        ("kept?since=1", LINES),
        ("kept?since=1&filter=n%3E%3D0", ""),
        ("kept?since=1&limit=100000", ""),
    ];
    let clients = clients.map(|(target, headers)| Client::ask(&riverhead, target, headers));
    let mut written = 0;
    let mut write = || {
        for number in written..written + 20 {
            brokers.write("kept", (number % 2) as i32, [number]);
        }
        written += 20;
        clients.iter().for_each(|client| client.until_numbers(0..written));
        written
    };
    write();
    for round in 0..2 {
        riverhead.reload(&text(&brokers, "", &with_kept(&passing)), APPLIED);
        write();
        until_read(&riverhead, 102.0);
        let target = format!("passing-7,passing-99?since={}", stamp(round * 10));
        let reader = Client::ask(&riverhead, &target, "");
        brokers.write("passing-topic-7", 0, round * 10..round * 10 + 3);
        brokers.write("passing-topic-99", 0, round * 10 + 3..round * 10 + 5);
        reader.until_numbers(round * 10..round * 10 + 5);
        riverhead.reload(&text(&brokers, "", &[KEPT]), APPLIED);
        reader.until_over();
        write();
        until_read(&riverhead, 2.0);
        until_forgotten(&riverhead);
    }
    let written = write();
    assert!(clients.iter().all(|client| !client.is_over()));
    let of_kept = |name: &str| riverhead.metric(name, "\"kept\"");
    assert_eq!(
        of_kept("riverhead_kafka_records_total"),
        written as f64,
        "each is read once"
    );
    assert_eq!(
        riverhead.metric("riverhead_kafka_log_replacements_total", ""),
        0.0
    );
}

/// Returns the memory of a process in bytes.
fn memory(riverhead: &Riverhead) -> usize {
    let statm = fs::read_to_string(format!("/proc/{}/statm", riverhead.child.id())).unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Returns the names and labels of all series.
fn series(riverhead: &Riverhead) -> BTreeSet<String> {
    let text = riverhead.metrics();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect()
}

#[test]
fn thousands_of_streams_that_came_and_went_leave_metrics_and_memory_as_they_were() {
    let brokers = Brokers::start(&[("kept", 1)]);
    let riverhead = Riverhead::start(&text(&brokers, "", &[KEPT]));
    until_read(&riverhead, 1.0);
    let round = |number: usize| {
        // Others each time.
        let passing: Vec<_> = passing(900)
            .iter()
            .map(|stream| stream.replace("passing-", &format!("passing-{number}-")))
            .collect();
        riverhead.reload(&text(&brokers, "", &with_kept(&passing)), APPLIED);
        let reader = Client::ask(&riverhead, &format!("passing-{number}-1,passing-{number}-2"), "");
        riverhead.reload(&text(&brokers, "", &[KEPT]), APPLIED);
        reader.until_over();
        until_forgotten(&riverhead);
    };
    // What is allocated once, what the allocator keeps, and the series of what has been seen once.
    (0..3).for_each(round);
    let (warm, before) = (memory(&riverhead), series(&riverhead));
    (3..8).for_each(round);
    let grown = memory(&riverhead).saturating_sub(warm);
    assert!(grown < 8 << 20, "{grown} bytes more after 4,500 streams more");
    let more: Vec<_> = series(&riverhead).difference(&before).cloned().collect();
    // Kafka's clients may tell of more brokers and errors than before.
    let is_of_kafka = |series: &String| series.starts_with("riverhead_kafka_") && !series.contains("passing");
    assert!(more.iter().all(is_of_kafka), "{more:#?}");
}
