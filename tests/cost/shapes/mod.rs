//! The most expensive requests for each parser of requests.

mod filters;
mod headers;
mod ids;

use std::fmt::Write;

use riverhead::position::{IdForm, IdWriter, LogPosition, LogTag, PartitionPosition};

pub(crate) use self::headers::proxy_headers;
use self::{
    filters::filters,
    headers::{forwarded, headers},
    ids::{compact_ids, json_ids},
};
use crate::gateways::{EPOCH, STREAMS, TOPICS, stream, topic};

/// A request, and the expected response.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) kafka: Kafka,
    pub(crate) peer: Peer,
    method: &'static str,
    target: String,
    /// Headers beside `Host`, as whole lines.
    headers: String,
    pub(crate) status: u16,
}

#[derive(Clone, Copy)]
pub(crate) enum Kafka {
    Reads,
    IsAway,
    /// The gateway has none of the topics.
    LacksTopics,
}

#[derive(Clone, Copy)]
pub(crate) enum Peer {
    Stranger,
    Proxy,
}

/// The longest target, in bytes.
const TARGET: usize = 16 * 1024;

/// The longest value of a header that leaves room for the rest of a head, in bytes.
const HEADER: usize = 31 * 1024;

impl Shape {
    fn new(name: &'static str, target: impl Into<String>) -> Self {
        Self {
            name,
            kafka: Kafka::Reads,
            peer: Peer::Stranger,
            method: "GET",
            target: target.into(),
            headers: String::new(),
            status: 200,
        }
    }

    /// Creates a request for `edits` with this header.
    fn with(name: &'static str, header: &str, value: &str) -> Self {
        Self::new(name, "/v2/stream/edits").and(header, value)
    }

    /// Creates a request for all streams with this id.
    fn resume(name: &'static str, id: &str) -> Self {
        Self::new(name, all_streams()).and("last-event-id", id)
    }

    fn and(mut self, header: &str, value: &str) -> Self {
        write!(self.headers, "{header}: {value}\r\n").unwrap();
        self
    }

    fn lacking(self) -> Self {
        let kafka = Kafka::LacksTopics;
        Self { kafka, ..self }
    }

    fn away(self) -> Self {
        let kafka = Kafka::IsAway;
        Self { kafka, ..self }
    }

    fn behind_proxy(self) -> Self {
        let peer = Peer::Proxy;
        Self { peer, ..self }
    }

