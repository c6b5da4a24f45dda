//! Streams of TLS 1.3 that have left hyper and rustls: what a client may send, and what it gets.

use std::time::Duration;

use riverhead::http::settings::Sink;
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    support::{
        gateway::{DEADLINE, with_sink},
        model::ModelFixture,
    },
    tls::{
        TlsGateway,
        authority::{Authority, Files, localhost},
        client::{ALL, TLS12, TestTls, ask},
        raw_client::RawClient,
    },
};

const ADMITTED: &str = "riverhead_streams_admitted";
const TAKEN_OVER: &str = "riverhead_http_connections_taken_over_total";
const LIVE: &str = "GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\n\r\n";
const PRELUDE: &str = "5\r\n:ok\n\n\r\n";

/// A gateway that serves the topic of a model with one partition, whose keys seal so many records.
struct Bare {
    authority: Authority,
    _files: Files,
    fixture: ModelFixture,
    gateway: TlsGateway,
}

impl Bare {
    fn new(key_update_after: u32) -> Self {
        let (authority, files, mut settings) = localhost();
        settings.key_update_after = key_update_after;
        let fixture = ModelFixture::new(1);
        let gateway = TlsGateway::of(&fixture, &settings, |http| http.sink = Sink::Socket);
        Self {
            authority,
            _files: files,
            fixture,
            gateway,
        }
    }

    async fn connect(&self) -> RawClient {
        RawClient::connect(&self.gateway, &self.authority).await
    }

    /// Waits until so many connections were taken over.
    async fn until_taken_over(&self, connections: usize) {
        self.gateway
            .gateway
            .until_metric(TAKEN_OVER, connections as f64)
            .await;
    }

    /// Waits until so many streams are open.
    async fn until_open(&self, streams: usize) {
        let metric = self.gateway.gateway.until_metric(ADMITTED, streams as f64);
        timeout(DEADLINE, metric).await.expect("within the deadline");
    }
}

/// How bytes come behind the request.
const WAYS: [&str; 3] = [
    "in the segment of the request",
    "a byte at a time",
    "behind the prelude",
];

/// Asks for a stream, and sends these bytes behind the request.
async fn ask_and_send(client: &mut RawClient, way: &str, seal: impl Fn(&mut RawClient) -> Vec<u8>) {
    let request = client.seal(LIVE);
    let behind = seal(client);
    match way {
        "in the segment of the request" => {
            let all = [request, behind].concat();
            client.socket.write_all(&all).await.unwrap();
        }
        "a byte at a time" => client.trickle(&[request, behind].concat()).await,
        _ => {
            client.socket.write_all(&request).await.unwrap();
            client.until(PRELUDE).await;
            client.socket.write_all(&behind).await.unwrap();
        }
    }
}

#[tokio::test]
async fn key_updates_behind_the_request_are_followed_and_answered() {
    let bare = Bare::new(1 << 23);
    for (round, way) in WAYS.into_iter().enumerate() {
        let mut client = bare.connect().await;
        ask_and_send(&mut client, way, |client| {
            [client.seal_key_update(), client.seal_key_update()].concat()
        })
        .await;
        client.until(PRELUDE).await;
        bare.until_taken_over(round + 1).await;
        for event in 1..=40 {
            // More than may come without an event between.
            let update = client.seal_key_update();
            client.socket.write_all(&update).await.unwrap();
            bare.fixture.write(0, 1);
            assert_eq!(client.numbers(event).await.len(), event, "{way}");
        }
        let end = client.seal_close_notify();
        client.socket.write_all(&end).await.unwrap();
        bare.until_open(0).await;
    }
}

#[tokio::test]
async fn a_flood_of_key_updates_ends_the_stream() {
    let bare = Bare::new(1 << 23);
    let mut client = bare.connect().await;
    ask_and_send(&mut client, "behind the prelude", |client| {
        (0..40).flat_map(|_| client.seal_key_update()).collect()
    })
    .await;
    bare.until_open(0).await;
    assert!(!client.rest().await.ends_with("0\r\n\r\n"), "it is cut off");
}

#[tokio::test]
async fn close_notify_behind_the_request_ends_the_stream() {
    let bare = Bare::new(1 << 23);
    for way in WAYS {
        let mut client = bare.connect().await;
        ask_and_send(&mut client, way, RawClient::seal_close_notify).await;
        let text = client.rest().await;
        assert!(!text.ends_with("0\r\n\r\n"), "{way}: {text}");
        bare.until_open(0).await;
    }
}

#[tokio::test]
async fn a_second_request_is_not_answered() {
    let bare = Bare::new(1 << 23);
    for (round, way) in WAYS.into_iter().enumerate() {
        let mut client = bare.connect().await;
        ask_and_send(&mut client, way, |client| client.seal(LIVE)).await;
        client.until(PRELUDE).await;
        bare.until_taken_over(round + 1).await;
        bare.fixture.write(0, 2);
        assert_eq!(client.numbers(2).await.len(), 2, "{way}");
        let end = client.seal_close_notify();
        client.socket.write_all(&end).await.unwrap();
        let text = client.rest().await;
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{way}");
        bare.until_open(0).await;
    }
}

