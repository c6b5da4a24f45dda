//! The paths and parameters in the documentation are those of the demo.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::docs::{
    demo::{Demo, ask},
    markdown::{Page, pages, spans_of},
    shell::commands_of,
};

/// Addresses in commands, and whether they are of the admin listener.
const LISTENERS: [(&str, bool); 3] = [
    ("http://127.0.0.1:8080", false),
    ("http://127.0.0.1:8081", true),
    ("$A", true),
];

#[test]
fn every_url_of_a_command_is_answered_and_its_parameters_exist() {
    let demo = Demo::start();
    let parameters = parameters(&demo);
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        for words in commands_of(&page) {
            let Some(request) = Request::of(&words) else {
                continue;
            };
            count += 1;
            faults.extend(
                request
                    .fault(&demo, &parameters)
                    .map(|why| format!("{}: {}: {why}", page.path, words.join(" "))),
            );
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(count > 10, "{count} requests");

    for bad in [
        "curl http://127.0.0.1:8080/v2/topics/recentchange",
        "curl http://127.0.0.1:8080/v2/stream/recentchange?sinse=0",
        "curl http://127.0.0.1:8080/v2/stream/recentchange?since=yesterday",
        "curl -G http://127.0.0.1:8080/v2/stream/recentchange --data-urlencode filter=wiki=",
        "curl http://127.0.0.1:8081/health",
        "curl -X POST http://127.0.0.1:8081/admin/cluster/recentchange/active",
    ] {
        let words: Vec<_> = bad.split(' ').map(str::to_owned).collect();
        let fault = Request::of(&words).expect("a request").fault(&demo, &parameters);
        assert!(fault.is_some(), "{bad}");
    }
}

#[test]
fn the_page_of_the_api_has_the_paths_parameters_and_statuses_that_there_are() {
    let demo = Demo::start();
    let page = Page::read("docs/http-api.md");
    for (heading, address) in [
        ("## Paths of the public listener", &demo.public),
        ("## Paths of the admin listener", &demo.admin),
    ] {
        let rows = page.rows_below(heading);
        let paths = rows.iter().flat_map(|row| spans_of(&row[0]).0);
        let paths: Vec<_> = paths
            .map(|path| {
                let names = ["{streams}", "{stream}", "{name}"].into_iter();
                names.fold(path, |path, name| path.replace(name, STREAM))
            })
            .collect();
        assert!(paths.len() > 4, "{paths:?}");
        for path in paths {
            let (status, _) = ask(address, "HEAD", &path);
            assert!([200, 301, 405].contains(&status), "{path}: {status}");
        }
    }

    let operation = operation(&demo);
    let rows = page.rows_below("### Parameters");
    let named: BTreeSet<_> = rows.iter().flat_map(|row| spans_of(&row[0]).0).collect();
    let known = names(&operation, "query");
    let named: BTreeSet<_> = named.into_iter().filter(|name| name != "filter_fields").collect();
    assert_eq!(named, known, "left: docs/http-api.md, right: /?spec");

    let rows = page.rows_below("## Errors");
    let named: BTreeSet<_> = rows.iter().flat_map(|row| spans_of(&row[0]).0).collect();
    let statuses = operation["responses"].as_object().expect("responses").keys();
    let lacking: Vec<_> = statuses
        .filter(|status| !status.starts_with('2') && !named.contains(*status))
        .collect();
    assert!(lacking.is_empty(), "{lacking:?} are not in docs/http-api.md");
}

/// A request of one of the listeners.
struct Request {
    is_admin: bool,
    is_post: bool,
    path: String,
    query: Vec<(String, String)>,
}

impl Request {
    /// Reads a command of curl; `None` for another command, or a request for something else.
    fn of(words: &[String]) -> Option<Self> {
        if words.first()? != "curl" {
            return None;
        }
        let addressed = words.iter().find_map(|word| {
            let mut listeners = LISTENERS.iter();
            listeners.find_map(|(address, is_admin)| Some((word.strip_prefix(address)?, *is_admin)))
        });
        let (target, is_admin) = addressed?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut query: Vec<_> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(pair)
            .collect();
        let encoded = words.windows(2).filter(|words| words[0] == "--data-urlencode");
        query.extend(encoded.map(|words| pair(&words[1])));
        Some(Self {
            is_admin,
            is_post: words.iter().any(|word| word == "POST"),
            path: with_known_stream(path),
            query,
        })
    }

    /// Returns what is wrong with the request, if anything.
    fn fault(&self, demo: &Demo, parameters: &BTreeSet<String>) -> Option<String> {
        let unknown = self.query.iter().find(|(name, _)| !parameters.contains(name));
        if let Some((name, _)) = unknown {
            return Some(format!("there is no parameter {name}"));
        }
        let query: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let target = format!("{}?{}", self.path, query.join("&"));
        let address = if self.is_admin { &demo.admin } else { &demo.public };
        // A HEAD starts no stream, and is refused in the same cases as a GET. A command is not sent.
        let (status, _) = ask(address, "HEAD", target.trim_end_matches('?'));
        let expected = if self.is_post { 405 } else { 200 };
        (status != expected).then(|| format!("{status} instead of {expected}"))
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    // A number that the shell computes.
    let value = if value.starts_with("$((") { "0" } else { value };
    (name.to_owned(), value.to_owned())
}

/// Returns the path with a stream that the demo has.
fn with_known_stream(path: &str) -> String {
    let mut parts: Vec<_> = path.split('/').collect();
    match &mut parts[..] {
        ["", "v2", "stream", stream] | ["", "admin", "clusters", stream, "active"] => *stream = STREAM,
        _ => {}
    }
    parts.join("/")
}

fn escaped(value: &str) -> String {
    let bytes = value.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// Returns the parameters that streams of the demo take, those of its fields included.
fn parameters(demo: &Demo) -> BTreeSet<String> {
    let spec = spec(demo);
    names(&spec["paths"][format!("/v2/stream/{STREAM}")]["get"], "query")
}

fn operation(demo: &Demo) -> Value {
    spec(demo)["paths"]["/v2/stream/{streams}"]["get"].take()
}

fn spec(demo: &Demo) -> Value {
    let (status, body) = ask(&demo.public, "GET", "/?spec");
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

fn names(operation: &Value, place: &str) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().expect("parameters").iter();
    let own = parameters.filter(|parameter| parameter["in"] == place);
    own.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned()))
        .collect()
}

/// The stream of the demo.
const STREAM: &str = "recentchange";
