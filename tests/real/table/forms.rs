//! Ids without a proof, or with another one: those of EventStreams' clients, and those of other clusters.

use riverhead::position::LogTag;
use riverhead_brokers::Acked;
use riverhead_loadtest::client::Ask;
use serde_json::{Value, json};

use super::{
    fixture::{STREAM, TableFixture, gateway, now, time_of},
    listener::{Listener, events, gap},
};

/// Creates a hundred records, each with a different timestamp. Runs the check while the gateway has them in
/// memory, and again without.
fn a_hundred_records(topic: &str, check: impl Fn(&TableFixture, &[Acked])) {
    let mut fixture = TableFixture::new(topic, 1);
    let written = fixture.write_spaced(0, 100);
    fixture.read_from_start(1).upto(&written);
    check(&fixture, &written);
    fixture.restart(1);
    check(&fixture, &written);
}

/// Returns what a client with this id receives, up to the end of these records.
fn resumed(fixture: &TableFixture, fields: Value, rest: &[Acked]) -> Listener {
    let mut client = fixture.resume(&fixture.id(fields));
    client.upto(rest);
    client
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn only_a_timestamp_is_from_that_time_on_and_never_a_gap() {
    a_hundred_records("since", |fixture, written| {
        for (time, from) in [
            (time_of(written[70].n), 70),
            (time_of(written[70].n) + 1, 71),
            (time_of(written[0].n) - 1000, 0),
        ] {
            let client = resumed(fixture, json!({"timestamp": time}), &written[from..]);
            client.assert_heard(&[&events(&written[from..])]);
            let mut client = fixture.ask(Ask::new(format!("{STREAM}?since={time}")));
            client
                .upto(&written[from..])
                .assert_heard(&[&events(&written[from..])]);
        }
    });
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_time_to_come_is_the_end() {
    let fixture = TableFixture::new("to-come", 1);
    fixture.write_spaced(0, 100);
    let mut client = fixture.resume(&fixture.id(json!({"timestamp": now() + 3_600_000})));
    fixture.write_until_heard(0, &mut client);
}

/// As a producer writes them whose clock is half an hour ahead of ours.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn records_that_bear_a_time_to_come_are_found_by_it() {
    let mut fixture = TableFixture::new("ahead", 1);
    fixture.write_spaced(0, 50);
    let ahead = now() + 1_800_000;
    let written = fixture.write_timed(0, 10, move |_| ahead);
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(1);
        }
        for ask in [
            Ask::new(format!("{STREAM}?since={ahead}")),
            Ask::new(STREAM).resume(Some(fixture.id(json!({"timestamp": ahead})).to_string())),
        ] {
            fixture.ask(ask).upto(&written).assert_heard(&[&events(&written)]);
        }
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn records_without_a_time_are_a_part_of_all_there_is() {
    let mut fixture = TableFixture::new("timeless", 1);
    let timeless = fixture.write_timed(0, 5, |_| -1);
    let timed = fixture.write_spaced(0, 20);
    let all = [&timeless[..], &timed[..]].concat();
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(1);
        }
        for (since, expected) in [(0, &all[..]), (1, &all[..]), (time_of(timed[7].n), &timed[7..])] {
            fixture
                .ask(Ask::new(format!("{STREAM}?since={since}")))
                .upto(expected)
                .assert_heard(&[&events(expected)]);
        }
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn only_an_offset_is_exact_in_range() {
    a_hundred_records("offset", |fixture, written| {
        for (offset, from) in [(-2, 0), (0, 0), (41, 41), (99, 99)] {
            let client = resumed(fixture, json!({"offset": offset}), &written[from..]);
            client.assert_heard(&[&events(&written[from..])]);
        }
    });
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn minus_one_bare_names_and_an_empty_header_are_from_now_on() {
    let mut fixture = TableFixture::new("now", 2);
    fixture.write(0, 10);
    fixture.write(1, 10);
    let name = fixture.topic.clone();
    let minus_one = json!([
        fixture.entry(0, json!({"offset": -1})),
        fixture.entry(1, json!({"offset": -1}))
    ]);
    let ids = [
        minus_one.to_string(),
        json!([name]).to_string(),
        json!(name).to_string(),
        String::new(),
        "  ".to_owned(),
    ];
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(2);
        }
        for id in &ids {
            let mut client = fixture.ask(Ask::new(STREAM).resume(Some(id.clone())));
            fixture.write_until_heard(1, &mut client);
        }
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn without_a_log_the_timestamp_is_the_proof() {
    a_hundred_records("proof", |fixture, written| {
        let good = json!({"offset": 40, "timestamp": time_of(written[39].n)});
        resumed(fixture, good, &written[40..]).assert_heard(&[&events(&written[40..])]);
        let bad = json!({"offset": 40, "timestamp": time_of(written[70].n)});
        resumed(fixture, bad, &written[70..])
            .assert_heard(&[&gap(40, 70, "unproven"), &events(&written[70..])]);
    });
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_id_of_another_cluster_goes_by_its_timestamp_and_without_one_from_the_end() {
    let foreign = LogTag::new("elsewhere", &[0; 16]).to_string() + ".3";
    a_hundred_records("foreign", |fixture, written| {
        let timed = json!({"offset": 70_000, "timestamp": time_of(written[70].n), "log": foreign});
        resumed(fixture, timed, &written[70..])
            .assert_heard(&[&gap(70_000, 70, "other_cluster"), &events(&written[70..])]);
    });
    let fixture = TableFixture::new("foreign-untimed", 1);
    fixture.write(0, 100);
    let mut client = fixture.resume(&fixture.id(json!({"offset": 7, "log": foreign})));
    client.upto_gap();
    let written = fixture.write(0, 5);
    client
        .upto(&written)
        .assert_heard(&[&gap(7, 100, "other_cluster"), &events(&written)]);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_topic_that_the_id_lacks_starts_at_the_newest_time_of_the_id() {
    let mut fixture = TableFixture::new("known", 1);
    fixture.brokers.create_topic("lacked", 1);
    let known = fixture.write_spaced(0, 10);
    let id = fixture.read_from_start(1).upto(&known).id(known[9]);
    fixture.topic = "lacked".to_owned();
    // Numbers increase, and times with them: these are newer than what the id has seen, and those with the
    // current time are newer still.
    let lacked = fixture.write_spaced(0, 10);
    fixture.gateway = gateway(&fixture.brokers, &["known", "lacked"], 2);
    fixture
        .resume(&id)
        .upto(&lacked)
        .assert_heard(&[&events(&lacked)]);
    let mut id_without_a_time = id.clone();
    id_without_a_time[0]
        .as_object_mut()
        .expect("an entry")
        .remove("timestamp");
    let mut client = fixture.resume(&id_without_a_time);
    fixture.write_until_heard(0, &mut client);
}
