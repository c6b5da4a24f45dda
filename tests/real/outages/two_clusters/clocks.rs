//! Brokers that set the timestamps: the same record has different times in the clusters.

use riverhead_loadtest::numbers::Truth;

use super::fixture::TwoClusters;
use crate::{
    following::{FROM_THE_START, STREAM},
    outages::crowd::{ReaderGroup, ask},
};

/// `b` is the source, and `a` is a mirror that is far behind: by the time of a record in `a`, everything in
/// `b` is older.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_move_from_a_mirror_that_is_behind_goes_further_back_than_its_brokers_clocks_say() {
    let two = TwoClusters::start("two-clocks", [2; 2]);
    for cluster in [&*two.a, &two.b] {
        cluster.alter_topic_config("two-clocks", &[("message.timestamp.type", Some("LogAppendTime"))]);
    }
    let mut source = two.writer(&two.b).start();
    source.send(300);
    source.flush();
    let mut mirror = two.writer(&two.a).start();
    mirror.send(150);
    assert_eq!(mirror.finish().len(), 150);
    let mut clients = ReaderGroup::once();
    clients.join(&two.gateway, &ask(STREAM, FROM_THE_START), 10).await;
    clients.wait_for(150);

    two.a
        .broker_ids()
        .into_iter()
        .for_each(|broker| two.a.freeze(broker));
    source.send(100);
    let truth = Truth::of(&[source.finish()]);
    clients.wait_for(400);
    two.until_moved(&[
        "two-clocks: brokers set the timestamps; the move repeated events of failover_overlap too",
    ]);
    for reading in clients.gets(&truth).await {
        assert_eq!(reading.connects, 1);
        assert_eq!(reading.got.gaps.len(), 2, "{:?}", reading.got.gaps);
        assert_eq!(reading.repeats, 150, "all that the overlap holds");
    }
}
