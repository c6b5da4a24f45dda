//! Compaction: the records that an id names may be gone, and so may the following ones.

use std::time::Duration;

use riverhead::sse::SseMessage;
use riverhead_brokers::{Cluster, LogRecord, NewTopic, eventually, shared};
use riverhead_loadtest::gateway::Gateway;

use crate::following::{FROM_THE_START, entry, follow, id, number_of, numbers, plan, start, take};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn an_id_of_a_compacted_record_resumes_without_a_gap() {
    let brokers = shared();
    brokers.create(&NewTopic::with_replicas(TOPIC, &[&[1]]).config("segment.bytes", "1048576"));
    let plan = plan(&brokers, &[TOPIC]);
    let before = start(&plan);
    let mut reader = follow(&before, FROM_THE_START, None).await;
    let mut producer = brokers
        .producer(TOPIC)
        .record_bytes(400)
        .key(|number| format!("{}", number % 50))
        .start();
    producer.send(RECORDS as u64);
    producer.flush();
    let seen = take(&mut reader, RECORDS).await;

    let left = compact(&brokers);
    // A new process has nothing of it in memory, unlike the old one.
    let after = start(&plan);
    let mut places = 0;
    for cut in seen.iter().step_by(RECORDS / 24) {
        places += usize::from(!left.iter().any(|record| record.number() == Some(number_of(cut))));
        resumes_exactly(&after, cut, &left).await;
    }
    assert!(
        places > 12,
        "too few of the ids speak of compacted records: {places}"
    );
}

/// Compacts the existing records, then stops compaction, and returns what is left.
fn compact(brokers: &Cluster) -> Vec<LogRecord> {
    brokers.alter_topic_config(
        TOPIC,
        &[
            ("cleanup.policy", Some("compact")),
            ("min.cleanable.dirty.ratio", Some("0.01")),
            ("max.compaction.lag.ms", Some("500")),
        ],
    );
    eventually(SOON, "a compaction", || {
        brokers.records(TOPIC, 0).len() < RECORDS * 3 / 4
    });
    brokers.alter_topic_config(TOPIC, &[("cleanup.policy", Some("delete"))]);
    let mut last = Vec::new();
    eventually(SOON, "an end of the compaction", || {
        let records = brokers.records(TOPIC, 0);
        let same = records == last;
        last = records;
        same
    });
    last
}

async fn resumes_exactly(gateway: &Gateway, cut: &SseMessage, left: &[LogRecord]) {
    let next = entry(id(cut), TOPIC, 0)["offset"].as_i64().expect("an offset");
    let behind = left.iter().filter(|record| record.offset >= next);
    let expected: Vec<_> = behind.filter_map(LogRecord::number).collect();
    let mut client = follow(gateway, "", Some(id(cut))).await;
    // `numbers` does not accept a gap.
    assert_eq!(
        numbers(&take(&mut client, expected.len()).await),
        expected,
        "behind {next}"
    );
}

const TOPIC: &str = "shapes-compacted";

/// 4 MB: three segments that can be compacted, and the active one.
const RECORDS: usize = 10_000;

const SOON: Duration = Duration::from_secs(60);
