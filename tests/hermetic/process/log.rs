//! A log whose reader has stopped, and a log that one client tries to fill.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, PipeWriter, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::eventually;
use riverhead_loadtest::gateway::Gateway;

use crate::process::{RIVERHEAD, SOON, STREAM, plan};

/// A pipe that is full for as long as it exists, whatever its capacity.
struct FullPipe {
    reader: std::io::PipeReader,
    writer: PipeWriter,
}

impl FullPipe {
    fn new() -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut filler = writer.try_clone().expect("a descriptor");
        // The thread stays in its write until the pipe is closed.
        thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
        let full = Self { reader, writer };
        eventually(SOON, "a full pipe", || full.takes_nothing());
        full
    }

    fn takes_nothing(&self) -> bool {
        let mut poll = [rustix::event::PollFd::new(
            &self.writer,
            rustix::event::PollFlags::OUT,
        )];
        rustix::event::poll(&mut poll, Some(&rustix::event::Timespec::default())) == Ok(0)
    }

    fn stdio(&self) -> Stdio {
        self.writer.try_clone().expect("a descriptor").into()
    }
}

/// A gateway whose stderr is not read.
struct UnreadGateway {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
    /// The directory of its configuration, kept for as long as it runs.
    _directory: tempfile::TempDir,
}

