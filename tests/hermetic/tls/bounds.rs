//! Clients that do not complete their handshake, and crowds of those that do.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    thread,
    time::Duration,
};

use riverhead::{
    client::ClientKey,
    limits::settings::LimitSettings,
    tls::{HandshakeTurn, settings::ClientCertificates},
};
use riverhead_brokers::tolerated;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ProtocolVersion, Stream, pki_types::ServerName};

use crate::{
    support::{
        gateway::{DEADLINE, TestGateway, edits},
        model::ModelFixture,
    },
    tls::{
        TlsGateway,
        authority::localhost,
        client::{ALL, Reading, TLS12, TLS13, TestTls, status},
        handshakes,
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
    let timed_out = handshakes("none", "none", "timed_out");
    gateway.gateway.until_metric(&timed_out, 3.0).await;
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
    let evicted = crate::tls::handshakes("none", "none", "evicted");
    gateway.gateway.until_metric(&evicted, 22.0).await;
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

/// How long a packet is under way, there and back, for clients on a slow line.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// What a busy machine would fail: to be left out where more tests run at a time than there are processors.
mod quiet {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn five_thousand_connections_without_a_handshake_are_bounded_and_others_do_not_notice() {
        let (authority, _files, settings) = localhost();
        let fixture = ModelFixture::new(2);
        let (server, certificates) = crate::tls::certificates(&settings);
        let source = fixture.source.clone();
        let limits = LimitSettings {
            requests_per_minute: NonZeroU32::new(1_000_000).unwrap(),
            ..LimitSettings::default()
        };
        let most = f64::from(limits.connections_without_stream_per_client.get());
        let gateway = TestGateway::with_tls(edits(), source, limits, |_| {}, certificates);
        let gateway = TlsGateway { gateway, server };
        let tls = TestTls::new(&authority);
        let mut reading = Reading::start(tls.connect(gateway.https()).await.unwrap(), ALL).await;
        // The process needs descriptors for other tests too.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap() as usize;
        let count = 5_000.min(descriptors / 4);
        assert!(count >= 100, "{descriptors} descriptors are too few");
        let (mut held, mut longest) = (Vec::new(), Duration::ZERO);
        for number in 0..count {
            held.extend(attack(gateway.https(), number).await);
            if number % 100 == 0 {
                let start = Instant::now();
                assert_live(&fixture, &mut reading).await;
                assert_eq!(
                    status(&tls, gateway.https(), "/livez").await,
                    Some(200),
                    "a new client"
                );
                longest = longest.max(start.elapsed());
                // Its own connections, and those of this test that are about to close.
                let waiting = gateway.gateway.metric(WAITING).await;
                assert!(waiting <= most + 10.0, "{waiting} connections wait");
            }
        }
        assert!(held.len() > count / 2, "{} of {count} were accepted", held.len());
        assert!(
            longest < tolerated(Duration::from_millis(200)),
            "an event and a handshake took {longest:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_in_a_crowd_on_slow_lines_is_reset_though_few_may_wait_at_once() {
        let (authority, _files, settings) = localhost();
        let few = NonZeroU32::new(20).unwrap();
        let limits = LimitSettings {
            connections_without_stream: few,
            connections_without_stream_per_client: few,
            streams_per_client: NonZeroU32::new(1_000).unwrap(),
            request_burst: NonZeroU32::new(1_000).unwrap(),
            ..LimitSettings::default()
        };
        for versions in [TLS12, TLS13] {
            let (server, certificates) = crate::tls::certificates(&settings);
            let fixture = ModelFixture::new(2);
            let source = fixture.source.clone();
            let gateway = TestGateway::with_tls(edits(), source, limits.clone(), |_| {}, certificates);
            let gateway = TlsGateway { gateway, server };
            let (address, tls) = (
                gateway.https(),
                TestTls {
                    versions,
                    ..TestTls::new(&authority)
                },
            );
            let mut crowd = JoinSet::new();
            for _ in 0..60 {
                let config = tls.config();
                crowd.spawn_blocking(move || HalfHandshake::of(config, address).slow_answer());
            }
            while let Some(answer) = crowd.join_next().await {
                assert_eq!(answer.expect("no reset"), "HTTP/1.1 200");
            }
            assert_eq!(gateway.handshakes("none", "none", "evicted").await, 0.0);
        }
    }
}

/// Takes all turns of handshakes.
async fn all_turns(gateway: &TlsGateway) -> Vec<Option<HandshakeTurn>> {
    let client = ClientKey::of([192, 0, 2, 1].into());
    let mut turns = Vec::new();
    while let Ok(turn) = timeout(Duration::from_millis(50), gateway.server.turn(client)).await {
        turns.push(turn);
    }
    turns
}

/// Asserts that a stream goes on.
async fn assert_live(fixture: &ModelFixture, reading: &mut Reading) {
    fixture.write(0, 3);
    reading.take(3).await;
}

#[tokio::test]
async fn a_handshake_waits_for_its_turn_and_a_stream_waits_for_no_handshake() {
    let (authority, _files, settings) = localhost();
    let fixture = ModelFixture::new(2);
    let gateway = TlsGateway::of(&fixture, &settings, |_| {});
    let tls = TestTls::new(&authority);
    let mut reading = Reading::start(tls.connect(gateway.https()).await.unwrap(), ALL).await;
    let turns = all_turns(&gateway).await;
    let connecting = tls.connect(gateway.https());
    tokio::pin!(connecting);
    assert!(
        timeout(Duration::from_millis(200), &mut connecting)
            .await
            .is_err()
    );
    assert_live(&fixture, &mut reading).await;
    drop(turns);
    connecting.await.unwrap();
}

/// The check of a client's certificates comes behind its second flight, and with TLS 1.2 the key exchange does too.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_half_of_a_handshake_waits_for_a_turn_too() {
    let (authority, files, mut settings) = localhost();
    settings.client_ca = Some(files.write("ca.pem", &authority.pem()));
    settings.client_certificates = ClientCertificates::Required;
    let certificate = authority.issue(&["client"]);
    for versions in [TLS12, TLS13] {
        let fixture = ModelFixture::new(2);
        let gateway = TlsGateway::of(&fixture, &settings, |_| {});
        let tls = TestTls {
            versions,
            certificate: Some(&certificate),
            ..TestTls::new(&authority)
        };
        let mut reading = Reading::start(tls.connect(gateway.https()).await.unwrap(), ALL).await;
        let mut client = HalfHandshake::start(&tls, gateway.https());
        let completed = ["1.2", "1.3"].map(|version| crate::tls::handshakes(version, "full", "completed"));
        let count = async || {
            gateway.gateway.metric(&completed[0]).await + gateway.gateway.metric(&completed[1]).await
        };
        let before = count().await;
        let turns = all_turns(&gateway).await;
        client.send_rest();
        assert_live(&fixture, &mut reading).await;
        sleep(Duration::from_millis(100)).await;
        assert_eq!(count().await, before, "it waits");
        drop(turns);
        let start = Instant::now();
        while count().await == before {
            assert!(start.elapsed() < DEADLINE, "it goes on");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A client that has the server's answer to its first message, and has not answered it yet.
struct HalfHandshake {
    session: ClientConnection,
    socket: std::net::TcpStream,
}

impl HalfHandshake {
    fn start(tls: &TestTls<'_>, address: SocketAddr) -> Self {
        Self::of(tls.config(), address)
    }

    fn of(config: Arc<ClientConfig>, address: SocketAddr) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(config, name).unwrap();
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        session.write_tls(&mut socket).unwrap();
        while !Self::is_answered(&session) {
            assert!(session.read_tls(&mut socket).unwrap() > 0, "an answer");
            session.process_new_packets().unwrap();
        }
        Self { session, socket }
    }

    fn is_answered(session: &ClientConnection) -> bool {
        match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => !session.is_handshaking(),
            Some(_) => session.wants_write(),
            None => false,
        }
    }

    fn send_rest(&mut self) {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket).unwrap();
        }
    }

    /// Goes on after a round trip for each answer of the server, and asks for a stream. Returns the beginning of the answer.
    fn slow_answer(mut self) -> String {
        thread::sleep(ROUND_TRIP);
        if self.session.is_handshaking() {
            self.send_rest();
            self.session.complete_io(&mut self.socket).unwrap();
            thread::sleep(ROUND_TRIP);
        }
        let mut stream = Stream::new(&mut self.session, &mut self.socket);
        let request = "GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status).into_owned()
    }
}

/// Connects from an address that no other client has, and sends what no client does.
async fn attack(address: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 9], 0).into()).unwrap();
    let mut socket = socket.connect(address).await.ok()?;
    let sent = match number % 4 {
        0 | 1 => Ok(()),
        2 => socket.write_all(HALF).await,
        _ => socket.write_all(&b"rubbish ".repeat(1 + number % 500)).await,
    };
    sent.is_ok().then_some(socket)
}
