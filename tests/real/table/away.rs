//! Leaders that do not answer, partitions that are added later, and clients that prefer a refusal to a gap.

use riverhead_brokers::{Fault, eventually};
use riverhead_loadtest::client::{Ask, Client};
use serde_json::{Value, json};

use super::{
    fixture::{SOON, STREAM, TableFixture, now},
    listener::{Listener, events, gap, runtime},
};

/// Creates a topic of three partitions, with partition `p` led by broker `p + 1`. Returns it with the id of a
/// client that has read all of it.
fn read_by_somebody(topic: &str) -> (TableFixture, Value) {
    let fixture = TableFixture::new(topic, 3);
    let written: Vec<_> = (0..3)
        .flat_map(|partition| fixture.write(partition, 50))
        .collect();
    let mut first = fixture.read_from_start(3);
    first.upto(&written);
    assert_eq!(first.heard.len(), 150);
    let id = first.last_id();
    (fixture, id)
}

/// The leader of partition 1 does not answer from before the gateway's start on, and later it does.
fn a_leader_is_away(topic: &str, fault: Fault) {
    let (mut fixture, id) = read_by_somebody(topic);
    let missed = [0, 1, 2].map(|partition| fixture.write(partition, 20));
    fixture.brokers.proxy(2).set(fault);
    fixture.restart(2);
    let connect = now();
    let (mut resumed, mut fresh) = (fixture.resume(&id), fixture.ask(Ask::new(STREAM)));
    resumed.upto(&missed[0]).upto(&missed[2]);
    fixture.write_until_heard(0, &mut fresh);
    let live = [0, 1, 2].map(|partition| fixture.write(partition, 20));
    for client in [&mut resumed, &mut fresh] {
        client.upto(&live[0]).upto(&live[2]);
    }
    carries_its_own_entry(&resumed, &id[1]);
    let time = fresh.last_id()[1]["timestamp"].clone();
    carries_its_own_entry(&fresh, &fixture.entry(1, json!({"timestamp": time})));
    let time = time.as_i64().expect("a time");
    assert!(
        (connect..=now()).contains(&time),
        "{time} is the time of the connect"
    );

    fixture.brokers.proxy(2).set(Fault::Pass);
    resumed.upto(&missed[1]).upto(&live[1]);
    fresh.upto(&live[1]);
    let resumes = [&missed[1][..], &live[1]].concat();
    for (client, own) in [(&resumed, &resumes), (&fresh, &live[1])] {
        assert_eq!(client.heard_of(own), events(own), "of partition 1");
        for partition in [0, 2] {
            assert_eq!(client.heard_of(&live[partition]), events(&live[partition]));
        }
    }
    assert_eq!(fresh.heard_of(&missed.concat()), vec![], "before its time");
    assert!(
        ![&resumed, &fresh].iter().any(|client| client.heard_a_gap()),
        "nothing was lost"
    );
}

/// Asserts that every id so far has this entry of partition 1.
fn carries_its_own_entry(client: &Listener, entry: &Value) {
    for number in client.numbers() {
        let id: Value = serde_json::from_str(client.text_id(number)).expect("JSON");
        assert_eq!(&id[1], entry, "verbatim");
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_mute_leader_holds_up_its_own_partition_only_and_costs_nothing() {
    a_leader_is_away("mute", Fault::Stall);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_leader_in_a_black_hole_holds_up_its_own_partition_only_and_costs_nothing() {
    a_leader_is_away("black-hole", Fault::Blackhole);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_partition_added_later_is_read_from_its_start() {
    let mut fixture = TableFixture::new("added", 1);
    let old = fixture.write(0, 20);
    let mut live = fixture.read_from_start(1);
    let id = live.upto(&old).last_id();
    fixture.brokers.add_partitions("added", 2);
    let new = fixture.write(1, 30);
    live.upto(&new).assert_heard(&[&events(&old), &events(&new)]);
    assert_eq!(live.last_id()[1]["offset"], 30);
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(2);
        }
        let mut client = fixture.resume(&id);
        client.upto(&new).assert_heard(&[&events(&new)]);
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn who_wants_no_gap_is_answered_by_the_verdict() {
    let mut fixture = TableFixture::new("verdict", 1);
    let written = fixture.write(0, 100);
    let mut first = fixture.read_from_start(1);
    first.upto(&written);
    let (early, late) = (first.id(written[9]), first.id(written[79]));
    fixture.brokers.delete_records("verdict", 0, 50);
    fixture.restart(1);

    let mut exact = Listener::connect(fixture.gateway.http, &no_gap(&late));
    exact
        .upto(&written[80..])
        .assert_heard(&[&events(&written[80..])]);
    let (head, problem) = refused(&fixture, &early, 410);
    assert!(head.contains("application/json"), "{head}");
    let told = fixture.entry(0, json!({"requested": 10, "resumed": 50, "reason": "expired"}));
    assert_eq!(problem["gap"], told);
    // The refusal depends on the parameter: without it, the same id resumes.
    let mut without = fixture.resume(&early);
    without
        .upto(&written[50..])
        .assert_heard(&[&gap(10, 50, "expired"), &events(&written[50..])]);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn who_wants_no_gap_is_told_when_nobody_knows() {
    let (mut fixture, id) = read_by_somebody("no-verdict");
    fixture.brokers.proxy(2).set(Fault::Stall);
    fixture.restart(2);
    let (head, problem) = refused(&fixture, &id, 503);
    assert!(head.to_ascii_lowercase().contains("retry-after: 5"), "{head}");
    assert_eq!(problem["status"], 503);
    fixture.brokers.proxy(2).set(Fault::Pass);
    let back = eventually(SOON, "a verdict", || {
        let client = runtime().block_on(Client::connect(fixture.gateway.http, &no_gap(&id)));
        client
            .map_err(|error| error.to_string())
            .and_then(|client| match client.status {
                200 => Ok(client),
                _ => Err(client.head),
            })
    });
    assert!(back.head.contains("text/event-stream"), "{}", back.head);
}

/// Returns the request of a client that resumes with this id and wants no gap.
pub(super) fn no_gap(id: &Value) -> Ask {
    Ask::new(format!("{STREAM}?on_gap=fail")).resume(Some(id.to_string()))
}

/// Returns the status and the problem in the response to such a client.
pub(super) fn answer(fixture: &TableFixture, id: &Value) -> (u16, Value) {
    let (status, _, problem) = answered(fixture, id);
    (status, problem)
}

/// Returns the head and the problem of a response with this status.
pub(super) fn refused(fixture: &TableFixture, id: &Value, status: u16) -> (String, Value) {
    let (told, head, problem) = answered(fixture, id);
    assert_eq!(told, status, "{head}");
    (head, problem)
}

fn answered(fixture: &TableFixture, id: &Value) -> (u16, String, Value) {
    runtime().block_on(async {
        let mut ask = no_gap(id);
        // The client reads the body up to the end of the connection.
        ask.headers.push("Connection: close".to_owned());
        let client = Client::connect(fixture.gateway.http, &ask).await;
        let client = client.expect("an answer");
        let (status, head) = (client.status, client.head.clone());
        assert_ne!(status, 200, "a stream: {head}");
        let body = client.text().await.expect("a body");
        (status, head, serde_json::from_str(&body).expect("JSON"))
    })
}
