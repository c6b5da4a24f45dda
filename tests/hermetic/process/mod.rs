//! The process and its operating system: file descriptors, killed clients, and an address that asks for all
//! streams.
//!
//! No broker answers, or the demo's do. So nothing outside this process tree is needed, except a shell and
//! curl.

mod admin;
mod log;
mod memory;
mod redaction;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use riverhead_brokers::eventually;
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::{Gateway, GatewayPlan},
    progress::Progress,
    scenarios::{Report, hog::Hog},
};

const RIVERHEAD: &str = env!("CARGO_BIN_EXE_riverhead");
const ADMITTED: &str = "riverhead_streams_admitted";
const STREAM: &str = "/v2/stream/stream";
const SINK: &str = "RIVERHEAD_HTTP__SINK";
const SOON: Duration = Duration::from_secs(20);

/// Both ways to write streams.
const SINKS: [&str; 2] = ["socket", "body"];

/// A gateway without brokers: its streams are held, with heartbeats.
fn plan() -> GatewayPlan {
    GatewayPlan::new(
        RIVERHEAD,
        vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()],
        "stream",
        &["topic"],
    )
    .set("RIVERHEAD_HTTP__HEARTBEAT", "200ms")
}

/// Connects from this loopback address.
fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::STREAM);
    let socket = socket2::Socket::new(domain, kind, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((source, 0)).into())
        .expect("an address");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

fn until(gateway: &Gateway, metric: &str, value: f64) {
    eventually(SOON, metric, || {
        gateway.metric(metric).is_ok_and(|now| now == value)
    });
}

/// Starts a client in its own process.
fn curl(gateway: &Gateway) -> Child {
    Command::new("curl")
        .args(["-sN", &format!("http://{}{STREAM}", gateway.http)])
        .stdout(Stdio::null())
        .spawn()
        .expect("curl")
}

#[test]
fn killed_clients_leave_nothing_behind() {
    SINKS.into_iter().for_each(killed_clients);
}

fn killed_clients(sink: &str) {
    let gateway = plan().set(SINK, sink).start().expect("a gateway");
    let mut clients: Vec<_> = (0..8).map(|_| curl(&gateway)).collect();
    until(&gateway, ADMITTED, 8.0);
    for client in &mut clients {
        client.kill().expect("kill -9");
        client.wait().expect("its end");
    }
    until(&gateway, ADMITTED, 0.0);
    let mut next = curl(&gateway);
    until(&gateway, ADMITTED, 1.0);
    next.kill().expect("kill -9");
    next.wait().expect("its end");
}

#[test]
fn streams_that_do_not_fit_are_told_before_a_port_is_bound() {
    // If the port were bound first, binding would fail, with exit code 1.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("riverhead.toml");
    std::fs::write(&config, plan().config()).expect("written");
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 2000 && exec \"$@\"",
            "sh",
            RIVERHEAD,
            "serve",
            "--config",
        ])
        .arg(&config)
        .env(
            "RIVERHEAD_HTTP__LISTEN",
            taken.local_addr().expect("an address").to_string(),
        )
        .env("RIVERHEAD_LIMITS__STREAMS_TOTAL", "977")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("limits.streams_total = 977") && said.contains("2000"),
        "{said}"
    );
}

#[test]
fn a_default_that_does_not_fit_shrinks_and_says_so() {
    let gateway = plan().descriptors(1_100).start().expect("a gateway");
    let warned = || gateway.log().contains("fewer streams than by default");
    eventually(SOON, "a warning", warned);
    assert!(gateway.log().contains("streams_total=275"), "{}", gateway.log());
}

#[test]
fn without_descriptors_those_who_are_there_are_served_and_others_once_there_are_some() {
    SINKS.into_iter().for_each(without_descriptors);
}

fn without_descriptors(sink: &str) {
    let gateway = plan()
        .set(SINK, sink)
        .descriptors(300)
        // More than there are descriptors, so that only the lack of descriptors delays clients.
        .set("RIVERHEAD_LIMITS__CONNECTIONS_WITHOUT_STREAM", "3000")
        .set("RIVERHEAD_LIMITS__CONNECTIONS_WITHOUT_STREAM_PER_CLIENT", "3000")
        .start()
        .expect("a gateway");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut stream = runtime.block_on(follow(&gateway));
    let crowd: Vec<_> = (0..400)
        .map(|_| TcpStream::connect(gateway.http).expect("the backlog has room"))
        .collect();
    eventually(SOON, "no descriptor is left", || {
        gateway.log().contains("cannot accept connections")
    });
    let heard = stream.comments();
    runtime.block_on(async {
        while stream.comments() < heard + 5 {
            let read = tokio::time::timeout(SOON, stream.fill(usize::MAX)).await;
            assert!(read.expect("a heartbeat").expect("a connection") > 0);
        }
    });
    let failures = || gateway.metric("riverhead_http_accept_failures_total");
    let told = gateway.log().matches("cannot accept connections").count();
    drop(crowd);
    until(&gateway, "riverhead_http_connections_without_stream", 0.0);
    assert_eq!(
        told,
        1,
        "each failure is counted, and logged every half a minute:\n{}",
        gateway.log()
    );
    assert!(failures().is_ok_and(|failures| failures > told as f64));
    runtime.block_on(follow(&gateway));
}

async fn follow(gateway: &Gateway) -> Client {
    let client = Client::connect(gateway.http, &Ask::new(STREAM))
        .await
        .expect("an answer");
    assert_eq!(client.status, 200, "{}", client.head);
    client
}

/// The short form of `riverhead-loadtest hog`. The latency of the other client says nothing in so short a time, on a
/// machine that runs other tests.
#[test]
fn one_address_gets_its_limit_and_others_do_not_notice() {
    let report = Hog {
        binary: RIVERHEAD.into(),
        attempts: 600,
        at_once: 60,
        limit: 4,
        rounds: 2,
        half: Duration::from_secs(1),
        progress: Progress::Silent,
    }
    .run();
    let mut problems = report.problems();
    problems.retain(|problem| !problem.contains("more than doubled"));
    assert!(problems.is_empty(), "{problems:?}\n{report}\n{}", report.log());
}
