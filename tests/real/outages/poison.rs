//! Wikimedia, 2023: one bad event delayed a batch. Here it is skipped alone.

use riverhead_brokers::{Cluster, NewTopic, RawRecord, shared, slack};
use riverhead_loadtest::{numbers::Truth, reading::Reading, stopwatch::Sent};

use super::crowd::{ReaderGroup, SOON, WARM_UP, ask, lap, noting};
use crate::{
    following::{FROM_THE_START, STREAM, plan, start},
    shapes::told,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_bad_record_is_skipped_alone_and_its_neighbours_hardly_notice() {
    let brokers = shared();
    let cluster = brokers.get();
    cluster.create(&NewTopic::with_replicas(TOPIC, &[&[1]]).config("max.message.bytes", "12000000"));
    let gateway = start(&plan(&brokers, &[TOPIC]));
    let sent = Sent::new(100_000, 0);
    let mut clients = ReaderGroup::timed(&sent);
    clients.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    let flow = noting(cluster.producer(TOPIC), 0, &sent)
        .rate(100.0)
        .start()
        .run();
    clients.wait_for(WARM_UP);
    sent.next_lap();
    clients.wait_for(WARM_UP + 400);
    let bad = poison(cluster, |next| match next {
        Next::Kind => sent.next_lap(),
        Next::Record => clients.wait_for(flow.acknowledged() + 20),
    });
    let readings = clients.gets_uncut(&Truth::of(&[flow.finish()])).await;
    told(&gateway, TOPIC, &bad);
    noticed(&readings);
}

/// What follows a bad record.
enum Next {
    Kind,
    Record,
}

/// Writes some records of each kind among good ones, one kind after the other. Returns the offset of each
/// that is counted, with its reason.
fn poison(cluster: &Cluster, before: impl Fn(Next)) -> Vec<(i64, &'static str)> {
    let producer = cluster.producer(TOPIC).property("message.max.bytes", "12000000");
    let mut producer = producer.start();
    let mut bad = Vec::new();
    for (_, value, reason) in kinds() {
        before(Next::Kind);
        for _ in 0..OF_EACH {
            let value = value.as_deref();
            let offset = producer.send_raw(&RawRecord {
                value,
                ..RawRecord::default()
            });
            bad.extend(reason.map(|reason| (offset, reason)));
            before(Next::Record);
        }
    }
    bad
}

type Kind = (&'static str, Option<Vec<u8>>, Option<&'static str>);

/// A null is skipped, but is not bad. Five megabytes are large, but still an event.
fn kinds() -> [Kind; 5] {
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    let big = format!(r#"{{"big":"{}"}}"#, "x".repeat(5 << 20));
    let invalid = b"{\"n\":\"\xff\xfe\"}".to_vec();
    [
        ("not UTF-8", Some(invalid), Some("not_utf8")),
        ("100,000 deep", Some(deep.into_bytes()), Some("too_deep")),
        ("null", None, None),
        ("not JSON", Some(b"not json".to_vec()), Some("not_json")),
        ("5 MB", Some(big.into_bytes()), None),
    ]
}

/// On an idle machine the difference is some milliseconds. Here other work may run meanwhile.
fn noticed(readings: &[Reading]) {
    let without = lap(readings, 1);
    println!("neighbours of none:  {without}");
    for (number, (name, ..)) in kinds().iter().enumerate() {
        let with = lap(readings, 2 + number);
        println!("neighbours of {name}: {with}");
        assert!(
            with.count > 0 && with.p99 < (10.0 * without.p99).max(3_000.0 * slack()),
            "{name}"
        );
        assert!(with.max < SOON.as_secs_f64() * 1_000.0);
    }
}

/// Bad records of each kind.
const OF_EACH: usize = 4;

const TOPIC: &str = "poison";
