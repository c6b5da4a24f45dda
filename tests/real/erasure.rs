//! Records that are deleted from Kafka, as the law may require, are no longer served, and are nowhere in
//! memory, within seconds.

use std::{
    io,
    net::SocketAddr,
    ops::Range,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use riverhead_brokers::{Cluster, eventually, scaled, shared, shared_alone};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::{Gateway, GatewayPlan},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};

use crate::{
    following::{FROM_THE_START, STREAM, follow, id, next, number_of, plan, start, take},
    traces::count_in_memory,
};

const TOPIC: &str = "erased";

/// The records, and those of them that are deleted.
const RECORDS: usize = 600;
const DELETED: usize = 400;

/// Bytes of each record.
const RECORD: usize = 1500;

/// The beginning of every record's value, before its number.
const MARK: &[u8] = b"{\"n\":";

/// The time within which deleted records are no longer served.
const PROMISED: Duration = Duration::from_secs(10);

const SOON: Duration = Duration::from_secs(60);

/// The stall deadline of a socket that has taken a part of a batch.
const STALL: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn what_was_deleted_is_served_no_more_however_it_is_asked_for_and_is_nowhere_in_memory() {
    // It searches all the memory of two processes again and again, and ten seconds are promised.
    let brokers = shared_alone();
    brokers.create_topic(TOPIC, 1);
    let plan = traceless(plan(&brokers, &[TOPIC]));
    let gateways = [start(&plan), start(&plan)];
    let mut producer = brokers.producer(TOPIC).record_bytes(RECORD).start();
    // Each form twice, so that there are lanes.
    let mut live = Vec::new();
    let mut idle = Vec::new();
    let mut packed = Vec::new();
    for gateway in &gateways {
        gateway.wait_for_partitions(1, SOON);
        for form in FORMS {
            live.push(open(gateway, form, None).await);
            live.push(open(gateway, form, None).await);
        }
        for _ in 0..2 {
            packed.push(tokio::spawn(read_packed(gateway.http)));
        }
        idle.push(stuck(gateway, "").await);
    }
    let written = producer.send(RECORDS as u64);
    producer.flush();
    let of_deleted = written.start..written.start + DELETED as u64;
    let read = join_all(live.iter_mut().map(|client| take(client, RECORDS))).await;
    let ids: Vec<_> = read[0].iter().map(|message| id(message).to_owned()).collect();
    for gateway in &gateways {
        // The batches that clients share while they catch up, and a client that stops in the middle of one.
        let mut first = follow(gateway, FROM_THE_START, None).await;
        let mut second = follow(gateway, FROM_THE_START, None).await;
        take(&mut first, RECORDS / 2).await;
        take(&mut second, RECORDS).await;
        idle.push(first);
        idle.push(stuck(gateway, FROM_THE_START).await);
        assert!(
            traces(gateway, &of_deleted) > 0,
            "the test would find what is there"
        );
    }

    brokers.delete_records(TOPIC, 0, DELETED as i64);
    let deleted = Instant::now();
    for gateway in &gateways {
        for form in FORMS {
            for (query, place) in [("", Some(&ids[10])), (FROM_THE_START, None)] {
                refuse_deleted(gateway, form, query, place, &of_deleted, deleted).await;
            }
        }
        refuse_deleted_packed(gateway, &of_deleted, deleted);
        let ask = Ask::new(format!("/v2/stream/{STREAM}?on_gap=fail")).resume(Some(ids[10].clone()));
        let refused = Client::connect(gateway.http, &ask).await.expect("an answer");
        assert_eq!(refused.status, 410, "{}", refused.head);
    }
    println!("served no more {:?} after the deletion", deleted.elapsed());
    for gateway in &gateways {
        // A batch that a socket has taken in part is kept until the stall deadline.
        eventually(PROMISED + STALL, "no trace in memory", || {
            match traces(gateway, &of_deleted) {
                0 => Ok(()),
                traces => Err(traces),
            }
        });
    }
    println!("in no memory {:?} after the deletion", deleted.elapsed());

    let last = producer.send(1).start;
    for client in &mut live {
        assert_eq!(number_of(&next(client).await), last, "complete clients continue");
    }
    // A client in the middle receives a gap for what is gone, or was cut and reconnects.
    drop(idle);
    packed.iter().for_each(JoinHandle::abort);
}

