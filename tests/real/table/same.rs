//! The log is the one that the client has read.

use riverhead_loadtest::client::Ask;
use serde_json::{Value, json};

use super::{
    fixture::{STREAM, TableFixture},
    listener::events,
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_id_of_this_log_and_epoch_goes_on_with_exactly_the_next_event() {
    let mut fixture = TableFixture::new("same", 1);
    let written = fixture.write(0, 500);
    let mut first = fixture.read_from_start(1);
    first.upto(&written).assert_heard(&[&events(&written)]);
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(1);
        }
        for at in [0, 1, 233, 498] {
            let mut client = fixture.resume(&first.id(written[at]));
            client
                .upto(&written[at + 1..])
                .assert_heard(&[&events(&written[at + 1..])]);
        }
    }
    let mut client = fixture.resume(&first.id(written[499]));
    fixture.write_until_heard(0, &mut client);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_compact_id_goes_on_with_exactly_the_next_event() {
    let mut fixture = TableFixture::new("compact", 3);
    let written: Vec<_> = (0..3)
        .flat_map(|partition| fixture.write(partition, 50))
        .collect();
    let compact = |fixture: &TableFixture, id: &str| {
        let ask = Ask::new(format!("{STREAM}?id=compact"));
        fixture.ask(ask.resume(Some(id.to_owned())))
    };
    let entries = (0..3).map(|partition| fixture.entry(partition, json!({"offset": -2})));
    let mut first = compact(&fixture, &entries.collect::<Value>().to_string());
    first.upto(&written);
    let heard = first.numbers();
    assert_eq!(heard.len(), 150, "{heard:?}");
    for in_memory in [true, false] {
        if !in_memory {
            fixture.restart(3);
        }
        for at in [0, 49, 50, 148] {
            let id = first.text_id(heard[at]);
            assert!(id.starts_with('~') && id.len() <= 128, "{id}");
            let seen = &heard[..=at];
            let rest: Vec<_> = written
                .iter()
                .filter(|record| !seen.contains(&record.n))
                .copied()
                .collect();
            let mut client = compact(&fixture, id);
            client.upto(&rest);
            assert_eq!(client.heard.len(), rest.len(), "behind {id}: {:?}", client.heard);
        }
    }
}
