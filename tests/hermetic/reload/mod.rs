//! SIGHUP, as an operator sends it: the binary, its configuration file and its port.

mod churn;
mod client;
mod clusters;
mod rules;
mod stream_config;
mod streams;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::eventually;
use riverhead_loadtest::handover::Successor;

/// A riverhead process.
struct Riverhead {
    child: Child,
    file: tempfile::NamedTempFile,
    address: String,
    admin: String,
    log: Arc<Mutex<String>>,
}

impl Riverhead {
    /// Starts it with this configuration.
    fn start(text: &str) -> Self {
        Self::start_with(text, &[])
    }

    /// Starts it with this configuration, and these variables.
    fn start_with(text: &str, variables: &[(&str, &str)]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_riverhead"))
            .args(["serve", "--config"])
            .arg(file.path())
            .env_clear()
            .env("RIVERHEAD_HTTP__LISTEN", "127.0.0.1:0")
            .env("RIVERHEAD_ADMIN__LISTEN", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = crate::support::printed_addresses(&mut child);
        let (address, admin) = (address("listening on http://"), address("admin on http://"));
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, stderr) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()));
        thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .for_each(|line| *lines.lock().unwrap() += &(line + "\n"))
        });
        Self {
            child,
            file,
            address,
            admin,
            log,
        }
    }

    /// Returns what the admin listener says of the configuration to whoever has this token.
    fn config(&self, token: &str) -> serde_json::Value {
        let body = self.admin("/admin/config", token);
        assert!(!body.contains("do-not-show"), "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Returns all metrics.
    fn metrics(&self) -> String {
        self.admin("/metrics", "")
    }

    /// Returns what health says, while nothing is failing.
    fn health(&self) -> String {
        self.admin("/healthz", "")
    }

    /// Returns the value of a metric: the sum of its series whose labels contain this text.
    fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.metrics();
        let series = text.lines().filter_map(|line| line.strip_prefix(name));
        let own = series.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels));
        own.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    fn admin(&self, path: &str, token: &str) -> String {
        let mut socket = TcpStream::connect(&self.admin).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
            self.admin
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body.to_owned()
    }

    /// Writes another file, sends SIGHUP, and waits for the log line with `answer`.
    fn reload(&self, text: &str, answer: &str) {
        self.log.lock().unwrap().clear();
        fs::write(self.file.path(), text).unwrap();
        let told = Command::new("kill")
            .args(["-HUP", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
        let start = Instant::now();
        while !self.log.lock().unwrap().contains(answer) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "no {answer:?} in\n{}",
                self.log.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGUSR2, and waits until a successor serves.
    fn hand_over(&self) -> Successor {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-USR2", &pid]).status().unwrap();
        assert!(told.success());
        let mut pid = None;
        eventually(SOON, "a successor that serves", || {
            let log = self.log.lock().unwrap().clone();
            let line = log.lines().find(|line| line.contains("handed over: draining"));
            let digits = line.and_then(|line| line.split("successor=").nth(1)?.split(' ').next());
            pid = digits.and_then(|digits| digits.parse().ok());
            pid.map(drop).ok_or(log)
        });
        Successor { pid: pid.unwrap() }
    }

    /// Requests the stream `edits`. Returns the connection and the status.
    fn ask(&self) -> (TcpStream, String) {
        self.ask_for("edits", "")
    }

    /// Requests a stream, with a query if `target` has one, and with this `Last-Event-ID`.
    fn ask_for(&self, target: &str, id: &str) -> (TcpStream, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request =
            format!("GET /v2/stream/{target} HTTP/1.1\r\nhost: test\r\nlast-event-id: {id}\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        socket.read_exact(&mut status).unwrap();
        (socket, String::from_utf8_lossy(&status[9..]).into_owned())
    }
}

impl Drop for Riverhead {
    fn drop(&mut self) {
        // This fails if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long anything may take.
const SOON: Duration = Duration::from_secs(20);

/// What the log says of a reload after which nothing waits for a restart.
const APPLIED: &str = "was read again and applies";

fn text(limits: &str) -> String {
    text_with(limits, "name = 'edits'\ntopics = ['edits']")
}

/// Returns a configuration with these `[limits]` and this stream.
fn text_with(limits: &str, stream: &str) -> String {
    format!(
        "[limits]\n{limits}\n\
         [[clusters]]\nname = \"main\"\nbootstrap = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]\n\
         [[streams]]\n{stream}\n"
    )
}

#[test]
fn a_hangup_changes_the_limits_and_no_stream_and_a_bad_file_changes_nothing() {
    let riverhead = Riverhead::start(&text("streams_per_client = 1"));
    let (mut first, status) = riverhead.ask();
    assert_eq!(status, "200");
    assert_eq!(riverhead.ask().1, "429");

    riverhead.reload(&text("streams_per_client = 2"), APPLIED);
    let (_second, status) = riverhead.ask();
    assert_eq!(status, "200");
    assert_eq!(riverhead.ask().1, "429");

    let bad = text("streams_per_client = 0\nstreams_total = \"many\"\n[http]\nheartbeet = 1");
    riverhead.reload(&bad, "3 errors");
    assert!(riverhead.log.lock().unwrap().contains("heartbeet"));
    assert_eq!(riverhead.ask().1, "429");

    let other = text("streams_per_client = 3\n[http]\nhold_limit = \"1h\"\n[memory]\ntail = \"1MiB\"");
    riverhead.reload(&other, "need a restart");
    assert!(riverhead.log.lock().unwrap().contains("http, memory"));
    assert_eq!(riverhead.ask().1, "200");

    first.set_nonblocking(true).unwrap();
    let mut head = Vec::new();
    let end = first.read_to_end(&mut head).unwrap_err();
    assert_eq!(
        end.kind(),
        std::io::ErrorKind::WouldBlock,
        "the first stream is still open"
    );
}

/// A 4xx ends an `EventSource` for good.
#[test]
fn a_reconnect_that_worked_is_not_refused_after_a_reload_or_a_restart_with_other_streams() {
    let limits = "streams_per_client = 100\nrequest_burst = 1000";
    let before = "name = 'edits'\ntopics = ['edits', 'old']\nfilter_fields = ['wiki', 'meta.dt']";
    let after = "name = 'changes'\naliases = ['edits']\ntopics = ['edits']\nformer_topics = ['old']";
    let riverhead = Riverhead::start(&text_with(limits, before));
    assert_reconnects(&riverhead, "before");

    let fewer = "streams_per_client = 50\nrequest_burst = 500";
    riverhead.reload(&text_with(fewer, after), APPLIED);
    assert_reconnects(&riverhead, "after the reload");
    drop(riverhead);
    assert_reconnects(&Riverhead::start(&text_with(fewer, after)), "after the restart");
}

/// Asserts that whoever was given one of these places, or used one of these addresses, gets a stream.
fn assert_reconnects(riverhead: &Riverhead, when: &str) {
    let id = r#"[{"topic":"edits","partition":0,"offset":7},{"topic":"old","partition":0,"timestamp":1790487705415}]"#;
    for (target, id) in [
        ("edits", ""),
        ("edits", id),
        ("edits?wiki=enwiki,dewiki", ""),
        ("edits?wiki=enwiki&meta.dt=x", id),
        ("edits?filter=wiki%20%3D%20enwiki", id),
        ("edits?since=2026-11-28T00:00:00Z&id=compact", ""),
        ("edits?lastEventId=%5B%22old%22%5D", ""),
    ] {
        assert_eq!(riverhead.ask_for(target, id).1, "200", "{when}: {target} {id}");
    }
}

#[test]
fn operators_see_the_settings_in_force_and_what_each_reload_changed_but_no_secret() {
    let token = "do-not-show-this-token";
    let with = |more: &str| {
        let secret = "[clusters.librdkafka]\nsecurity.protocol = 'sasl_plaintext'\nsasl.mechanism = 'PLAIN'\n\
            sasl.username = 'riverhead'\nsasl.password = 'do-not-show-this'\n[[streams]]";
        format!(
            "[admin]\ntoken = '{token}'\n{}",
            text(more).replace("[[streams]]", secret)
        )
    };
    let riverhead = Riverhead::start(&with("streams_per_client = 3"));
    let find = |list: &serde_json::Value, key: &str| {
        let found = list.as_array().unwrap().iter().find(|it| it["key"] == key);
        found.unwrap_or_else(|| panic!("{key} in {list:#}")).clone()
    };
    let config = riverhead.config(token);
    let own = find(&config["settings"], "limits.streams_per_client");
    assert_eq!((&own["value"], &own["origin"]), (&"3".into(), &"file".into()));
    let listen = find(&config["settings"], "http.listen");
    assert_eq!(listen["origin"], "RIVERHEAD_HTTP__LISTEN");
    for secret in ["admin.token", "clusters[main].librdkafka.sasl.password"] {
        assert!(find(&config["settings"], secret)["value"].is_null(), "{secret}");
    }
    assert_eq!(config["reloads"], serde_json::json!([]));

    riverhead.reload(&with("streams_per_client = 0"), "1 error");
    riverhead.reload(
        &with("streams_per_client = 4\n[memory]\ntail = '64MiB'"),
        "need a restart",
    );
    let config = riverhead.config(token);
    let [last, first] = &config["reloads"].as_array().unwrap()[..] else {
        panic!("{config:#}");
    };
    assert_eq!(
        (&last["result"], &first["result"]),
        (&"applied".into(), &"refused".into())
    );
    assert!(
        first["detail"].as_str().unwrap().contains("streams_per_client"),
        "{first:#}"
    );
    let limit = find(&last["changes"], "limits.streams_per_client");
    assert_eq!(
        (
            &limit["before"]["value"],
            &limit["after"]["value"],
            &limit["applies"]
        ),
        (&"3".into(), &"4".into(), &"now".into())
    );
    let tail = find(&last["changes"], "memory.tail");
    assert_eq!(
        (
            &tail["before"]["origin"],
            &tail["after"]["value"],
            &tail["applies"]
        ),
        (&"default".into(), &"64MiB".into(), &"restart".into())
    );
    let value = |key: &str| find(&config["settings"], key)["value"].clone();
    assert_eq!(value("limits.streams_per_client"), "4");
    assert_eq!(value("memory.tail"), "256MiB", "what runs, not what waits");
    assert_eq!(find(&config["waiting"], "memory.tail")["after"]["value"], "64MiB");
}