#[tokio::test]
async fn what_is_no_record_ends_the_stream() {
    let bare = Bare::new(1 << 23);
    for rubbish in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x17\x03\x03\x00\x20 a record that nobody has sealed..",
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"\x17\x03\x03\xff\xff",
    ] {
        let mut client = bare.connect().await;
        ask_and_send(&mut client, "behind the prelude", |_| rubbish.to_vec()).await;
        bare.until_open(0).await;
    }
}

#[tokio::test]
async fn each_number_comes_once_over_many_keys() {
    for key_update_after in [2, 10] {
        let bare = Bare::new(key_update_after);
        let mut client = bare.connect().await;
        ask_and_send(&mut client, "behind the prelude", |client| {
            client.seal_key_update()
        })
        .await;
        for event in 1..=300 {
            bare.fixture.write(0, 1);
            let numbers = client.numbers(event).await;
            assert_eq!(numbers.last(), Some(&(event as u64)), "{numbers:?}");
        }
        let numbers = client.numbers(300).await;
        assert!(
            numbers.iter().copied().eq(1..=300),
            "{key_update_after}: {numbers:?}"
        );
    }
}

/// In the long form these are ten million events with 1,000 records under a key.
#[tokio::test]
async fn events_are_exact_over_a_thousand_keys() {
    const BATCH: usize = 10;
    let is_long = std::env::var_os("RIVERHEAD_TEST_FULL").is_some();
    let (events, key_update_after) = if is_long { (10_000_000, 1_000) } else { (10_000, 2) };
    let bare = Bare::new(key_update_after);
    let mut client = bare.connect().await;
    ask_and_send(&mut client, "behind the prelude", |_| Vec::new()).await;
    for batch in 1..=events / BATCH {
        bare.fixture.write(0, BATCH);
        let numbers = client.numbers(batch * BATCH).await;
        assert!(numbers[numbers.len() - BATCH..].is_sorted());
        if batch % 100 == 0 {
            // The model would look through all its records for each new one.
            bare.fixture.expire(0, 100);
        }
    }
    assert!(client.numbers(events).await.iter().copied().eq(1..=events as u64));
}

#[tokio::test]
async fn a_client_that_stops_and_goes_on_gets_the_whole_log() {
    let bare = Bare::new(5);
    bare.fixture.write(0, 60_000);
    let mut client = bare.connect().await;
    let request = format!(
        "GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {}\r\n\r\n",
        all()
    );
    let request = client.seal(&request);
    client.socket.write_all(&request).await.unwrap();
    bare.until_taken_over(1).await;
    // Until the socket is full, and something is kept in the middle of a record.
    let lanes = &bare.gateway.gateway.lanes;
    let full = async {
        while lanes.bytes() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, full).await.expect("it holds something");
    // Its keys change while it stands.
    let update = client.seal_key_update();
    client.socket.write_all(&update).await.unwrap();
    let numbers = client.numbers(60_000).await;
    assert!(numbers.iter().copied().eq(1..=60_000), "each once, in order");
}

/// The position before the first record.
fn all() -> String {
    r#"[{"topic":"edits","partition":0,"offset":-2}]"#.into()
}

#[tokio::test]
async fn a_planned_end_is_a_last_chunk_and_close_notify() {
    let bare = Bare::new(1 << 23);
    let mut client = bare.connect().await;
    ask_and_send(&mut client, "behind the prelude", |client| {
        client.seal_key_update()
    })
    .await;
    bare.fixture.write(0, 3);
    assert_eq!(client.numbers(3).await, [1, 2, 3]);
    let _drain = tokio::spawn(bare.gateway.gateway.signal.drain(Duration::ZERO));
    assert!(client.rest().await.ends_with("\r\n0\r\n\r\n"));
    assert!(client.is_closed);
}

#[tokio::test]
async fn who_is_taken_over() {
    let (authority, _files, settings) = localhost();
    let fixture = ModelFixture::new(2);
    for (sink, taken) in [(Sink::Socket, 1.0), (Sink::Body, 0.0)] {
        let gateway = with_sink(sink, async { TlsGateway::of(&fixture, &settings, |_| {}) }).await;
        let mut held = Vec::new();
        for (versions, alpn) in [
            (TLS12, &["http/1.1"][..]),
            (TLS12, &["h2"]),
            (crate::tls::client::TLS13, &["h2"]),
            (crate::tls::client::TLS13, &["http/1.1"]),
        ] {
            let tls = TestTls {
                versions,
                alpn,
                ..TestTls::new(&authority)
            };
            let stream = tls.connect(gateway.https()).await.unwrap();
            let answer = ask(stream, "/v2/stream/edits", &[("last-event-id", ALL)]).await;
            held.push(answer.unwrap());
        }
        gateway.gateway.until_metric(ADMITTED, 4.0).await;
        gateway.gateway.until_metric(TAKEN_OVER, taken).await;
    }
}