/// The queries of streams.
const FORMS: [&str; 3] = ["", "&filter=n%3E%3D0", "&id=compact"];

/// Overwrites freed memory, so that anything found in memory is still in use.
fn traceless(plan: GatewayPlan) -> GatewayPlan {
    plan.set("GLIBC_TUNABLES", "glibc.malloc.perturb=85")
        .set("RIVERHEAD_HTTP__HEARTBEAT", "1s")
        .set("RIVERHEAD_HTTP__STALL_TIMEOUT", &format!("{}s", STALL.as_secs()))
}

async fn open(gateway: &Gateway, form: &str, place: Option<&String>) -> Client {
    follow(
        gateway,
        &format!("?canary=false{form}"),
        place.map(String::as_str),
    )
    .await
}

/// Returns a client that reads nothing except the head.
async fn stuck(gateway: &Gateway, query: &str) -> Client {
    let mut ask = Ask::new(format!("/v2/stream/{STREAM}{query}"));
    ask.receive_buffer = Some(4096);
    Client::connect(gateway.http, &ask).await.expect("an answer")
}

/// Reads repeatedly until no deleted record arrives any more, which takes seconds.
async fn refuse_deleted(
    gateway: &Gateway,
    form: &str,
    query: &str,
    place: Option<&String>,
    of_deleted: &Range<u64>,
    deleted: Instant,
) {
    loop {
        let query = match query {
            "" => format!("?canary=false{form}"),
            query => format!("{query}{form}"),
        };
        let mut client = follow(gateway, &query, place.map(String::as_str)).await;
        let first = next(&mut client).await;
        let second = match first.event.as_str() {
            "gap" => {
                let gap: Value = serde_json::from_str(&first.data).expect("JSON");
                assert_eq!(gap["resumed"], DELETED as i64, "{gap}");
                next(&mut client).await
            }
            _ => first,
        };
        let number = number_of(&second);
        if number >= of_deleted.end {
            assert_eq!(number, of_deleted.end, "{query}");
            return;
        }
        assert!(
            deleted.elapsed() < scaled(PROMISED),
            "{query} is still given record {number}"
        );
    }
}

/// Reads the live stream as gzip, so that its lane has a window.
async fn read_packed(server: SocketAddr) -> io::Result<u64> {
    let mut socket = TcpStream::connect(server).await?;
    let request = format!("GET /v2/stream/{STREAM}?encoding=gzip HTTP/1.1\r\nHost: {server}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await
}

/// The same as [`refuse_deleted`] for gzip, as curl reads it.
fn refuse_deleted_packed(gateway: &Gateway, of_deleted: &Range<u64>, deleted: Instant) {
    let url = format!(
        "http://{}/v2/stream/{STREAM}{FROM_THE_START}&encoding=gzip",
        gateway.http
    );
    loop {
        let curl = Command::new("curl")
            .args(["-sN", "--compressed", "--max-time", "2", &url])
            .output()
            .expect("curl");
        let (mut came, mut is_served) = (false, false);
        for number in numbers_in(&curl.stdout) {
            came |= number >= of_deleted.end;
            is_served |= of_deleted.contains(&number);
        }
        if came && !is_served {
            return;
        }
        assert!(
            deleted.elapsed() < scaled(PROMISED),
            "came: {came}, served: {is_served}"
        );
    }
}

/// Returns how many copies of deleted records are in the memory of the process.
fn traces(gateway: &Gateway, of_deleted: &Range<u64>) -> usize {
    count_in_memory(gateway.pid(), |bytes| {
        numbers_in(bytes)
            .filter(|number| of_deleted.contains(number))
            .count()
    })
}

/// Returns the numbers of the records in these bytes.
fn numbers_in(bytes: &[u8]) -> impl Iterator<Item = u64> {
    memchr::memmem::find_iter(bytes, MARK).filter_map(|at| {
        let rest = &bytes[at + MARK.len()..bytes.len().min(at + MARK.len() + 20)];
        let digits = rest.split(|byte| *byte == b',').next()?;
        str::from_utf8(digits).ok()?.parse().ok()
    })
}

/// A deleted topic counts as erasure as well.
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
