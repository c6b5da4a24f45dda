//! Streams over TLS, and what stands before it: a PROXY header, a redirect.

use std::{num::NonZeroU32, time::Duration};

use riverhead::limits::settings::LimitSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    support::{
        gateway::{DEADLINE, get},
        model::ModelFixture,
    },
    tls::{
        TlsGateway,
        authority::localhost,
        client::{ALL, Reading, TLS12, TLS13, TestTls, ask, over, status},
    },
};

const ADMITTED: &str = "riverhead_streams_admitted";
const TAKEN_OVER: &str = "riverhead_http_connections_taken_over_total";
const STREAM: &str = "/v2/stream/recentchange";

fn ended(reason: &str) -> String {
    format!("riverhead_streams_ended_total{{stream=\"edits\",reason=\"{reason}\"}}")
}

/// A topic with two partitions, with so many records in each.
fn topic(records: usize) -> ModelFixture {
    let fixture = ModelFixture::new(2);
    for partition in 0..2 {
        fixture.write(partition, records);
    }
    fixture
}

#[tokio::test]
async fn a_stream_is_resumed_over_every_version_and_protocol_and_lacks_nothing() {
    let (authority, _files, settings) = localhost();
    let fixture = topic(1_000);
    let gateway = TlsGateway::of(&fixture, &settings, |_| {});
    let (mut numbers, mut id) = (Vec::new(), ALL.to_owned());
    for alpn in [&["http/1.1"][..], &["h2"]] {
        for versions in [TLS12, TLS13] {
            let tls = TestTls {
                versions,
                alpn,
                ..TestTls::new(&authority)
            };
            let stream = tls.connect(gateway.https()).await.unwrap();
            let mut reading = Reading::start(stream, &id).await;
            let (more, behind) = reading.take(500).await;
            numbers.extend(more);
            id = behind;
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=2_000).collect::<Vec<_>>());
    assert_eq!(
        gateway.gateway.metric(TAKEN_OVER).await,
        1.0,
        "HTTP/1.1 over TLS 1.3"
    );
}

#[tokio::test]
async fn filters_and_gzip_are_shared_over_every_version_and_protocol() {
    let (authority, _files, settings) = localhost();
    let fixture = topic(1_000);
    let gateway = TlsGateway::of(&fixture, &settings, |_| {});
    let mut readings = Vec::new();
    for (versions, alpn) in [
        (TLS12, &["http/1.1"][..]),
        (TLS12, &["h2"]),
        (TLS13, &["h2"]),
        (TLS13, &["http/1.1"]),
    ] {
        let tls = TestTls {
            versions,
            alpn,
            ..TestTls::new(&authority)
        };
        // Two clients share a lane.
        for parameters in ["encoding=gzip", FILTER, PACKED_FILTER].repeat(2) {
            let stream = tls.connect(gateway.https()).await.unwrap();
            let target = format!("/v2/stream/edits?{parameters}");
            let mut reading = Reading::of(stream, &target, ALL).await;
            let is_filtered = parameters.contains("filter");
            assert_eq!(reading.is_packed(), parameters.contains("gzip"), "{parameters}");
            let (mut numbers, _) = reading.take(if is_filtered { 2 } else { 2_000 }).await;
            numbers.sort_unstable();
            let all = (1..=2_000).collect();
            assert_eq!(numbers, if is_filtered { vec![3, 1_700] } else { all });
            readings.push((is_filtered, reading));
        }
    }
    for round in 0..30 {
        let first = 2_001 + round * 10;
        fixture.write(0, 10);
        for (is_filtered, reading) in &mut readings {
            let expected: Vec<_> = (first..first + 10)
                .filter(|number| !*is_filtered || number % 10 == 3 && round < 10)
                .collect();
            assert_eq!(reading.take(expected.len()).await.0, expected);
        }
    }
    assert_eq!(
        gateway.gateway.metric(TAKEN_OVER).await,
        6.0,
        "HTTP/1.1 over TLS 1.3"
    );
}

/// Passes two of the first 2,000 numbers, and one of ten in the next hundred.
const FILTER: &str = "filter=n%20in%20(3,1700,2003,2013,2023,2033,2043,2053,2063,2073,2083,2093)";

/// The same, packed.
const PACKED_FILTER: &str =
    "encoding=gzip&filter=n%20in%20(3,1700,2003,2013,2023,2033,2043,2053,2063,2073,2083,2093)";

