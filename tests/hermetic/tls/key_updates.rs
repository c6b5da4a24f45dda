//! Programs that read a stream over TLS 1.3 while its keys change every few records.
//!
//! Needs curl, node, openssl and python3: `./tests/run` installs them.

use std::{
    fs,
    io::{Read, Write},
    process::{Child, Command, Stdio},
};

use riverhead::http::settings::Sink;
use tokio::task::block_in_place;

use crate::{
    support::model::ModelFixture,
    tls::{
        TlsGateway,
        authority::{Authority, Files, settings},
        response_events::ResponseEvents,
    },
};

const TAKEN_OVER: &str = "riverhead_http_connections_taken_over_total";

/// The number of records under one key.
const KEY_UPDATE_AFTER: u32 = 3;

/// The number of records in the log at the start. With some 16 KiB of events in a TLS record, these need tens of keys.
const EARLIER: usize = 20_000;

/// The number of records that come later, one by one. Each is a TLS record at least.
const LATER: usize = 30;

/// A gateway whose keys seal few records, and the files for its clients.
struct KeyUpdates {
    files: Files,
    fixture: ModelFixture,
    gateway: TlsGateway,
}

impl KeyUpdates {
    fn new() -> Self {
        let (authority, files) = (Authority::new(), Files::new());
        files.write("ca.pem", &authority.pem());
        let mut settings = settings(vec![files.pair("localhost", &authority.issue(&["localhost"]))]);
        settings.key_update_after = KEY_UPDATE_AFTER;
        let fixture = ModelFixture::new(1);
        fixture.write(0, EARLIER);
        let gateway = TlsGateway::of(&fixture, &settings, |http| http.sink = Sink::Socket);
        Self {
            files,
            fixture,
            gateway,
        }
    }

    fn port(&self) -> String {
        self.gateway.https().port().to_string()
    }

    /// Starts a program in the directory of the files. It is killed after a minute.
    fn start(&self, program: &[&str]) -> Program {
        let child = Command::new("timeout")
            .arg("60")
            .args(program)
            .current_dir(self.files.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("timeout is a part of coreutils");
        Program {
            child,
            is_on_wire: false,
            events: ResponseEvents::new(),
        }
    }

    /// Reads the whole log, and what is written later, and does `between` before each later record.
    fn read(&self, program: &mut Program, mut between: impl FnMut(usize, &mut Child)) {
        program.read(EARLIER);
        for index in 0..LATER {
            between(index, &mut program.child);
            self.fixture.write(0, 1);
            program.read(EARLIER + index + 1);
        }
    }
}

/// A program that prints a stream.
struct Program {
    child: Child,
    /// Whether it prints the response as it is on the wire: its head, and chunks.
    is_on_wire: bool,
    events: ResponseEvents,
}

impl Program {
    /// Reads until there are so many events.
    fn read(&mut self, events: usize) {
        let mut bytes = vec![0; 64 * 1024];
        while self.events.numbers.len() < events {
            let length = self.child.stdout.as_mut().unwrap().read(&mut bytes).unwrap();
            assert!(length > 0, "it ended after {} events", self.events.numbers.len());
            self.events.text.extend_from_slice(&bytes[..length]);
            match self.is_on_wire {
                true => self.events.take_chunks(),
                false => self.events.take_body(),
            }
        }
    }

    /// Fails unless each event has come once, in order.
    fn check(&self, name: &str) {
        let all = 1..=(EARLIER + LATER) as u64;
        assert!(self.events.numbers.iter().copied().eq(all), "{name}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The position before the first record.
const ALL: &str = r#"[{"topic":"edits","partition":0,"offset":-2}]"#;

const NODE: &str = r#"
const [port, id] = process.argv.slice(1);
require("https").get({
    host: "127.0.0.1", port, servername: "localhost", ca: require("fs").readFileSync("ca.pem"),
    path: "/v2/stream/edits", headers: { host: "localhost", "last-event-id": id },
}, (response) => response.pipe(process.stdout));
"#;

const PYTHON: &str = r#"
import http.client, ssl, sys
port, id = sys.argv[1:]
connection = http.client.HTTPSConnection("localhost", int(port), context=ssl.create_default_context(cafile="ca.pem"))
connection.request("GET", "/v2/stream/edits", headers={"last-event-id": id})
response = connection.getresponse()
while data := response.read1(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs curl, node and python3: ./tests/run"]
async fn programs_follow_the_keys_of_a_stream() {
    for name in ["curl", "node", "python3"] {
        let updates = KeyUpdates::new();
        let port = updates.port();
        let (url, resolve, id) = (
            format!("https://localhost:{port}/v2/stream/edits"),
            format!("localhost:{port}:127.0.0.1"),
            format!("last-event-id: {ALL}"),
        );
        let program: &[&str] = match name {
            "curl" => &[
                "curl",
                "-sN",
                "--http1.1",
                "--cacert",
                "ca.pem",
                "--resolve",
                &resolve,
                "-H",
                &id,
                &url,
            ],
            "node" => &["node", "-e", NODE, &port, ALL],
            _ => &["python3", "-c", PYTHON, &port, ALL],
        };
        block_in_place(|| {
            let mut program = updates.start(program);
            updates.read(&mut program, |_, _| {});
            program.check(name);
        });
        updates.gateway.gateway.until_metric(TAKEN_OVER, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs openssl: ./tests/run"]
async fn the_keys_of_openssl_are_followed_too() {
    let updates = KeyUpdates::new();
    let address = updates.gateway.https().to_string();
    let program = [
        "openssl",
        "s_client",
        "-connect",
        &address,
        "-servername",
        "localhost",
        "-CAfile",
        "ca.pem",
        "-msg",
        "-msgfile",
        "messages",
        // Nothing but the response on stdout, and commands on stdin all the same.
        "-quiet",
        "-no_ign_eof",
    ];
    block_in_place(|| {
        let mut program = updates.start(&program);
        program.is_on_wire = true;
        let request =
            format!("GET /v2/stream/edits HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {ALL}\r\n\r\n");
        let write = |child: &mut Child, text: &str| {
            let stdin = child.stdin.as_mut().unwrap();
            stdin.write_all(text.as_bytes()).unwrap();
            stdin.flush().unwrap();
        };
        write(&mut program.child, &request);
        // `K` updates its keys and asks for an update of ours, `k` only updates its own.
        updates.read(&mut program, |index, child| {
            write(child, if index % 2 == 0 { "K\n" } else { "k\n" });
        });
        program.check("s_client");
    });
    updates.gateway.gateway.until_metric(TAKEN_OVER, 1.0).await;
    let messages = fs::read_to_string(updates.files.path("messages")).unwrap();
    let updates_of = |side: &str| {
        let is_update = |line: &&str| line.starts_with(side) && line.ends_with("KeyUpdate");
        messages.lines().filter(is_update).count()
    };
    // Those of the last record may not be sent yet.
    assert!(updates_of(">>>") >= LATER - 1, "{}", updates_of(">>>"));
    let asked = LATER / 2;
    assert!(
        updates_of("<<<") >= asked + EARLIER / 1_000,
        "{}",
        updates_of("<<<")
    );
}
