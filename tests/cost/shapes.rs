//! The most expensive requests for each parser of requests.

use std::fmt::Write;

use riverhead::position::{IdForm, IdWriter, LogPosition, LogTag, PartitionPosition};

use crate::gateways::{EPOCH, FIELDS, STREAMS, TOPICS, stream, topic};

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

/// Returns the most expensive PROXY headers that a connection can begin with.
pub(crate) fn proxy_headers() -> Vec<(&'static str, Vec<u8>)> {
    let header = |family: u8, rest: &[u8]| {
        let length = (rest.len() as u16).to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[0x21, family][..], &length, rest].concat()
    };
    let fill = |addresses: usize, unit: &[u8]| {
        let fields = unit.iter().cycle().take(PROXY_HEADER - addresses);
        [0x20]
            .iter()
            .cycle()
            .take(addresses)
            .chain(fields)
            .copied()
            .collect::<Vec<_>>()
    };
    vec![
        ("PROXY header: empty fields", header(0x11, &fill(12, &[4, 0, 0]))),
        (
            "PROXY header: one long field",
            header(0x21, &fill(36, &[4, 7, 209])),
        ),
        ("PROXY header: of a socket", header(0x31, &fill(216, &[4, 0, 0]))),
        ("PROXY header: of no family", header(0x00, &fill(0, &[4, 0, 0]))),
    ]
}

/// The longest rest of a PROXY header, in bytes.
const PROXY_HEADER: usize = 2 * 1024;

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

