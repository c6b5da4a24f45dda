//! Clients that do not complete their handshake.

use std::{num::NonZeroU32, time::Duration};

use riverhead::limits::settings::LimitSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    support::{gateway::DEADLINE, model::ModelFixture},
    tls::{
        TlsGateway,
        authority::localhost,
        client::{ALL, Reading, TestTls, status},
    },
};

const WAITING: &str = "riverhead_http_connections_without_stream";

/// The beginning of a record with a handshake message of 512 bytes.
const HALF: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Sends this, and returns when the other end is closed, and all that came until then.
async fn until_closed(gateway: &TlsGateway, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(gateway.https()).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a close too.
    let _ = timeout(Duration::from_secs(60), socket.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    answer
}

#[tokio::test]
async fn what_is_no_tls_is_closed_at_once() {
    let (_authority, _files, settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    let refused = crate::tls::handshakes("none", "none", "refused");
    for (number, rubbish) in [
        b"GET / HTTP/1.1\r\nhost: test\r\n\r\n".as_slice(),
        b"\x00\x00\x00\x00\x00\x00",
        // A record of more than 16 KiB, and one of a version that there never was.
        b"\x16\x03\x01\xff\xff\x01",
        b"\x16\x09\x01\x00\x05\x01\x00\x00\x01\x00",
    ]
    .into_iter()
    .enumerate()
    {
        let start = Instant::now();
        let answer = until_closed(&gateway, rubbish).await;
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{number}: {:?}",
            start.elapsed()
        );
        assert!(
            answer.is_empty() || answer[0] == 21,
            "{number}: an alert, not {answer:?}"
        );
        gateway.gateway.until_metric(&refused, number as f64 + 1.0).await;
    }
}

/// The deadline is ten seconds, so all are awaited side by side.
#[tokio::test]
async fn silence_half_a_handshake_and_a_byte_a_second_end_at_the_deadline() {
    let (_authority, _files, settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    let start = Instant::now();
    let (nothing, half, ()) = tokio::join!(
        until_closed(&gateway, b""),
        until_closed(&gateway, HALF),
        trickle(&gateway)
    );
    let waited = start.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(20)).contains(&waited),
        "{waited:?}"
    );
    assert!(nothing.is_empty() && half.is_empty());
    assert_eq!(gateway.handshakes("none", "none", "timed_out").await, 3.0);
    gateway.gateway.until_metric(WAITING, 0.0).await;
}

/// Sends a byte of a handshake every second, until the other end is closed.
async fn trickle(gateway: &TlsGateway) {
    let mut socket = TcpStream::connect(gateway.https()).await.unwrap();
    for byte in HALF.iter().cycle() {
        let closed = timeout(Duration::from_secs(1), socket.read(&mut [0])).await;
        if closed.is_ok() || socket.write_all(&[*byte]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_as_without_tls() {
    let (authority, _files, settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    let tls = TestTls::new(&authority);
    for (rest, status, kind) in [
        ("a: b\r\n".repeat(2000), 431, "headers_too_large"),
        ("a b: c\r\n".to_owned(), 400, "bad_request"),
    ] {
        let mut stream = tls.connect(gateway.https()).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{rest}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let whole = timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
        whole.expect("it ends").expect("as TLS ends");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
        assert!(answer.contains(kind), "{answer}");
    }
}

#[tokio::test]
async fn silent_connections_are_counted_before_their_first_byte_and_make_room() {
    let (authority, _files, settings) = localhost();
    let limits = LimitSettings {
        connections_without_stream: NonZeroU32::new(20).unwrap(),
        connections_without_stream_per_client: NonZeroU32::new(8).unwrap(),
        ..LimitSettings::default()
    };
    let gateway = TlsGateway::limited(&settings, limits, |_| {});
    let mut silent = Vec::new();
    for number in 0..30 {
        let mut socket = TcpStream::connect(gateway.https()).await.unwrap();
        // Some have begun a handshake.
        if number % 2 == 0 {
            socket.write_all(HALF).await.unwrap();
        }
        silent.push(socket);
    }
    gateway.gateway.until_metric(WAITING, 8.0).await;
    let ended = timeout(DEADLINE, silent[0].read(&mut [0]))
        .await
        .expect("the oldest is closed");
    assert!(ended.is_err() || ended.is_ok_and(|read| read == 0));
    let tls = TestTls::new(&authority);
    assert_eq!(status(&tls, gateway.https(), "/livez").await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_in_a_crowd_all_succeed_and_no_stream_ends() {
    let (authority, _files, settings) = localhost();
    let fixture = ModelFixture::new(2);
    let gateway = TlsGateway::of(&fixture, &settings, |_| {});
    let tls = TestTls::new(&authority);
    let mut reading = Reading::start(tls.connect(gateway.https()).await.unwrap(), ALL).await;
    let (config, address) = (tls.config(), gateway.https());
    let mut crowd = JoinSet::new();
    for _ in 0..200 {
        let config = config.clone();
        crowd.spawn(async move {
            crate::tls::client::connect(&config, address, "localhost")
                .await
                .map(drop)
        });
    }
    for _ in 0..10 {
        fixture.write(0, 1);
        reading.take(1).await;
        sleep(Duration::from_millis(5)).await;
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap().unwrap();
    }
    fixture.write(1, 1);
    reading.take(1).await;
}

/// CVE-2023-44487: requests that are reset before they are served.
#[tokio::test]
async fn a_flood_of_resets_over_tls_ends_its_connection_and_no_other() {
    let (authority, _files, settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    let tls = TestTls {
        alpn: &["h2"],
        ..TestTls::new(&authority)
    };
    let stream = tls.connect(gateway.https()).await.unwrap();
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(SETTINGS, 0, 0, &[]));
    for id in (1..2_000).step_by(2) {
        // `GET http://t/` in HPACK.
        flood.extend(frame(HEADERS, 0x5, id, b"\x82\x86\x84\x41\x01t"));
        flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let (_, end) = tokio::join!(
        writer.write_all(&flood),
        timeout(DEADLINE, reader.read_to_end(&mut answer))
    );
    // It may come as a reset, which destroys what was on its way.
    let ended = end.expect("the connection ends");
    assert!(
        ended.is_err() || answer.ends_with(b"\0\0\0\x0btoo_many_resets"),
        "{ended:?}"
    );
    assert_eq!(status(&tls, gateway.https(), "/livez").await, Some(200));
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