impl UnreadGateway {
    fn start(pipe: &FullPipe) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("riverhead.toml");
        fs::write(&file, plan().config()).expect("written");
        let mut child = Command::new(RIVERHEAD)
            .args(["serve", "--config"])
            .arg(file)
            .env("RIVERHEAD_HTTP__HEARTBEAT", "100ms")
            .env("RIVERHEAD_HTTP__DRAIN", "100ms")
            .stdout(Stdio::piped())
            .stderr(pipe.stdio())
            .spawn()
            .expect("a process");
        let stdout = child.stdout.take().expect("a pipe");
        let (tell, lines) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let address = |prefix: &str| {
            let line = lines.recv_timeout(SOON).expect("a line on stdout");
            let address = line.strip_prefix(prefix).expect("an address");
            address.parse().expect("an address")
        };
        Self {
            public: address("listening on http://"),
            admin: address("admin on http://"),
            child,
            _directory: directory,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for UnreadGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(address: SocketAddr, target: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("sent");
    socket
}

fn answer(address: SocketAddr, target: &str) -> String {
    let mut answer = String::new();
    ask(address, target)
        .read_to_string(&mut answer)
        .expect("an answer");
    answer
}

/// Reads until `what` has arrived this many times.
fn read_until(socket: &mut TcpStream, what: &str, times: usize) {
    let mut text = String::new();
    while text.matches(what).count() < times {
        let mut more = [0; 4096];
        let read = socket.read(&mut more).expect("a stream that goes on");
        assert!(read > 0, "it ended: {text}");
        text += &String::from_utf8_lossy(&more[..read]);
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let pipe = FullPipe::new();
    let mut gateway = UnreadGateway::start(&pipe);
    for address in [gateway.public, gateway.admin] {
        assert!(answer(address, "/livez").starts_with("HTTP/1.1 200 "));
    }
    // Each stream writes two log lines, which would wait for a reader.
    let mut stream = ask(gateway.public, STREAM);
    read_until(&mut stream, ":ok", 1);
    for _ in 0..20 {
        read_until(&mut ask(gateway.public, STREAM), ":ok", 1);
    }
    read_until(&mut stream, "\r\n:\n", 3);
    gateway.signal("HUP");
    let metrics = answer(gateway.admin, "/metrics");
    assert!(
        metrics.contains("riverhead_log_lines_dropped_total{class=\"request\"} 0\n"),
        "{metrics}"
    );
    gateway.signal("TERM");
    let status = eventually(SOON, "its end", || {
        gateway.child.try_wait().expect("a status").ok_or("it runs")
    });
    assert_eq!(status.code(), Some(0));
    drop(pipe.reader);
}

#[test]
fn a_start_that_fails_ends_though_nobody_reads_why() {
    let pipe = FullPipe::new();
    let mut child = Command::new(RIVERHEAD)
        .args(["serve", "--config", "/nowhere/riverhead.toml"])
        .stderr(pipe.stdio())
        .spawn()
        .expect("a process");
    let mut code = None;
    eventually(SOON, "its end", || {
        code = child.try_wait().expect("a status");
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(64));
}

/// Opens a stream from this loopback address, and closes it at once.
fn visit(gateway: &Gateway, source: [u8; 4]) {
    let mut socket = crate::process::connect_from(source, gateway.http);
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut some = [0; 64];
    assert!(socket.read(&mut some).expect("an answer") > 0);
}

#[test]
fn one_client_fills_no_log_and_hides_nobody() {
    let gateway = plan().unlimited().start().expect("a gateway");
    let (noisy, quiet) = ([127, 0, 0, 7], [127, 0, 0, 8]);
    (0..200).for_each(|_| visit(&gateway, noisy));
    visit(&gateway, quiet);
    eventually(SOON, "the ends", || {
        gateway
            .metric("riverhead_streams_ended_total")
            .is_ok_and(|ended| ended >= 201.0)
    });
    let lines_of = |log: &str| {
        let mut counts = BTreeMap::new();
        for line in log.lines() {
            let client = line
                .split(" client=")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            *counts.entry(client.unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        counts
    };
    eventually(SOON, "the log lines of the quiet client", || {
        lines_of(&gateway.log()).get("127.0.0.8") == Some(&2)
    });
    let noisy = lines_of(&gateway.log())["127.0.0.7"];
    assert!((10..=30).contains(&noisy), "{noisy} lines of 400");
}

#[test]
fn an_end_waits_for_a_log_that_nobody_reads_for_a_second_and_no_longer() {
    let pipe = FullPipe::new();
    let mut gateway = UnreadGateway::start(&pipe);
    assert!(answer(gateway.public, "/livez").starts_with("HTTP/1.1 200 "));
    let told = Instant::now();
    gateway.signal("TERM");
    eventually(SOON, "its end", || {
        gateway.child.try_wait().expect("a status").is_some()
    });
    let took = told.elapsed();
    // It may wait for a second; the rest is for a machine that does other things.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

/// Two lines a stream, and more of them than lines about requests have room for.
#[test]
fn strangers_who_fill_the_log_take_no_room_from_operations() {
    let pipe = FullPipe::new();
    let gateway = UnreadGateway::start(&pipe);
    let dropped = |class: &str| -> u64 {
        let metrics = answer(gateway.admin, "/metrics");
        let series = format!("riverhead_log_lines_dropped_total{{class=\"{class}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.expect("a counter").parse().expect("a number")
    };
    let mut visitors = 0..60_000_u16;
    while dropped("request") == 0 {
        for visitor in visitors.by_ref().take(100) {
            let [high, low] = visitor.to_be_bytes();
            for _ in 0..8 {
                let mut socket = crate::process::connect_from([127, 1, high, low], gateway.public);
                let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n\r\n");
                socket.write_all(request.as_bytes()).expect("sent");
                let mut some = [0; 64];
                assert!(socket.read(&mut some).expect("an answer") > 0);
            }
        }
        assert!(!visitors.is_empty(), "so many lines are too few");
    }
    (0..20).for_each(|_| gateway.signal("HUP"));
    assert!(answer(gateway.public, "/livez").starts_with("HTTP/1.1 200 "));
    assert_eq!(dropped("operation"), 0);
}

/// Somebody whom a trusted proxy does not name, again and again: a line a second, which counts the others.
#[test]
fn who_is_not_named_by_a_proxy_is_in_the_log_and_does_not_fill_it() {
    let gateway = plan()
        .unlimited()
        .set("RIVERHEAD_HTTP__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]")
        .start()
        .expect("a gateway");
    let begun = Instant::now();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(gateway.http).expect("a connection");
        socket.set_read_timeout(Some(SOON)).expect("a timeout");
        let request = "GET / HTTP/1.1\r\nhost: test\r\nforwarded: rubbish\r\nconnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).expect("sent");
        let mut said = String::new();
        socket.read_to_string(&mut said).expect("an answer");
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    }
    assert_eq!(
        gateway.metric("riverhead_http_unforwarded_total").ok(),
        Some(200.0)
    );
    let lines = || gateway.log().matches(" left_out=").count() as u64;
    eventually(SOON, "a line", || lines() > 0);
    let most = begun.elapsed().as_secs() + 2;
    assert!(lines() <= most, "{} lines: {}", lines(), gateway.log());
}
