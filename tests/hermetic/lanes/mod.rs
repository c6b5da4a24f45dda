//! Lanes, with a model of the brokers. Time is simulated.

mod joining;
mod lifecycle;
mod schedules;
mod sharing;

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use riverhead::{
    sse::{SseMessage, SseReader},
    subscription::{Batch, BatchLimit, BatchSource, LaneSubscriber, Subscription},
};
use tokio::{task::yield_now, time::timeout};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

async fn others(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

async fn within(batch: impl Future<Output = Batch>) -> Option<Bytes> {
    timeout(PATIENCE, batch).await.ok().map(|batch| batch.bytes)
}

async fn next(subscriber: &mut LaneSubscriber) -> Option<Bytes> {
    within(poll_fn(|context| subscriber.poll_batch(context))).await
}

/// Returns everything that a follower receives.
async fn follow(subscriber: &mut LaneSubscriber) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = next(subscriber).await {
        all.extend(bytes);
    }
    all
}

/// Returns everything that a subscription receives.
async fn collect(subscription: &mut Subscription) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = within(poll_fn(|context| subscription.poll_batch(context))).await {
        all.extend(bytes);
    }
    all
}

fn read(bytes: &[u8]) -> Vec<SseMessage> {
    let mut reader = SseReader::new(1024 * 1024);
    reader.push(bytes).unwrap();
    std::iter::from_fn(|| reader.next_message()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let number =
        |message: SseMessage| serde_json::from_str::<serde_json::Value>(&message.data).unwrap()["n"].as_u64();
    read(bytes).into_iter().filter_map(number).collect()
}

/// More than there ever is.
const PLENTY: BatchLimit = BatchLimit {
    batches: usize::MAX,
    bytes: usize::MAX,
};

/// The number of partitions at the start. Schedules add up to two more.
const PARTITIONS: usize = 2;

/// Longer than any pause in the model. It takes no real time, because the clock is simulated.
const PATIENCE: Duration = Duration::from_secs(20);
