//! The log was replaced, or has lost what the client needs.

use riverhead_brokers::{Replacement, Truncation, shared};
use serde_json::json;

use super::{
    fixture::TableFixture,
    listener::{Heard, events, gap},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_expired_id_goes_on_at_the_log_start_and_is_told() {
    let mut fixture = TableFixture::new("expired", 1);
    let written = fixture.write(0, 500);
    let mut first = fixture.read_from_start(1);
    let ids: Vec<_> = {
        first.upto(&written);
        [9, 298, 299, 300].map(|at| first.id(written[at])).into()
    };
    fixture.brokers.delete_records("expired", 0, 300);
    fixture.restart(1);
    let rest = &written[300..];
    for (id, requested) in [(&ids[0], 10), (&ids[1], 299)] {
        let mut client = fixture.resume(id);
        client
            .upto(rest)
            .assert_heard(&[&gap(requested, 300, "expired"), &events(rest)]);
    }
    let mut client = fixture.resume(&ids[2]);
    client.upto(rest).assert_heard(&[&events(rest)]);
    let mut client = fixture.resume(&ids[3]);
    client.upto(&rest[1..]).assert_heard(&[&events(&rest[1..])]);
    let mut client = fixture.resume(&fixture.id(json!({"offset": 10})));
    client
        .upto(rest)
        .assert_heard(&[&gap(10, 300, "expired"), &events(rest)]);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_id_ahead_of_its_own_log_waits_and_others_flow() {
    let mut fixture = TableFixture::new("ahead", 2);
    let (zero, one) = (fixture.write(0, 100), fixture.write(1, 100));
    let mut first = fixture.read_from_start(2);
    first.upto(&zero).upto(&one);
    let mut id = first.last_id();
    assert_eq!(id[0]["offset"], 100);
    id[0]["offset"] = json!(103);
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(2);
        }
        let mut client = fixture.resume(&id);
        let flows = fixture.write(1, 10);
        client.upto(&flows);
        let comes = fixture.write(0, 5);
        client.upto(&comes[3..]);
        client.assert_heard(&[&events(&flows), &events(&comes[3..])]);
        id = client.last_id();
        id[0]["offset"] = json!(id[0]["offset"].as_i64().expect("an offset") + 3);
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_unproven_offset_past_the_end_goes_on_at_the_end_and_is_told() {
    let fixture = TableFixture::new("past-end", 1);
    let written = fixture.write(0, 100);
    let mut first = fixture.read_from_start(1);
    let id = first.upto(&written).id(written[99]);
    let log = id[0]["log"].as_str().expect("a log");
    let (tag, _) = log.rsplit_once('.').expect("an epoch");
    let mut end = 100;
    for fields in [json!({"offset": 9_999}), json!({"offset": 9_999, "log": tag})] {
        let mut client = fixture.resume(&fixture.id(fields));
        client.upto_gap();
        let written = fixture.write(0, 5);
        client
            .upto(&written)
            .assert_heard(&[&gap(9_999, end, "past_end"), &events(&written)]);
        end += 5;
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_recreated_topic_that_is_shorter_is_read_from_its_start() {
    recreated("recreated-shorter-table", 100);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_recreated_topic_that_is_longer_is_read_from_its_start() {
    recreated("recreated-longer-table", 900);
}

/// For a client that stays connected, and for one that reconnects.
fn recreated(topic: &str, records: u64) {
    let mut fixture = TableFixture::new(topic, 1);
    let old = fixture.write(0, 500);
    let mut live = fixture.read_from_start(1);
    let id = live.upto(&old).id(old[499]);
    fixture.brokers.delete_topic(topic);
    fixture.brokers.create_topic(topic, 1);
    let new = fixture.write(0, records);
    live.upto_gap();
    let at = live.heard.len() - 1;
    let (before, told) = (live.heard[..at].to_vec(), live.heard[at].clone());
    // Until the gateway refreshes its metadata, records of a longer log at the next offsets pass as the old
    // log's.
    let passed = &before[500..];
    assert!(
        before.starts_with(&events(&old)) && events(&new).ends_with(passed),
        "{passed:?}"
    );
    assert_eq!(vec![told], gap(500 + passed.len() as i64, 0, "recreated"));
    live.heard.clear();
    live.upto(&new).assert_heard(&[&events(&new)]);
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(1);
        }
        let mut client = fixture.resume(&id);
        client
            .upto(&new)
            .assert_heard(&[&gap(500, 0, "recreated"), &events(&new)]);
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_partition_that_the_recreated_topic_lacks_is_told() {
    let fixture = TableFixture::new("recreated-narrower", 2);
    let old = [0, 1].map(|partition| fixture.write(partition, 20));
    let mut live = fixture.read_from_start(2);
    let id = live.upto(&old[0]).upto(&old[1]).last_id();
    live.heard.clear();
    fixture.brokers.delete_topic("recreated-narrower");
    fixture.brokers.create_topic("recreated-narrower", 1);
    let new = fixture.write(0, 10);
    let gone = Heard::Gap(1, Some(20), None, "partition_gone".to_owned());
    for client in [&mut live, &mut fixture.resume(&id)] {
        client.upto(&new);
        assert_eq!(client.heard_of(&new), events(&new));
        client.heard.retain(|heard| matches!(heard, Heard::Gap(..)));
        client.heard.sort();
        client.assert_heard(&[&gap(20, 0, "recreated"), std::slice::from_ref(&gone)]);
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_truncated_log_that_is_shorter_goes_on_at_the_first_record_of_the_newer_epoch() {
    truncated("cut-shorter", Replacement::Shorter);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_truncated_log_that_is_longer_goes_on_at_the_first_record_of_the_newer_epoch() {
    truncated("cut-longer", Replacement::Longer);
}

/// For a client that stays connected, and for clients that reconnect to this gateway and to another one.
fn truncated(topic: &str, replacement: Replacement) {
    let brokers = shared();
    let truncation = Truncation::prepare(brokers.get(), topic);
    let mut fixture = TableFixture::over(brokers, topic, 1);
    let (kept, lost) = (truncation.kept.clone(), truncation.lost.clone());
    let mut live = fixture.read_from_start(1);
    live.upto(&lost);
    let mut new = truncation.finish(replacement);
    live.upto_gap();
    let mut behind = fixture.resume(&live.id(lost[499]));
    behind.upto_gap();
    new.extend(fixture.write(0, 3));
    live.upto(&new).assert_heard(&[
        &events(&kept),
        &events(&lost),
        &gap(600, 100, "truncated"),
        &events(&new),
    ]);
    behind
        .upto(&new)
        .assert_heard(&[&gap(600, 100, "truncated"), &events(&new)]);
    for again in [false, true] {
        if again {
            fixture.restart(1);
        }
        for (record, requested) in [(lost[0], 101), (lost[249], 350), (lost[499], 600)] {
            let mut client = fixture.resume(&live.id(record));
            client
                .upto(&new)
                .assert_heard(&[&gap(requested, 100, "truncated"), &events(&new)]);
        }
        for at in [49, 99] {
            let mut client = fixture.resume(&live.id(kept[at]));
            client
                .upto(&new)
                .assert_heard(&[&events(&kept[at + 1..]), &events(&new)]);
        }
        let mut client = fixture.resume(&live.id(new[0]));
        client.upto(&new[1..]).assert_heard(&[&events(&new[1..])]);
    }
}