    fn refused(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Returns the bytes of the request.
    pub(crate) fn head(&self) -> String {
        let Self {
            method,
            target,
            headers,
            ..
        } = self;
        let host = if headers.starts_with("host:") {
            ""
        } else {
            "host: test\r\n"
        };
        format!("{method} {target} HTTP/1.1\r\n{host}{headers}\r\n")
    }
}

/// Returns all shapes. The first is what browsers send.
pub(crate) fn all() -> Vec<Shape> {
    let usual = Shape::new("a usual request", "/v2/stream/edits?since=2026-11-28T00:00:00Z")
        .and("accept", "text/event-stream")
        .and(
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        )
        .and("accept-language", "en-US,en;q=0.5")
        .and("sec-fetch-dest", "empty")
        .and("sec-fetch-mode", "cors")
        .and("sec-fetch-site", "same-origin");
    [
        vec![usual],
        pages(),
        queries(),
        times(),
        paths(),
        json_ids(),
        compact_ids(),
        filters(),
        forwarded(),
        headers(),
        all_at_once(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pages() -> Vec<Shape> {
    let listing = |name, target: &str| Shape::new(name, target);
    vec![
        listing("page: the list of streams", "/"),
        listing("page: the document for programs", "/?spec"),
        listing("page: the document of version 3.2", "/?spec=3.2"),
        listing("page: what there is to read", "/v2/streams"),
        listing("page: what there is to read of one stream", "/v2/streams/edits"),
        listing("page: information", "/_info"),
        listing("page: whether it is ready", "/readyz"),
        Shape::new("page: none", format!("/{}", fill("a/", TARGET - 1))).refused(404),
    ]
}

fn queries() -> Vec<Shape> {
    let query = |name, unit: &str| Shape::new(name, target(&fill(unit, TARGET - 20)));
    let of_edits = |name, query: &str| Shape::new(name, target(query));
    vec![
        query("query: 8,000 parameters", "a&"),
        query("query: 8,000 separators", "&&"),
        query("query: 5,000 parameters with a value", "a=&"),
        query("query: 2,000 names with escapes", "%61=%41&"),
        query("query: names like a parameter's", "idx=1&"),
        query("query: names as long as a field's", "fielt-1&"),
        query("query: dashes", "-"),
        query("query: one long name", "x"),
        of_edits("query: one long value", &format!("x={}", fill("+", TARGET - 22))),
        query("query: a parameter given many times", "since=&").refused(400),
        query("query: the id given many times", "lastEventId=&"),
        query("query: another name of the id", "evs_last_event_id=&"),
        of_edits(
            "query: a slip behind many",
            &format!("{}&Since=1", fill("a&", TARGET - 40)),
        )
        .refused(400),
    ]
}

fn times() -> Vec<Shape> {
    let since = |name, text: &str| Shape::new(name, target(&format!("since={text}"))).refused(400);
    vec![
        since("since: digits", &fill("1", TARGET - 30)),
        Shape::new(
            "since: a long fraction",
            target(&format!("since=2026-11-28T00:00:00.{}Z", fill("1", TARGET - 80))),
        ),
        since("since: words", &fill("28+Nov+", TARGET - 30)),
        since("since: separators", &fill("-", TARGET - 30)),
        since("since: spaces", &fill("+", TARGET - 30)),
        since("since: parentheses", &fill("(", TARGET - 30)),
    ]
}

fn paths() -> Vec<Shape> {
    let path = |name, list: &str| Shape::new(name, format!("/v2/stream/{list}"));
    let rest = TARGET - all_streams().len();
    let repeated = |last: &str| format!("{}{}", all_streams(), fill(&format!(",{last}"), rest));
    vec![
        Shape::new("path: all streams", all_streams()),
        Shape::new("path: all streams, Kafka is away", all_streams()).away(),
        Shape::new("path: all streams, whose topics are absent", all_streams()).lacking(),
        Shape::new("path: the last stream many times", repeated("alias-31")),
        path("path: escapes", &fill("edits%2C", TARGET - 20)).refused(400),
        path("path: commas", &fill(",", TARGET - 11)).refused(400),
        path("path: one long name", &fill("a", TARGET - 11)).refused(400),
        path("path: slashes", &fill("/", TARGET - 11)).refused(404),
        path("path: broken escapes", &fill("%", TARGET - 11)).refused(400),
        path("path: longer than a target may be", &fill("a", 3 * TARGET)).refused(414),
        path("path: unknown streams", &fill("abc,", 120)).refused(400),
    ]
}

impl Shape {
    /// Adds `on_gap=fail`. The response then comes after the position in each partition is proven.
    fn failing(mut self) -> Self {
        self.target.push_str("?on_gap=fail");
        self
    }
}

/// Returns a request with everything that fits into one head.
fn all_at_once() -> Vec<Shape> {
    let words: Vec<_> = shuffled(400).map(|number| format!("w{number}")).collect();
    let filter = escaped(&format!("a in ({})", words.join(",")));
    let query = format!("filter={filter}&since=2026-11-28T00:00:00Z&id=compact&encoding=gzip&checkpoint=10s");
    let target = format!("{}?{query}", all_streams());
    let target = format!("{target}{}", fill("&a", TARGET - target.len()));
    let id = compact((0..TOPICS).map(|number| (topic(number), 0, at(1))));
    let hops = fill("10.0.0.1,", HEADER - id.len() - 8000);
    let all = || {
        let shape = Shape::new("all at once", target.clone()).behind_proxy();
        let shape = shape.and("last-event-id", &id).and("x-forwarded-for", &hops);
        shape.and("accept", &fill("a/b;q=0.5,", 4000)).repeated(200)
    };
    vec![
        all(),
        Shape {
            name: "all at once, Kafka is away",
            ..all().away()
        },
    ]
}

impl Shape {
    /// Adds this many more lines of a header.
    fn repeated(mut self, lines: usize) -> Self {
        self.headers.push_str(&"a: 1\r\n".repeat(lines));
        self
    }
}

fn target(query: &str) -> String {
    format!("/v2/stream/edits?{query}")
}

fn all_streams() -> String {
    let names: Vec<_> = (0..STREAMS).map(stream).collect();
    format!("/v2/stream/{}", names.join(","))
}

fn compact(entries: impl Iterator<Item = (String, i32, PartitionPosition)>) -> String {
    let entries = entries.map(|(topic, partition, place)| (topic.into(), partition, place));
    let mut id = Vec::new();
    IdWriter::new(IdForm::Compact, entries).write(&mut id);
    assert!(id.len() <= TARGET, "{}", id.len());
    String::from_utf8(id).unwrap()
}

fn at(offset: i64) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset,
        timestamp: Some(1_790_000_000_000),
        log: Some(LogTag::new("cluster", &[7; 16])),
        epoch: Some(EPOCH),
    })
}

/// Returns the numbers from 0 on, in a pseudo-random order.
fn shuffled(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |number| number * 7919 % count)
}

/// Repeats a unit as often as it fits.
fn fill(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len())
}

/// Escapes a text for a query.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b' ' => escaped.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b',' | b'(' | b')' | b'.' => {
                escaped.push(char::from(byte))
            }
            _ => write!(escaped, "%{byte:02X}").unwrap(),
        }
        escaped
    })
}
