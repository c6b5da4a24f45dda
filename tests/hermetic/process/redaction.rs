//! What a stream redacts is served to nobody, and is nowhere in the process: not in what is kept for the clients that read
//! live or catch up, and not in what it tells operators.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use riverhead_brokers::eventually;
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};

use crate::{
    process::{RIVERHEAD, SOON},
    support::{
        brokers::Brokers,
        traces::{OVERWRITE_FREED, copies_in_memory},
    },
};

const TOPIC: &str = "redacted";

/// What must be nowhere. It is in no request and in no configuration.
const SECRET: &str = "s3cret";

/// What is in every value, and stays.
const OPEN: &str = "every0ne";

/// Records of each of the two parts: before the gateway starts, and while it reads.
const RECORDS: usize = 200;

/// The queries of clients that read live, and of those that catch up. Each is asked for twice, so that there are lanes, and batches
/// that clients share.
const FORMS: [&str; 4] = ["x=live", "filter=n%3E%3D0", "id=compact", "canary=true&x=lines"];
const LATE: [&str; 3] = ["since=1", "since=1&filter=n%3E%3D0", "since=1&x=lines"];

/// How long the buffers of Kafka's clients may hold what was fetched: the readers of history stop when they are idle.
const BUFFERS: Duration = Duration::from_secs(90);

fn plan(brokers: &Brokers) -> GatewayPlan {
    let streams = format!(
        "[{{ name = \"stream\", topics = [\"{TOPIC}\"], tombstones = \"delete\", annotate = true, drop = 'internal = true', \
         redact = [{{ remove = [\"user\", \"performer.name\", \"@key\", \"@header.ip\"] }}, \
         {{ when = 'kind = odd', blank = [\"comment\"] }}, {{ when = 'kind = even', remove = [\"comment\"] }}] }}]"
    );
    GatewayPlan::new(RIVERHEAD, brokers.addresses().to_vec(), "stream", &[TOPIC])
        .unlimited()
        .set("RIVERHEAD__STREAMS", &streams)
        .set("RIVERHEAD_HTTP__HEARTBEAT", "1s")
        .set(OVERWRITE_FREED.0, OVERWRITE_FREED.1)
}

