//! Misbehaving clients against an endless stream, over both sinks, with TLS and without.

mod fixture;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use self::fixture::{ConnectionFixture, EVENT, LARGE_HEADER, SECOND, Way, ask, until_blocked};
use super::{
    test_client::{is_tls, set_zero_linger},
    *,
};
use crate::{
    http::{
        server::test_socket::connected,
        settings::Sink::{Body, Socket},
    },
    metrics,
};

async fn a_client_that_does_not_read_is_reset_and_the_log_says_why(way: Way) {
    let fixture = ConnectionFixture::new(way, Duration::from_millis(300));
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    timeout(10 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("stalled");
    let mut rest = Vec::new();
    let error = client.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

async fn a_client_that_reads_now_and_then_keeps_its_stream(way: Way) {
    let fixture = ConnectionFixture::new(way, Duration::from_millis(400));
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    let start = Instant::now();
    let mut some = vec![0; 8 * 1024 * 1024];
    // Three times the deadline, never a deadline without a byte.
    while start.elapsed() < Duration::from_millis(1200) {
        client.read_exact(&mut some).await.unwrap();
        // Nothing is waited for: this is how the client reads.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!served.is_finished());
    drop(client);
    timeout(10 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("client_closed");
}

async fn a_client_that_pauses_costs_no_buffer_of_ours_and_misses_nothing(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, _served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    let taken = until_blocked(&fixture).await;
    // The kernels of both ends hold part of it. All that was taken, and 200 events more, must arrive.
    let mut read = Vec::new();
    let mut some = vec![0; 64 * 1024];
    while read.len() < (taken + 200) * EVENT {
        let bytes = client.read(&mut some).await.unwrap();
        assert!(bytes > 0);
        read.extend_from_slice(&some[..bytes]);
    }
    let text = String::from_utf8(read).unwrap();
    let numbers: Vec<usize> = text
        .split("data: ")
        .skip(1)
        .filter_map(|event| event.get(..10)?.parse().ok())
        .collect();
    assert!(numbers.len() > taken);
    assert!(
        numbers.iter().copied().eq(0..numbers.len()),
        "each once, in order"
    );
}

async fn every_event_is_one_chunk(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, _served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    let mut read = vec![0; 20 * EVENT];
    client.read_exact(&mut read).await.unwrap();
    let text = String::from_utf8(read).unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let events: Vec<_> = body.split_inclusive("\n\n\r\n").collect();
    let (last, whole) = events.split_last().unwrap();
    assert!(whole.len() > 10 && !last.is_empty());
    for event in whole {
        let (size, chunk) = event.split_once("\r\n").unwrap();
        assert_eq!(usize::from_str_radix(size, 16).unwrap() + 2, chunk.len());
    }
}

async fn a_head_that_the_socket_does_not_take_at_once_comes_whole(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, _served) = fixture.connect_narrow().await;
    ask(&mut client, "/large").await;
    fixture.until_open().await;
    let mut read = vec![0; LARGE_HEADER + 4 * EVENT];
    client.read_exact(&mut read).await.unwrap();
    let text = String::from_utf8(read).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&"x".repeat(LARGE_HEADER)));
    assert!(body.starts_with("5\r\n:ok\n\n\r\n"), "{}", &body[..20]);
    assert!(body[10..].contains("\r\ndata: 0000000000 xxx"));
}

async fn a_reset_before_the_head_is_out_leaves_nothing_behind(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, served) = fixture.connect_narrow().await;
    ask(&mut client, "/large").await;
    fixture.until_open().await;
    set_zero_linger(&client);
    drop(client);
    timeout(5 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("client_closed");
    assert_eq!(fixture.taken(), 0, "no event before the head");
}

async fn a_head_that_is_never_read_stalls(way: Way) {
    let fixture = ConnectionFixture::new(way, Duration::from_millis(300));
    let (mut client, served) = fixture.connect_narrow().await;
    ask(&mut client, "/large").await;
    timeout(10 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("stalled");
    drop(client);
}

async fn a_reset_is_noticed_as_a_close_is(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    until_blocked(&fixture).await;
    set_zero_linger(&client);
    drop(client);
    timeout(5 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("client_closed");
}

async fn a_client_that_closes_its_side_gets_its_answer_but_no_stream(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    for (target, end) in [("/", "\r\n\r\nshort"), ("/stream", "\n\n\r\n")] {
        let (mut client, served) = fixture.connect().await;
        ask(&mut client, target).await;
        client.shutdown().await.unwrap();
        let mut text = Vec::new();
        let end_of_it = timeout(5 * SECOND, client.read_to_end(&mut text)).await.unwrap();
        // Who has sent close_notify gets none for a stream.
        assert!(end_of_it.is_ok() || is_tls(&client) && target == "/stream");
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{target}");
        assert!(text.contains(end), "{target}");
        timeout(5 * SECOND, served).await.unwrap().unwrap();
    }
}

async fn a_head_that_does_not_come_in_time_is_not_waited_for(way: Way) {
    let fixture = ConnectionFixture::with(way, 60 * SECOND, 2 * SECOND, false);
    let (mut client, served) = fixture.connect().await;
    let trickle = async {
        for byte in "GET / HTTP/1.1\r\nhost: test\r\nx: "
            .bytes()
            .chain(std::iter::repeat(b'x'))
        {
            if client.write_all(&[byte]).await.is_err() {
                return;
            }
            // Nothing is waited for: this is how the client writes.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = timeout(20 * SECOND, trickle).await;
    assert!(
        closed.is_ok(),
        "the deadline is for the whole head, not for each byte"
    );
    timeout(5 * SECOND, served).await.unwrap().unwrap();
}

async fn a_panic_of_a_stream_gives_its_place_back(way: Way) {
    let fixture = ConnectionFixture::with(way, 60 * SECOND, SECOND, true);
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    timeout(5 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("panicked");
    let text = metrics::render(&fixture.registry).unwrap();
    assert!(text.contains("riverhead_http_panics_total 1\n"), "{text}");
}

#[tokio::test]
async fn a_connection_keeps_little_in_its_task() {
    let fixture = ConnectionFixture::new(Way(Body, false), SECOND);
    let (client, socket) = connected().await;
    let peer = client.local_addr().unwrap();
    let connection_guard = ConnectionGuard::new(&fixture.metrics, TaskTracker::new().token());
    let connection = serve(
        socket,
        peer,
        Arc::clone(&fixture),
        Arc::clone(&fixture.server),
        connection_guard,
    );
    // Each further `async fn` on the way holds its arguments twice. With those that there were the task had 1,800 bytes.
    let bytes = size_of_val(&connection);
    assert!(bytes <= 768, "{bytes} bytes");
}

/// Makes each of these a test for either sink, with TLS and without.
macro_rules! on_both_sinks {
    ($($test:ident)*) => {$(
        mod $test {
            use super::{Body, Socket, Way};

            #[tokio::test]
            async fn over_the_socket() {
                super::$test(Way(Socket, false)).await;
            }

            #[tokio::test]
            async fn as_a_body() {
                super::$test(Way(Body, false)).await;
            }

            #[tokio::test]
            async fn over_the_socket_sealed() {
                super::$test(Way(Socket, true)).await;
            }

            #[tokio::test]
            async fn as_a_body_sealed() {
                super::$test(Way(Body, true)).await;
            }
        }
    )*};
}

on_both_sinks! {
    a_head_that_the_socket_does_not_take_at_once_comes_whole
    a_reset_before_the_head_is_out_leaves_nothing_behind
    a_head_that_is_never_read_stalls
    a_client_that_does_not_read_is_reset_and_the_log_says_why
    a_client_that_reads_now_and_then_keeps_its_stream
    a_client_that_pauses_costs_no_buffer_of_ours_and_misses_nothing
    every_event_is_one_chunk
    a_reset_is_noticed_as_a_close_is
    a_client_that_closes_its_side_gets_its_answer_but_no_stream
    a_head_that_does_not_come_in_time_is_not_waited_for
    a_panic_of_a_stream_gives_its_place_back
}
