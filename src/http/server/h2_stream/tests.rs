use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, Waker},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::FutureExt;
use http_body::Body as _;
use tokio::{
    sync::mpsc,
    time::{advance, timeout_at},
};

use super::*;
use crate::http::server::test_socket::connected;

async fn h2_stream() -> Arc<H2Stream> {
    let (_, socket) = connected().await;
    let conn = Arc::new(ConnState::new(socket, None));
    Arc::new(H2Stream::new(&conn, &Arc::default()))
}

/// A body of what the sender sends.
fn body(h2_stream: &Arc<H2Stream>) -> (mpsc::UnboundedSender<Bytes>, ChunkedBody) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::poll_fn(move |context| {
        let data = receiver.poll_recv(context);
        data.map(|data| data.map(Ok::<_, axum::Error>))
    });
    (
        sender,
        ChunkedBody::new(Body::from_stream(frames), Arc::clone(h2_stream)),
    )
}

/// Polls the body as hyper does.
fn next(body: &mut ChunkedBody) -> Poll<Bytes> {
    let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
    polled.map(|frame| frame.unwrap().unwrap().into_data().unwrap())
}

const STALL: Duration = Duration::from_secs(60);

/// Returns after how long the stream is reset, if its body is not polled again.
async fn reset_after(h2_stream: &Arc<H2Stream>) -> Duration {
    let start = Instant::now();
    let never = poll_fn(|_| Poll::<()>::Pending);
    let reset = StallTimeout::new(never, Arc::clone(h2_stream), STALL);
    timeout_at(start + STALL * 10, reset).await.expect("a reset");
    assert_eq!(h2_stream.end_reason(), EndReason::Stalled);
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_within_the_last_piece_is_reset_in_time_and_not_a_heartbeat_later() {
    let h2_stream = h2_stream().await;
    let (sender, mut body) = body(&h2_stream);
    sender.send(vec![0; PIECE].into()).unwrap();
    assert!(next(&mut body).is_ready());
    // h2 has one byte of room: it gets the piece, and hyper polls again.
    assert!(next(&mut body).is_pending());
    assert!(!h2_stream.is_blocked());
    advance(STALL / 4).await;
    sender.send(b":\n"[..].into()).unwrap();
    assert!(next(&mut body).is_ready(), "a heartbeat, which hyper keeps");
    assert!(h2_stream.is_blocked());
    assert_eq!(reset_after(&h2_stream).await, STALL - STALL / 4);
}

#[tokio::test(start_paused = true)]
async fn each_piece_that_the_client_takes_gives_it_time_for_the_next() {
    let h2_stream = h2_stream().await;
    let (sender, mut body) = body(&h2_stream);
    sender.send(vec![0; 4 * PIECE].into()).unwrap();
    for _ in 0..4 {
        assert!(next(&mut body).is_ready());
        advance(STALL * 3 / 4).await;
    }
    assert!(next(&mut body).is_pending());
    assert!(
        StallTimeout::new(poll_fn(|_| Poll::<()>::Pending), Arc::clone(&h2_stream), STALL)
            .now_or_never()
            .is_none()
    );
    advance(STALL * 3).await;
    sender.send(vec![0; 2 * PIECE].into()).unwrap();
    assert!(next(&mut body).is_ready() && next(&mut body).is_ready());
    assert_eq!(reset_after(&h2_stream).await, STALL);
}

#[tokio::test]
async fn what_h2_may_still_hold_keeps_no_large_text_in_memory() {
    let h2_stream = h2_stream().await;
    let (sender, mut body) = body(&h2_stream);
    let text = Bytes::from(vec![7; SEND_BUFFER * 3 + 5]);
    h2_stream.begin_batch(text.len());
    sender.send(text.clone()).unwrap();
    let (mut held, mut bytes) = (std::collections::VecDeque::new(), 0);
    while let Poll::Ready(piece) = next(&mut body) {
        bytes += piece.len();
        held.push_back(piece);
        // What goes beyond this is on its way to the client.
        while held.iter().skip(1).map(Bytes::len).sum::<usize>() >= SEND_BUFFER + PIECE - 1 {
            held.pop_front();
        }
    }
    assert_eq!(bytes, text.len());
    assert!(held.len() > 1 && text.is_unique(), "{} pieces", held.len());
}