/// Writes records with secrets in every place where one may be, and then some without.
fn write(brokers: &Brokers, first: usize) {
    for number in first..first + RECORDS {
        let (headers, secret) = (
            [("ip", Some("s3cret-ip")), ("type", Some("edit"))],
            format!("s3cret-{number}"),
        );
        let value = match number % 5 {
            0 => format!(r#"{{"n":{number},"text":"{secret}","internal":true}}"#),
            1 => format!(r#"{{"n":{number},"text":"{secret}"#),
            2 => {
                brokers.write_record(TOPIC, &secret, &headers, None);
                continue;
            }
            kind => format!(
                r#"{{"n":{number},"open":"{OPEN}","us\u0065r":["{secret}"],"performer":[{{"name":"{secret}","id":1}}],"kind":"{}","comment":"{secret}"}}"#,
                if kind == 3 { "odd" } else { "even" }
            ),
        };
        brokers.write_record(TOPIC, &secret, &headers, Some(&value));
    }
    for number in first + RECORDS..first + RECORDS + 5 {
        brokers.write_record(
            TOPIC,
            "",
            &[],
            Some(&format!(r#"{{"n":{number},"open":"{OPEN}"}}"#)),
        );
    }
}

/// A client that keeps all that it is sent, and stays.
struct Reading {
    name: &'static str,
    body: Arc<Mutex<String>>,
}

impl Reading {
    fn start(gateway: &Gateway, name: &'static str) -> Self {
        let mut socket = TcpStream::connect(gateway.http).expect("a connection");
        let accept = if name.contains("lines") {
            "application/json"
        } else {
            "text/event-stream"
        };
        let request =
            format!("GET /v2/stream/stream?{name} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("sent");
        let body = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&body);
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(length @ 1..) = socket.read(&mut buffer) {
                *kept.lock().unwrap() += &String::from_utf8_lossy(&buffer[..length]);
            }
        });
        Self { name, body }
    }

    fn until_has(&self, wanted: &str) {
        eventually(SOON, self.name, || self.body.lock().unwrap().contains(wanted));
    }

    fn holds(&self, text: &str) -> bool {
        self.body.lock().unwrap().contains(text)
    }
}

/// Returns what curl reads of a stream in two seconds, unpacked.
fn unpacked(gateway: &Gateway, query: &str) -> String {
    let url = format!("http://{}/v2/stream/stream?encoding=gzip&{query}", gateway.http);
    let curl = Command::new("curl")
        .args(["-sN", "--compressed", "--max-time", "2", &url])
        .output();
    String::from_utf8_lossy(&curl.expect("curl").stdout).into_owned()
}

#[test]
fn what_is_redacted_is_sent_to_nobody_and_is_nowhere_in_memory() {
    let brokers = Brokers::start(&[(TOPIC, 1)]);
    write(&brokers, 0);
    let gateway = plan(&brokers).start().expect("a gateway");
    gateway.wait_for_partitions(1, SOON);
    let mut live: Vec<_> = FORMS
        .iter()
        .chain(&FORMS)
        .map(|form| Reading::start(&gateway, form))
        .collect();
    let blind = Reading::start(
        &gateway,
        "filter=exists%20user%20or%20exists%20%40key%20or%20exists%20%40header.ip",
    );
    write(&brokers, 1_000);
    let last = format!("\"n\":{}", 1_000 + RECORDS + 4);
    live.iter().for_each(|client| client.until_has(&last));
    let late: Vec<_> = LATE
        .iter()
        .chain(&LATE)
        .map(|form| Reading::start(&gateway, form))
        .collect();
    late.iter().for_each(|client| client.until_has(&last));
    live.extend(late);
    let all = unpacked(&gateway, "since=1");
    assert!(all.contains(&last) && !all.contains(SECRET), "gzip");

    for client in &live {
        assert!(!client.holds(SECRET), "{}", client.name);
        assert!(
            client.holds(OPEN) && client.holds("\"performer\":[{\"id\":1}]"),
            "{}",
            client.name
        );
        assert!(client.holds("\"comment\":\"\""), "{}", client.name);
        let place = format!("\"topic\":\"{TOPIC}\",\"partition\":0,\"offset\":");
        assert!(client.holds(&place), "{}", client.name);
        assert!(!client.holds("internal"), "{}", client.name);
    }
    let finds = ["event: message", "event: delete"].map(|event| blind.holds(event));
    assert_eq!(
        finds, [false; 2],
        "a filter finds nothing where something was removed"
    );
    let deletes = |client: &Reading| client.body.lock().unwrap().matches("{\"key\":null}").count();
    assert_eq!(deletes(&live[0]), RECORDS / 5, "a tombstone without its key");

    let told = ["/healthz", "/metrics", "/admin/clients"].map(|path| gateway.admin(path).expect("an answer"));
    for text in told.iter().chain([&gateway.log()]) {
        assert!(!text.contains(SECRET), "{text}");
    }
    let dropped = format!("\"dropped_records\":{}", RECORDS / 5);
    assert!(told[0].replace(' ', "").contains(&dropped), "{}", told[0]);
    let dropped = gateway.metric("riverhead_kafka_dropped_records_total");
    assert_eq!(dropped.ok(), Some((RECORDS / 5) as f64));
    let bad = "a record is skipped: not a JSON object or array";
    assert!(gateway.log().contains(bad), "{}", gateway.log());

    let pid = gateway.pid();
    assert!(
        copies_in_memory(pid, OPEN.as_bytes()) > 2 * RECORDS / 5,
        "the search finds what is there"
    );
    // While all of these clients are there.
    eventually(BUFFERS, "no trace in memory", || {
        match copies_in_memory(pid, SECRET.as_bytes()) {
            0 => Ok(()),
            traces => Err(traces),
        }
    });
}
