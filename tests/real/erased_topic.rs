//! A topic that is deleted: nothing of it stays in memory.

use futures_util::future::join_all;
use riverhead_brokers::{Cluster, eventually, shared};

use crate::{
    alone::erasure::{DELETED, PROMISED, RECORD, SOON, open, traceless, traces},
    following::{FROM_THE_START, follow, plan, start, take},
};

/// It counts as erasure as well.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn of_a_topic_that_was_deleted_nothing_stays_in_memory() {
    let brokers: &Cluster = &shared();
    brokers.create_topic(DROPPED, 1);
    let gateway = start(&traceless(plan(brokers, &[DROPPED])));
    gateway.wait_for_partitions(1, SOON);
    let mut live = [open(&gateway, "", None).await, open(&gateway, "", None).await];
    let mut producer = brokers.producer(DROPPED).record_bytes(RECORD).start();
    let written = producer.send(DELETED as u64);
    producer.flush();
    join_all(live.iter_mut().map(|client| take(client, DELETED))).await;
    let mut late = follow(&gateway, FROM_THE_START, None).await;
    take(&mut late, DELETED).await;
    assert!(
        traces(&gateway, &written) > 0,
        "the test would find what is there"
    );
    drop(producer);
    brokers.delete_topic(DROPPED);
    eventually(PROMISED, "no trace in memory", || {
        match traces(&gateway, &written) {
            0 => Ok(()),
            traces => Err(traces),
        }
    });
}

const DROPPED: &str = "erased-topic";