#[tokio::test]
async fn live_events_and_heartbeats_arrive() {
    let (authority, _files, settings) = localhost();
    let fixture = topic(0);
    let gateway = TlsGateway::of(&fixture, &settings, |http| {
        http.heartbeat = Duration::from_millis(50);
    });
    for alpn in [&["http/1.1"][..], &["h2"]] {
        let tls = TestTls {
            alpn,
            ..TestTls::new(&authority)
        };
        let mut reading = Reading::start(tls.connect(gateway.https()).await.unwrap(), ALL).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            fixture.write(0, 2);
            reading.take(2).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_whatever_way_it_leaves() {
    let (authority, _files, settings) = localhost();
    let fixture = topic(1);
    let gateway = TlsGateway::of(&fixture, &settings, |_| {});
    let tls = TestTls::new(&authority);
    let request = format!("GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {ALL}\r\n\r\n");
    for way in [
        "close_notify",
        "FIN",
        "reset",
        "one byte and then close_notify",
        "flood",
    ] {
        let mut stream = tls.connect(gateway.https()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        gateway.gateway.until_metric(ADMITTED, 1.0).await;
        stream.read_exact(&mut [0; 12]).await.unwrap();
        let _held = match way {
            "close_notify" => {
                stream.get_mut().1.send_close_notify();
                stream.flush().await.unwrap();
                Some(stream)
            }
            "FIN" => {
                stream.get_mut().0.shutdown().await.unwrap();
                Some(stream)
            }
            "reset" => {
                let socket = socket2::SockRef::from(stream.get_ref().0);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                drop(stream);
                None
            }
            "flood" => {
                // More than a confused client sends. It is cut off, so that not all of it can be written.
                let _ = stream.write_all(&vec![b'x'; 1 << 20]).await;
                Some(stream)
            }
            _ => {
                stream.write_all(b"x").await.unwrap();
                stream.get_mut().1.send_close_notify();
                stream.flush().await.unwrap();
                Some(stream)
            }
        };
        let gone = timeout(DEADLINE, gateway.gateway.until_metric(ADMITTED, 0.0)).await;
        assert!(gone.is_ok(), "{way}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_reset_at_the_stall_deadline() {
    let (authority, _files, settings) = localhost();
    let fixture = topic(60_000);
    let gateway = TlsGateway::of(&fixture, &settings, |http| {
        http.heartbeat = Duration::from_millis(100);
        http.stall_timeout = Duration::from_millis(500);
    });
    let tls = TestTls::new(&authority);
    let mut stream = tls.connect(gateway.https()).await.unwrap();
    let request = format!("GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {ALL}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    gateway.gateway.until_metric(&ended("stalled"), 1.0).await;
    gateway.gateway.until_metric(ADMITTED, 0.0).await;
}

#[tokio::test]
async fn a_drain_ends_streams_whole_and_with_a_close_notify() {
    let (authority, _files, settings) = localhost();
    let fixture = topic(10);
    let gateway = TlsGateway::of(&fixture, &settings, |_| {});
    let http2 = TestTls {
        alpn: &["h2"],
        ..TestTls::new(&authority)
    };
    let http1 = TestTls::new(&authority);
    let mut streams = Vec::new();
    for tls in [&http1, &http2] {
        let mut reading = Reading::start(tls.connect(gateway.https()).await.unwrap(), ALL).await;
        reading.take(20).await;
        streams.push(reading);
    }
    let mut raw = http1.connect(gateway.https()).await.unwrap();
    raw.write_all(b"GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    gateway.gateway.until_metric(ADMITTED, 3.0).await;
    let drain = tokio::spawn(gateway.gateway.signal.drain(Duration::from_millis(200)));
    for reading in streams {
        reading.end().await;
    }
    let mut text = Vec::new();
    // Fails if the connection ends without a close_notify.
    timeout(DEADLINE, raw.read_to_end(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert!(
        text.ends_with(b"\r\n0\r\n\r\n"),
        "{:?}",
        String::from_utf8_lossy(&text)
    );
    timeout(DEADLINE, drain).await.unwrap().unwrap();
    timeout(DEADLINE, gateway.gateway.served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

/// A PROXY header of version 2 that speaks for an IPv4 address.
fn speaks_for(client: [u8; 4]) -> Vec<u8> {
    let addresses = [&client[..], &[10, 0, 0, 1, 0x12, 0x67, 0, 80]].concat();
    let length = (addresses.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length[..], &addresses].concat()
}

#[tokio::test]
async fn a_proxy_header_stands_before_tls_and_names_the_client() {
    let (authority, _files, settings) = localhost();
    let limits = LimitSettings {
        streams_per_client: NonZeroU32::new(1).unwrap(),
        ..LimitSettings::default()
    };
    let gateway = TlsGateway::limited(&settings, limits, |http| {
        http.proxy_protocol = true;
        http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let config = TestTls::new(&authority).config();
    let mut held = Vec::new();
    for (client, status) in [(1, 200), (2, 200), (1, 429)] {
        let mut socket = TcpStream::connect(gateway.https()).await.unwrap();
        socket
            .write_all(&speaks_for([198, 51, 100, client]))
            .await
            .unwrap();
        let stream = over(&config, socket, "localhost").await.unwrap();
        let answer = ask(stream, STREAM, &[]).await.unwrap();
        assert_eq!(answer.status(), status, "{client}");
        held.push(answer);
    }
    let tls = TestTls::new(&authority);
    assert!(tls.connect(gateway.https()).await.is_err(), "without a header");
    let turned_away = "riverhead_http_connections_turned_away_total{reason=\"bad_proxy_header\"}";
    assert_eq!(gateway.gateway.metric(turned_away).await, 1.0);
}

#[tokio::test]
async fn a_redirect_leads_to_the_same_target_over_tls() {
    let (authority, _files, settings) = localhost();
    let limits = LimitSettings {
        request_burst: NonZeroU32::new(5).unwrap(),
        ..LimitSettings::default()
    };
    let gateway = TlsGateway::limited(&settings, limits, |http| http.redirect = true);
    let target = "/v2/stream/recentchange?since=2026-01-01T00:00:00Z";
    let answer = get(gateway.gateway.public, target, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (308, ""));
    // The client named no port.
    assert_eq!(answer.header("location"), Some(&*format!("https://test{target}")));
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(gateway.gateway.public, path, "").await.status, 200, "{path}");
    }
    let tls = TestTls::new(&authority);
    assert_eq!(
        status(&tls, gateway.https(), "/_info").await,
        Some(200),
        "no redirect here"
    );
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(get(gateway.gateway.public, "/", "").await.status);
    }
    assert!(
        statuses.contains(&429),
        "redirects count against the rate: {statuses:?}"
    );
}
