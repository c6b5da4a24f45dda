//! Checkpoints: where a client without an event stands.

use std::{future::poll_fn, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{CHECKPOINT, DeliveryFixture, FAR, HEARTBEAT_AFTER, batch_run, fixture, text};
use crate::{metrics, subscription::ContentCoding};

const CHECKPOINT_AFTER: Duration = Duration::from_secs(10);

impl DeliveryFixture {
    /// Returns the same fixture for a client that wants a checkpoint.
    fn telling(self) -> Self {
        Self {
            delivery: self.delivery.with_checkpoint_after(Some(CHECKPOINT_AFTER)),
            ..self
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_an_event_is_told_once_where_it_stands() {
    let mut fixture = fixture(|_| {}).telling();
    fixture.next().await;
    assert_eq!(fixture.timed().await, (text(CHECKPOINT), CHECKPOINT_AFTER));
    for _ in 0..9 {
        assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_had_an_id_is_told_nothing_else() {
    let batch_run = batch_run([b"had", b"data: 1\n\n", b"data: 2\n\n"]);
    for by_stretch in [false, true] {
        let mut fixture = fixture(|_| {}).telling();
        fixture.next().await;
        if by_stretch {
            assert_eq!(fixture.delivery.take_run(&batch_run), Some(1));
        } else {
            fixture.source.put("data: 1\n\n", 1, 0);
            fixture.next().await;
        }
        assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_no_id_and_where_it_stands_is_told_as_soon_as_it_is_known() {
    let mut fixture = fixture(|_| {}).telling();
    fixture.next().await;
    fixture.source.put("event: gap\n\n", 0, 1);
    fixture.next().await;
    fixture.source.lost.store(true, Ordering::Relaxed);
    assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    fixture.source.lost.store(false, Ordering::Relaxed);
    assert_eq!(fixture.timed().await, (text(CHECKPOINT), Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_its_first_event_says_where_it_stood() {
    let mut fixture = fixture(|_| {}).telling();
    fixture.next().await;
    let drain = tokio::spawn(fixture.signal.drain(Duration::from_secs(2)));
    let mut delivery = fixture.delivery;
    let mut next = async || {
        let next = poll_fn(|context| delivery.poll_next(context, false)).await;
        next.map(|bytes| bytes.whole(Bytes::from))
    };
    assert_eq!(next().await, text(CHECKPOINT));
    assert_eq!(next().await, None);
    drop((delivery, fixture.watch));
    drain.await.unwrap();
    let metrics = metrics::render(&fixture.registry).unwrap();
    assert!(metrics.contains("reason=\"drained\"} 1\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_socket_is_told_nothing_and_its_stream_ends_all_the_same() {
    let mut fixture = fixture(|_| {}).telling();
    fixture.next().await;
    let blocked = poll_fn(|context| fixture.delivery.poll_next(context, true));
    assert!(timeout(FAR, blocked).await.is_err());
    let drain = tokio::spawn(fixture.signal.drain(Duration::from_secs(2)));
    let mut delivery = fixture.delivery;
    let end = poll_fn(|context| delivery.poll_next(context, true));
    assert_eq!(timeout(FAR, end).await, Ok(None));
    drop((delivery, fixture.watch));
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_it_stands_is_part_of_a_packed_stream() {
    use std::io::Read;

    let fixture = fixture(|_| {}).telling();
    let drain = tokio::spawn(fixture.signal.drain(Duration::from_secs(60)));
    let mut delivery = fixture.delivery.with_coding(ContentCoding::Gzip);
    let mut wire = Vec::new();
    while let Some(bytes) = poll_fn(|context| delivery.poll_next(context, false)).await {
        wire.extend_from_slice(&bytes.whole(Bytes::from));
    }
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&*wire)
        .read_to_string(&mut plain)
        .unwrap();
    assert!(plain.starts_with(&format!(":ok\n\n{CHECKPOINT}")), "{plain}");
    drop((delivery, fixture.watch));
    drain.await.unwrap();
}
