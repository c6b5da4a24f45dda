//! The memory of ten thousand lanes that are mostly idle: one for each tenant of a stream. This test is alone in its process, whose
//! memory it measures.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the test prints its measurements")]
#![allow(unsafe_code, reason = "the allocator's own numbers are read by a call of C")]

use std::{
    future::ready,
    net::Ipv4Addr,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use futures_util::future::BoxFuture;
use riverhead::{
    client::ClientKey,
    event::{Encoding, Headers, Record},
    filter::{FilterBuilder, OnlyBuilder},
    partition::{
        Bounds, History, HistoryError, LogDirectory, Page, PageBuilder, PartitionLog, TopicPartition,
    },
    position::{IdForm, LogTag, Offset, Timestamp},
    subscription::{
        BatchSource, ContentCoding, EventFormat, LaneSubscriber, Lanes, LogSource, StreamView,
        SubscribeRequest,
    },
};
use serde_json::json;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

const TENANTS: usize = 10_000;

/// The partitions of the topic.
const PARTITIONS: i32 = 6;

/// What an idle tenant's lane may take with its only client's place in it, in bytes.
const MOST: usize = 4096;

/// Returns the bytes that are allocated. The resident memory also has what was freed between blocks in use.
fn in_use() -> usize {
    // SAFETY: it only reads the allocator's own numbers, under the allocator's locks.
    let numbers = unsafe { libc::mallinfo() };
    (numbers.uordblks.cast_unsigned() + numbers.hblkhd.cast_unsigned()) as usize
}

/// All records are in memory.
struct MemoryHistory;

impl History for MemoryHistory {
    fn page(
        &self,
        _: &Arc<PartitionLog>,
        _: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(ready(Err(HistoryError::OutOfRange)))
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(ready(Ok(Bounds {
            start: 0,
            end: log.next(),
            epoch: Some(0),
        })))
    }

    fn first_at(
        &self,
        _: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(ready(Ok(Some(0))))
    }
}

fn logs(directory: &LogDirectory) -> Vec<Arc<PartitionLog>> {
    let log = |partition| {
        let partition = TopicPartition {
            topic: "orders".into(),
            partition,
        };
        let log = PartitionLog::new(
            partition,
            LogTag::new("cluster", &[1; 16]),
            Encoding::default(),
            0,
        );
        log.set_leader_epoch(Some(0));
        directory.put(Arc::clone(&log));
        log
    };
    (0..PARTITIONS).map(log).collect()
}

fn write(log: &PartitionLog, tenant: usize) {
    let offset = log.next();
    let mut page = PageBuilder::new(offset, log.encoding());
    let document = format!(
        "{{\"tenant_id\":\"tenant-{tenant}\",\"amount\":7,\"text\":\"{}\"}}",
        "x".repeat(200)
    );
    let pushed = page.push(&Record {
        offset,
        timestamp: 1_790_487_705_415,
        epoch: 0,
        key: None,
        headers: Headers::default(),
        value: Some(document.as_bytes()),
        canary: false,
    });
    pushed.unwrap();
    log.append(page.finish(offset + 1));
}

fn request(tenant: usize) -> SubscribeRequest {
    let claims = json!({ "tenant": format!("tenant-{tenant}") });
    let mut only = OnlyBuilder::default();
    only.stream(
        ["orders"],
        Some("tenant_id = $tenant"),
        claims.as_object().unwrap(),
    )
    .unwrap();
    let mut parts = FilterBuilder::default();
    parts.only(only);
    SubscribeRequest {
        topics: ["orders"].into(),
        position: None,
        ranges: None,
        since: None,
        view: StreamView {
            format: EventFormat::Sse,
            form: IdForm::Json,
            coding: ContentCoding::Identity,
            filter: parts.compile().unwrap(),
            ..StreamView::default()
        },
        client: ClientKey::of(Ipv4Addr::from(0x0a00_0000 + tenant as u32).into()),
        now: 1_790_487_705_415,
    }
}

/// Reads what there is. Returns the number of events.
async fn follow(subscriber: &mut LaneSubscriber) -> u32 {
    let mut events = 0;
    for _ in 0..4 {
        let mut context = Context::from_waker(Waker::noop());
        while let std::task::Poll::Ready(batch) = subscriber.poll_batch(&mut context) {
            events += batch.events;
            subscriber.mark_written();
        }
        yield_now().await;
    }
    events
}

#[test]
fn an_idle_tenant_takes_a_few_kilobytes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = LogDirectory::new();
        let logs = logs(&directory);
        let source = LogSource {
            directory,
            history: Arc::new(MemoryHistory),
        };
        let lanes = Lanes::new(source, 128 << 20, TaskTracker::new());
        // The first ones bring what is needed once.
        let mut all = Vec::with_capacity(TENANTS + 10);
        let mut before = 0;
        for tenant in 0..TENANTS + 10 {
            if tenant == 10 {
                before = in_use();
            }
            let mut subscriber = lanes.subscribe(request(tenant)).unwrap();
            follow(&mut subscriber).await;
            assert!(subscriber.is_in_lane(), "{tenant}");
            all.push(subscriber);
        }
        let joined = in_use().saturating_sub(before) / TENANTS;
        // Each tenant has had some events, and then none for a minute, while others had some.
        for round in 0..3 {
            for (tenant, subscriber) in all.iter_mut().enumerate() {
                write(&logs[(tenant + round) % logs.len()], tenant);
                assert_eq!(follow(subscriber).await, 1, "{tenant}");
                for log in &logs {
                    // What is read lies in the memory of the tail, which is not measured here.
                    while log.evict_oldest() > 0 {}
                }
            }
        }
        for _ in 0..6 {
            write(&logs[0], TENANTS + 11);
            tokio::time::advance(Duration::from_secs(10)).await;
            for subscriber in &mut all {
                follow(subscriber).await;
            }
        }
        let idle = in_use().saturating_sub(before) / TENANTS;
        println!(
            "{joined} bytes when it has joined, {idle} when it has been idle, {} in rings",
            lanes.bytes() / TENANTS
        );
        assert!(joined <= MOST && idle <= MOST, "{joined} and {idle} bytes");
        assert!(all.iter().all(LaneSubscriber::is_in_lane));
    });
}
