//! What is revoked while one process hands over to another.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use riverhead_loadtest::{
    gateway::{Gateway, GatewayPlan},
    handover::Successor,
};

use crate::{
    auth::api_keys,
    succession::{DEADLINE, STREAM, plan, start_brokers, until},
    tls::authority::Files,
};

const TOKEN: &str = "0123456789abcdef";

/// A gateway that takes API keys, and can be told to revoke them.
fn with_keys(plan: GatewayPlan, files: &Files) -> GatewayPlan {
    let path = |name: &str| files.path(name).to_str().unwrap().to_owned();
    plan.set("RIVERHEAD_AUTH__KEYS_FILE", &path("keys.toml"))
        .set("RIVERHEAD_AUTH__REVOCATIONS_FILE", &path("revoked.toml"))
        .set("RIVERHEAD_ADMIN__TOKEN", TOKEN)
}

/// Sends a request with this key, and returns the connection and the status.
fn ask(address: SocketAddr, key: &str) -> (TcpStream, u16) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let request =
        format!("GET /v2/stream/{STREAM} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut line = [0; 12];
    socket.read_exact(&mut line).unwrap();
    let status = str::from_utf8(&line[9..]).unwrap().parse().unwrap();
    (socket, status)
}

fn status(address: SocketAddr, key: &str) -> u16 {
    ask(address, key).1
}

fn revoke(gateway: &Gateway, name: &str) {
    let body = format!("{{\"key\":\"{name}\"}}");
    let answer = gateway.command("/admin/revocations", TOKEN, &body).unwrap();
    assert!(answer.contains("streams"), "{answer}");
}

/// Reads until the stream ends.
fn ends(mut socket: TcpStream) {
    let start = Instant::now();
    while socket.read(&mut [0; 4096]).expect("the stream is silent") > 0 {
        assert!(start.elapsed() < DEADLINE, "the stream goes on");
    }
}

/// Returns the process that has been started to take over, when it has read its files: it asks Kafka after that.
fn waiting_successor(first: &Gateway) -> Successor {
    until("a successor", first, || {
        first.log().contains("started a successor")
    });
    let log = first.log();
    let (_, behind) = log.rsplit_once("successor=").unwrap();
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    let pid = digits.parse().unwrap();
    until("a client of Kafka", first, || has_kafka_threads(pid));
    Successor { pid }
}

fn has_kafka_threads(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let mut names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.any(|name| name.starts_with("rdk:"))
}

#[test]
fn what_is_revoked_while_a_successor_waits_for_kafka_stays_revoked() {
    let (brokers, files) = (start_brokers(), Files::new());
    let [one, two, three] = api_keys(&files, [("one", "read"), ("two", "read"), ("three", "read")]);
    let first = with_keys(plan(brokers.addresses()), &files).start().unwrap();
    for key in [&one, &two, &three] {
        assert_eq!(status(first.http, key), 200);
    }
    (0..3).for_each(|broker| brokers.mute(broker));
    first.signal("USR2").unwrap();
    let _successor = waiting_successor(&first);
    revoke(&first, "one");
    assert_eq!(status(first.http, &one), 401);
    riverhead::auth::revoke(&files.path("keys.toml"), "two").unwrap();
    first.signal("HUP").unwrap();
    until("a reload", &first, || status(first.http, &two) == 401);

    (0..3).for_each(|broker| brokers.unmute(broker));
    (0..3).for_each(|broker| brokers.disconnect(broker));
    until("a take-over", &first, || {
        first.log().contains("handed over: draining")
    });
    assert_eq!(
        [&one, &two, &three].map(|key| status(first.http, key)),
        [401, 401, 200]
    );
}

#[test]
fn what_is_revoked_at_the_successor_ends_streams_that_still_drain() {
    let (brokers, files) = (start_brokers(), Files::new());
    let [one, two] = api_keys(&files, [("one", "read"), ("two", "read")]);
    let plan = plan(brokers.addresses()).set("RIVERHEAD_HTTP__DRAIN", "1h");
    let first = with_keys(plan, &files).start().unwrap();
    let [(ending, _), (mut staying, _)] = [&one, &two].map(|key| ask(first.http, key));
    let _successor = first.hand_over(DEADLINE).unwrap();
    // The admin socket is the successor's now.
    revoke(&first, "one");
    ends(ending);
    staying
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut rest = Vec::new();
    let error = staying.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "it ended too");
}
