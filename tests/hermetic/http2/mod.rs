//! HTTP/2: several streams on one connection of the public listener, over TCP and over TLS.

mod admission;
mod attacks;
mod requests;
mod streams;
mod transport;

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use riverhead::{http::settings::HttpSettings, limits::settings::LimitSettings};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::support::{
    gateway::{DEADLINE, catalog, edits, nothing, plenty},
    model::ModelFixture,
};
use transport::{H2Gateway, Socket};

const STREAM: &str = "/v2/stream/recentchange";
const ADMITTED: &str = "riverhead_streams_admitted";
const WAITING: &str = "riverhead_http_connections_without_stream";

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A connection of HTTP/2, and its task.
struct Connection {
    requests: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    async fn to(gateway: &H2Gateway) -> Self {
        Self::with(gateway, &mut http2::Builder::new(TokioExecutor::new())).await
    }

    async fn with(gateway: &H2Gateway, builder: &mut http2::Builder<TokioExecutor>) -> Self {
        Self::over(gateway.connect().await, builder).await
    }

    /// Connects to a listener without TLS.
    async fn over_tcp(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self::over(Box::new(socket), &mut http2::Builder::new(TokioExecutor::new())).await
    }

    async fn over(socket: Box<dyn Socket>, builder: &mut http2::Builder<TokioExecutor>) -> Self {
        builder.timer(TokioTimer::new());
        let (requests, connection) = builder.handshake(TokioIo::new(socket)).await.unwrap();
        Self {
            requests,
            driver: tokio::spawn(connection),
        }
    }

    /// Sends a request with this method and these headers.
    async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://test{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.requests.send_request(request.body(Empty::new()).unwrap());
        timeout(DEADLINE, answer).await.unwrap().unwrap()
    }

    async fn stream(&mut self) -> Response<Incoming> {
        let answer = self.ask("GET", STREAM, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    }
}

/// Returns the next bytes of a body; `None` at its end.
async fn more(answer: &mut Response<Incoming>) -> Option<Bytes> {
    let frame = timeout(DEADLINE, answer.frame()).await.unwrap();
    frame.map(|frame| frame.unwrap().into_data().unwrap())
}

async fn text(answer: Response<Incoming>) -> String {
    let body = timeout(DEADLINE, answer.into_body().collect()).await.unwrap();
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

fn limits(per_client: u32) -> LimitSettings {
    LimitSettings {
        streams_per_client: number(per_client),
        ..LimitSettings::default()
    }
}

fn gateway(limits: LimitSettings, change: impl FnOnce(&mut HttpSettings)) -> H2Gateway {
    H2Gateway::limited(catalog(), nothing(), limits, change)
}

/// Starts a gateway over partitions with 40 records, or with records large enough to fill every window.
fn full(records: usize) -> H2Gateway {
    let fixture = ModelFixture::new(2);
    for partition in 0..2 {
        fixture.write(partition, records);
    }
    H2Gateway::limited(edits(), fixture.source.clone(), plenty(), |settings| {
        settings.heartbeat = Duration::from_millis(100);
        settings.stall_timeout = Duration::from_millis(500);
    })
}
