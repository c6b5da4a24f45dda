//! Streams whose credentials expire while their clients read nothing: nothing of theirs may stay.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::Algorithm;
use riverhead::{
    auth::{Authenticator, settings::AuthSettings},
    catalog::{Catalog, Stream},
    metrics::AuthMetrics,
};
use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::{
    auth::{
        bearer,
        issuer::{SigningKey, issuer, jwks},
        scopes,
    },
    support::{
        gateway::{DEADLINE, TestCertificates, TestGateway, plenty},
        model::{ModelFixture, TOPIC},
        on_both_sinks,
    },
    tls::{
        authority::{Authority, Files, localhost},
        certificates,
        client::{ALL, TLS12, TLS13, TestTls, over},
    },
};

const EXPIRED: &str = "riverhead_streams_ended_total{stream=\"edits\",reason=\"expired\"}";
const ADMITTED: &str = "riverhead_streams_admitted";

/// A gateway with far more events than sockets and windows take, behind a scope. Clients may stall for longer than a test lasts.
struct Stage {
    gateway: TestGateway,
    signing: SigningKey,
    authority: Authority,
    _files: Files,
}

impl Stage {
    fn new() -> Self {
        let (authority, files, tls) = localhost();
        let signing = SigningKey::new("k", Algorithm::EdDSA);
        let set = files.write("jwks.json", &jwks(&[&signing]));
        let mut issuer = issuer(set.to_str().unwrap());
        issuer.leeway = Duration::ZERO;
        let settings = AuthSettings {
            issuers: vec![issuer],
            ..AuthSettings::default()
        };
        let metrics = AuthMetrics::default();
        let authenticator = Authenticator::with_connector(&settings, &metrics, None).unwrap();
        authenticator.start();
        let fixture = ModelFixture::new(2);
        (0..2).for_each(|partition| fixture.write(partition, 60_000));
        let mut edits = Stream::new("edits", [TOPIC]);
        edits.access = scopes(&["read"]);
        let certificates = TestCertificates {
            auth: Some(authenticator),
            auth_metrics: metrics,
            ..certificates(&tls).1
        };
        let catalog = Catalog::new(vec![edits]).unwrap();
        let source = fixture.source.clone();
        Self {
            gateway: TestGateway::with_tls(catalog, source, plenty(), |_| {}, certificates),
            signing,
            authority,
            _files: files,
        }
    }

    /// Returns a token that is good for two seconds.
    fn token(&self) -> String {
        let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        self.signing.token(&json!({ "exp": now + 2.0 }))
    }

    /// Returns a request of HTTP/1.1 for all events.
    fn request(&self) -> String {
        format!(
            "GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {ALL}\r\n{}\r\n",
            bearer(&self.token())
        )
    }

    /// Waits until the stream that does not fit has given back its slot, for the right reason.
    async fn until_expired(&self) {
        self.gateway.until_metric(ADMITTED, 1.0).await;
        self.gateway.until_metric(EXPIRED, 1.0).await;
        self.gateway.until_metric(ADMITTED, 0.0).await;
    }
}

/// Connects with a small buffer for what comes in.
async fn connect(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(address).await.unwrap()
}

/// Waits until the peer has reset the connection. Nothing is read from it.
async fn until_reset(socket: &TcpStream) {
    let start = Instant::now();
    while SockRef::from(socket).take_error().unwrap().is_none() {
        assert!(start.elapsed() < DEADLINE, "the connection is still there");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn a_connection_of_http_1_is_reset() {
    let stage = Stage::new();
    let mut socket = connect(stage.gateway.public).await;
    socket.write_all(stage.request().as_bytes()).await.unwrap();
    stage.until_expired().await;
    until_reset(&socket).await;
}

on_both_sinks! {
    #[tokio::test]
    a_connection_of_http_1_is_reset
}

#[tokio::test]
async fn a_connection_with_tls_is_reset() {
    for versions in [TLS12, TLS13] {
        let stage = Stage::new();
        let tls = TestTls {
            versions,
            ..TestTls::new(&stage.authority)
        };
        let socket = connect(stage.gateway.https.unwrap()).await;
        let mut stream = over(&tls.config(), socket, "localhost").await.unwrap();
        stream.write_all(stage.request().as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stage.until_expired().await;
        until_reset(stream.get_ref().0).await;
    }
}

/// hyper asks for no more of a stream while its window is closed, so that the stream itself does not notice its end.
#[tokio::test]
async fn a_stream_of_http_2_is_reset_although_its_window_stays_closed() {
    let stage = Stage::new();
    let socket = connect(stage.gateway.public).await;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (mut requests, connection) = builder
        .initial_stream_window_size(64 * 1024)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get("http://localhost/v2/stream/edits")
        .header("last-event-id", ALL)
        .header(header::AUTHORIZATION, format!("Bearer {}", stage.token()))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = timeout(DEADLINE, requests.send_request(request)).await.unwrap();
    let unread = answer.unwrap();
    assert_eq!(unread.status(), 200);
    stage.until_expired().await;
    let end = timeout(DEADLINE, unread.into_body().collect()).await.unwrap();
    assert!(end.is_err(), "a reset, and not an end");
    driver.abort();
}
