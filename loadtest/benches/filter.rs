//! Benchmarks of filters: refusing a hostile one (the limit is 1 ms), compiling one, and evaluating one on an
//! event.
//!
//! `cargo bench --bench filter`
#![allow(clippy::expect_used, reason = "a bench may panic")]

use divan::{Bencher, black_box};
use riverhead::{
    event::Headers,
    filter::{Filter, FilterBuilder, FilterInput},
};

fn main() {
    divan::main();
}

/// Filters that are refused. Each is as long as the limit allows it to be parsed, or longer.
#[divan::bench(args = ["deep", "nots", "tests", "values", "path", "long", "unclosed", "huge number", "query values"])]
fn refuse(bencher: Bencher<'_, '_>, what: &str) {
    let text = match what {
        "deep" => "(".repeat(4096),
        "nots" => "not ".repeat(1024),
        "tests" => "a=1 or ".repeat(585),
        "values" => format!("a in ({}1)", "1,".repeat(2040)),
        "path" => format!("a{} = 1", ".a".repeat(2040)),
        "long" => "a".repeat(1 << 20),
        "unclosed" => format!("a = \"{}", "\\\\".repeat(2000)),
        "huge number" => format!("a = {}x", "9".repeat(4000)),
        _ => {
            let values = ["1"; 8192];
            let one_of = || FilterBuilder::default().one_of("a", black_box(&values).iter().copied());
            return bencher.bench(|| one_of().expect_err(what));
        }
    };
    bencher.bench(|| Filter::parse(black_box(&text)).expect_err(what));
}

/// Filters that are accepted.
#[divan::bench(args = ["usual", "tests", "values", "nested"])]
fn compile(bencher: Bencher<'_, '_>, what: &str) {
    let text = filter(what);
    bencher.bench(|| Filter::parse(black_box(&text)).expect(what));
}

/// Measures a filter on an event like those of a wiki.
#[divan::bench(args = ["usual", "rare", "kafka", "tests", "values", "nested"])]
fn run(bencher: Bencher<'_, '_>, what: &str) {
    let filter = Filter::parse(&filter(what)).expect(what);
    let subject = FilterInput {
        topic: "eqiad.mediawiki.recentchange",
        partition: 0,
        offset: 43,
        timestamp: 1_790_487_705_415,
        key: Some(b"Q42"),
        headers: Headers::default(),
        document: Some(DOCUMENT),
    };
    bencher.bench(|| filter.accepts(black_box(&subject)));
}

fn filter(what: &str) -> String {
    match what {
        "usual" => "wiki = enwiki and type in (edit, new) and not bot = true".to_owned(),
        // Most events are rejected after a search in their bytes.
        "rare" => "wiki = tlhwiki".to_owned(),
        "kafka" => "@topic prefix \"eqiad.\" and @partition = 0".to_owned(),
        "tests" => each(0..64, " or ", |n| format!("a{n}.b = {n}")),
        "values" => format!("title in ({})", each(0..512, ",", |n| format!("t{n}"))),
        _ => format!("{}wiki = enwiki{}", "not (".repeat(8), ")".repeat(8)),
    }
}

fn each(numbers: std::ops::Range<u32>, between: &str, text: impl Fn(u32) -> String) -> String {
    numbers.map(text).collect::<Vec<_>>().join(between)
}

/// Returns an event of 700 bytes, a usual size.
const DOCUMENT: &[u8] = br#"{"$schema":"/mediawiki/recentchange/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/Main_Page","request_id":"b2a5cdee-5cf0-4b5a-8ad5-7fba4b3df2f3","id":"84b1a6c3-9c21-4b14-8a1f-7e30b4aadd24","dt":"2026-09-27T05:41:45.415Z","domain":"en.wikipedia.org","stream":"mediawiki.recentchange"},"id":1234567890,"type":"edit","namespace":0,"title":"Main Page","title_url":"https://en.wikipedia.org/wiki/Main_Page","comment":"a comment","timestamp":1790487705,"user":"Somebody","bot":false,"minor":true,"length":{"old":4521,"new":4530},"revision":{"old":118,"new":119},"server_url":"https://en.wikipedia.org","server_name":"en.wikipedia.org","wiki":"enwiki","parsedcomment":"a comment"}"#;