fn json_ids() -> Vec<Shape> {
    let bare = |names: &mut dyn Iterator<Item = String>| {
        let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
        format!("[{}]", names.join(","))
    };
    let entry = |topic: &str, partition: usize| {
        format!(r#"{{"topic":"{topic}","partition":{partition},"offset":1,"timestamp":1}}"#)
    };
    let list = |entries: &mut dyn Iterator<Item = String>| {
        let mut id = String::from("[");
        for entry in entries {
            if id.len() + entry.len() + 2 > TARGET {
                break;
            }
            write!(id, "{}{entry}", if id.len() == 1 { "" } else { "," }).unwrap();
        }
        id + "]"
    };
    let every_topic = list(&mut shuffled(TOPICS).map(|number| entry(&topic(number), 0)));
    let edits = |name, id: &str| Shape::with(name, "last-event-id", id);
    vec![
        Shape::resume(
            "JSON id: topics by name",
            &bare(&mut shuffled(TOPICS).map(topic).take(400)),
        ),
        Shape::resume("JSON id: places of topics", &every_topic),
        Shape::resume("JSON id: places of topics, on_gap=fail", &every_topic).failing(),
        Shape::resume("JSON id: places of topics, Kafka is away", &every_topic).away(),
        edits(
            "JSON id: foreign topics",
            &bare(&mut shuffled(1024).map(|n| format!("f{n}"))),
        )
        .refused(404),
        Shape::resume(
            "JSON id: foreign topics for all streams",
            &bare(&mut shuffled(1024).map(|n| format!("f{n}"))),
        )
        .refused(404),
        edits(
            "JSON id: one topic 1,024 times",
            &bare(&mut shuffled(1024).map(|_| "edits".into())),
        ),
        edits(
            "JSON id: partitions of one topic",
            &list(&mut shuffled(1024).map(|n| entry("edits", n))),
        ),
        edits(
            "JSON id: partitions, Kafka is away",
            &list(&mut shuffled(1024).map(|n| entry("edits", n))),
        )
        .away(),
        edits(
            "JSON id: names with escapes",
            &bare(&mut (0..600).map(|_| r"\u0065dits".into())),
        ),
        edits("JSON id: brackets", &fill("[", TARGET)).refused(400),
        edits(
            "JSON id: other fields",
            &format!("[{{{}}}]", fill("\"a\":[{}],", TARGET - 40)),
        )
        .refused(400),
        edits("JSON id: empty objects", &fill("[{},", TARGET)).refused(400),
        edits(
            "JSON id: a long number",
            &format!(
                "[{{\"topic\":\"edits\",\"partition\":{}}}]",
                fill("1", TARGET - 60)
            ),
        )
        .refused(400),
        edits(
            "JSON id: a list in a text",
            &format!("\"{}\"", fill("edits,", TARGET - 10)),
        )
        .refused(400),
        edits("JSON id: too long", &fill("[", HEADER)).refused(400),
        edits("JSON id: blank", &fill(" ", HEADER)),
    ]
}

fn compact_ids() -> Vec<Shape> {
    let foreign =
        compact((0..1024).map(|number| (format!("foreign-{number}"), 0, PartitionPosition::Earliest)));
    let partitions =
        compact((0..2048).map(|partition| ("edits".into(), partition, PartitionPosition::Earliest)));
    let marks = compact((0..1000).map(|partition| ("edits".into(), partition, at(partition.into()))));
    let topics = compact((0..TOPICS).map(|number| (topic(number), 0, at(1))));
    let wide = compact(
        (0..16).flat_map(|number| (0..128).map(move |p| (topic(number), p, PartitionPosition::Earliest))),
    );
    let reversed = compact(
        (0..1500)
            .rev()
            .map(|partition| ("edits".into(), partition, PartitionPosition::Earliest)),
    );
    let mixed = compact(
        shuffled(1500).map(|partition| ("edits".into(), partition as i32, PartitionPosition::Earliest)),
    );
    let again = compact((0..1000).map(|_| ("edits".into(), 3, PartitionPosition::Earliest)));
    let edits = |name, id: &str| Shape::with(name, "last-event-id", id);
    vec![
        Shape::resume("compact id: foreign topics", &foreign).refused(404),
        edits("compact id: 2,048 partitions", &partitions),
        edits("compact id: 1,000 places", &marks),
        edits("compact id: 1,000 places, Kafka is away", &marks).away(),
        edits("compact id: partitions from the last", &reversed),
        edits("compact id: partitions in no order", &mixed),
        edits("compact id: one partition many times", &again),
        Shape::resume("compact id: 500 topics", &topics),
        Shape::resume("compact id: 500 topics, Kafka is away", &topics).away(),
        Shape::resume("compact id: 500 topics that are absent", &topics).lacking(),
        Shape::resume("compact id: 500 topics, on_gap=fail", &topics).failing(),
        Shape::resume("compact id: 128 partitions of 16 topics, Kafka is away", &wide).away(),
        edits("compact id: not base64", &format!("~1{}", fill("!", TARGET - 2))).refused(400),
        edits("compact id: zeros", &format!("~1{}", fill("A", TARGET - 2))).refused(400),
    ]
}

impl Shape {
    /// Adds `on_gap=fail`. The response then comes after the position in each partition is proven.
    fn failing(mut self) -> Self {
        self.target.push_str("?on_gap=fail");
        self
    }
}

fn filters() -> Vec<Shape> {
    let filter = |name, text: &str| Shape::new(name, target(&format!("filter={}", escaped(text))));
    let numbers = |count| {
        shuffled(count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    };
    let tests = |count: usize, word: &str| {
        let tests = shuffled(count).map(|number| format!("a{} = {number}", number % 7));
        tests.collect::<Vec<_>>().join(word)
    };
    let words: Vec<_> = shuffled(512).map(|number| format!("w{number}")).collect();
    let fields: Vec<_> = (0..FIELDS)
        .map(|field| format!("field{field}={}", numbers(12).join(",")))
        .collect();
    vec![
        filter(
            "filter: 512 values",
            &format!("a in ({})", numbers(512).join(",")),
        ),
        filter("filter: 512 words", &format!("a in ({})", words.join(","))),
        filter("filter: 64 tests by or", &tests(64, " or ")),
        filter("filter: 64 tests by and", &tests(64, " and ")),
        filter("filter: 64 negations", &tests(64, " and ").replace('=', "!=")),
        filter(
            "filter: nested",
            &format!("{}a = 1{}", fill("(not ", 35), fill(")", 7)),
        ),
        filter("filter: parentheses", &fill("(", 4096)).refused(400),
        filter("filter: one long path", &format!("{}a = 1", fill("a.", 30))),
        filter(
            "filter: one long text",
            &format!("a = \"{}\"", fill("\u{e9}", 4000)),
        ),
        filter("filter: long number", &format!("a = 1.{}", fill("1", 4000))),
        filter(
            "filter: wrong at its end",
            &format!("a in ({}) ?", numbers(512).join(",")),
        )
        .refused(400),
        filter("filter: too long", &fill("a = 1 or ", 12_000)).refused(400),
        Shape::new(
            "filter: field of 512 words",
            target(&format!("field1={}", words.join(","))),
        ),
        Shape::new(
            "filter: field of 256 numbers, each a word too",
            target(&format!("field1={}", numbers(256).join(","))),
        ),
        Shape::new(
            "filter: field of too many",
            target(&format!("field1={}", fill("a,", TARGET - 40))),
        )
        .refused(400),
        Shape::new("filter: each field", target(&fields.join("&"))),
        Shape::new(
            "filter: each field, beside a filter",
            target(&format!(
                "{}&filter={}",
                fields.join("&"),
                escaped(&tests(48, " or "))
            )),
        ),
    ]
}

fn forwarded() -> Vec<Shape> {
    let behind =
        |name, header: &str, unit: &str| Shape::with(name, header, &fill(unit, HEADER)).behind_proxy();
    let lines = |name, header: &str, value: &str| many(name, header, value).behind_proxy();
    vec![
        behind("forwarded: nobody named", "x-forwarded-for", " "),
        behind("forwarded: commas", "x-forwarded-for", ","),
        behind("forwarded: hops that are trusted", "x-forwarded-for", "10.0.0.1,"),
        behind("forwarded: hops that are no address", "x-forwarded-for", "a,"),
        behind(
            "forwarded: a hop behind which others stand",
            "x-forwarded-for",
            "10.0.0.1,192.0.2.1,",
        ),
        behind("forwarded: short words", "x-forwarded-for", ":."),
        behind("forwarded: one long word", "x-forwarded-for", "1:"),
        behind("forwarded: pairs", "forwarded", "a=b;"),
        behind("forwarded: empty pairs", "forwarded", ";"),
        behind("forwarded: elements", "forwarded", "for=10.0.0.1,"),
        behind("forwarded: quotes", "forwarded", "for=\"\","),
        behind("forwarded: an open quote", "forwarded", "\"\\"),
        lines("forwarded: 250 lines", "x-forwarded-for", "10.0.0.1"),
        lines(
            "forwarded: 250 lines of the standard",
            "forwarded",
            "for=10.0.0.1",
        ),
    ]
}

fn headers() -> Vec<Shape> {
    let accept = |name, unit: &str| Shape::with(name, "accept", &fill(unit, HEADER));
    vec![
        many("headers: 250 lines", "x", "1"),
        Shape::with("headers: as many as hyper reads", "a", "1")
            .repeated(1000)
            .refused(431),
        Shape::with("headers: one of 31 KiB", "cookie", &fill("a=b; ", HEADER)),
        Shape::with("headers: a block of 100 KiB", "cookie", &fill("a=b; ", 100_000)).refused(431),
        many("headers: 250 blank ids", "last-event-id", ""),
        many("accept: 250 lines", "accept", "a/b"),
        accept("accept: ranges", "a/b,"),
        accept("accept: parameters", "a/b;q=0.5;"),
        accept("accept: commas", ","),
        accept("accept: semicolons", ";"),
        accept("accept: no ranges", "a,"),
        Shape::with("host: one of 31 KiB", "host", &fill("a.", HEADER)),
        Shape::with("host: brackets", "host", &fill("[", HEADER)).refused(400),
        Shape::with("host: colons", "host", &fill("1:", HEADER)).refused(400),
        many("host: 250 of them", "host", "a").refused(400),
        preflight("CORS: many names", &fill("a,", 4090)),
        preflight("CORS: one long name", &fill("a", 4096)),
        preflight("CORS: a list that is too long", &fill("a,", HEADER)),
    ]
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

fn many(name: &'static str, header: &str, value: &str) -> Shape {
    (0..250).fold(Shape::new(name, "/v2/stream/edits"), |shape, _| {
        shape.and(header, value)
    })
}

fn preflight(name: &'static str, asked: &str) -> Shape {
    let shape = Shape::with(name, "origin", "https://page.example");
    let shape = shape.and("access-control-request-method", "GET");
    Shape {
        method: "OPTIONS",
        ..shape.and("access-control-request-headers", asked)
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
