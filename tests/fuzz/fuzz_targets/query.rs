//! Any query and any `Last-Event-ID`: parsing them never panics, an unknown parameter changes nothing, and
//! the encoding of a character makes no difference. A time that is accepted means what another parser makes
//! of it.
//!
//! The first line of the input is the query, the second the header.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use riverhead::{
    catalog::{Catalog, Selection, Stream},
    http::fuzzing::{stream_query, since},
};

const NOW: i64 = 1_790_000_000_000;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (query, id) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    is_a_time(query);
    // No request has one, and everything after it would be dropped.
    if query.contains('#') {
        return;
    }
    let mut headers = HeaderMap::new();
    if let Ok(id) = HeaderValue::from_bytes(id) {
        headers.insert("last-event-id", id);
    }
    for selection in SELECTIONS.iter() {
        let Some(asked) = ask(query, &headers, selection) else {
            return;
        };
        let beside = ask(&format!("{query}&nobody-knows-it=1"), &headers, selection);
        assert_eq!(beside, Some(asked.clone()));
        let encoded = ask(&encoded(query), &headers, selection);
        assert!(encoded == Some(asked) || encoded.is_none(), "{encoded:?}");
    }
});

/// Returns the request, or what is wrong with it; `None` if no request has such a target.
fn ask(query: &str, headers: &HeaderMap, selection: &Selection) -> Option<Result<String, String>> {
    let uri: Uri = format!("/v2/stream/a?{query}").parse().ok()?;
    Some(stream_query(headers, &uri, selection, NOW))
}

/// Returns the same query with every character of its names and values escaped.
fn encoded(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let escape = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    };
    let pairs = pairs.map(|(name, value)| format!("{}={}", escape(&name), escape(&value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Compares with jiff, whose parsers `since` does not use.
fn is_a_time(text: &str) {
    let Some(time) = since(text) else { return };
    assert!(time >= 0);
    assert_eq!(since(&time.to_string()), Some(time));
    if let Ok(timestamp) = jiff::Timestamp::from_millisecond(time) {
        assert_eq!(since(&timestamp.to_string()), Some(time), "{timestamp}");
    }
    let others = [
        text.parse::<jiff::Timestamp>().ok(),
        jiff::fmt::rfc2822::parse(text)
            .ok()
            .map(|zoned| zoned.timestamp()),
    ];
    for other in others.into_iter().flatten() {
        let other = other.as_nanosecond().div_euclid(1_000_000);
        assert_eq!(i128::from(time), other.max(0), "{text:?}");
    }
}

/// Streams with and without filter fields.
static SELECTIONS: LazyLock<[Selection; 2]> = LazyLock::new(|| {
    let mut filtered = Stream::new("a", ["one", "two"]);
    filtered.filter_fields = ["wiki", "user.name", "checkpoint"].map(Into::into).to_vec();
    filtered.former_topics.push("old".into());
    let plain = Stream::new("b", ["one"]);
    let catalog = Catalog::new(vec![filtered, plain]).expect("a catalog");
    ["a", "a,b"].map(|names| catalog.select(names).expect("streams"))
});
