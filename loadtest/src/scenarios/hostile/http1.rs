//! Shapes of HTTP/1 requests.

use fastrand::Rng;

use super::{
    STREAM,
    attack::{Attack, AttackKind},
    ids::HostileIds,
};

/// Returns one request and a behavior, both chosen by `rng`.
pub(super) fn choose(ids: &HostileIds, rng: &mut Rng) -> Attack {
    let (shape, bytes) = match rng.u8(..12) {
        0 | 1 => ("id", with_id(ids, rng)),
        2 => ("query", query(rng)),
        3 => ("filter", get(&format!("{}?filter={}", stream(), filter(rng)), "")),
        4 => ("since", get(&format!("{}?since={}", stream(), since(rng)), "")),
        5 => ("names", get(&format!("/v2/stream/{}", names(rng)), "")),
        6 => ("headers", get(&stream(), &headers(rng))),
        7 => ("forwarded", get(&stream(), &forwarded(rng))),
        8 => ("framing", framing(rng)),
        9 => ("target", target(rng)),
        10 => ("gzip", get(&format!("{}?encoding=gzip&since=1", stream()), "")),
        _ => ("pipeline", get(&stream(), "").repeat(rng.usize(2..200))),
    };
    Attack {
        shape,
        bytes,
        manner: manner(rng),
    }
}

fn manner(rng: &mut Rng) -> AttackKind {
    match rng.u8(..10) {
        0 => AttackKind::Deaf,
        1 => AttackKind::Reset,
        2 => AttackKind::HalfClose,
        3 => AttackKind::Trickle,
        _ => AttackKind::Read,
    }
}

fn stream() -> String {
    format!("/v2/stream/{STREAM}")
}

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: hostile\r\n{headers}\r\n").into_bytes()
}

fn with_id(ids: &HostileIds, rng: &mut Rng) -> Vec<u8> {
    let all = ids.all();
    let id = &all[rng.usize(..all.len())];
    match rng.u8(..3) {
        0 => get(&format!("{}?lastEventId={}", stream(), encoded(id)), ""),
        1 => get(
            &format!("{}?on_gap=fail", stream()),
            &format!("Last-Event-ID: {id}\r\n"),
        ),
        _ => get(&stream(), &format!("Last-Event-ID: {id}\r\n")),
    }
}

/// Percent-encodes the characters that a request target cannot contain.
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn query(rng: &mut Rng) -> Vec<u8> {
    let query = match rng.u8(..6) {
        0 => (0..4_000).map(|_| "a&").collect(),
        1 => (0..1_500).map(|number| format!("p{number}=1&")).collect(),
        2 => "since=1&since=2".to_owned(),
        3 => format!("id={}", "x".repeat(10_000)),
        4 => "encoding=gzip&id=compact&on_gap=fail&canary=true&checkpoint=1s".to_owned(),
        _ => (0..200).map(|_| char::from(rng.u8(33..127))).collect(),
    };
    get(&format!("{}?{query}", stream()), "")
}

/// Returns a percent-encoded filter. Most are new, so that each would have to be compiled.
fn filter(rng: &mut Rng) -> String {
    let text = match rng.u8(..6) {
        0 => {
            let values = (0..512).map(|number| format!("\"v{number}\""));
            format!("pad in ({})", values.collect::<Vec<_>>().join(","))
        }
        1 => format!("{}n = 1{}", "(".repeat(500), ")".repeat(500)),
        2 => format!("n = {}", rng.u64(..)),
        3 => vec!["not"; 1_000].join(" ") + " n = 1",
        4 => format!("n = 1e{}", rng.u32(..)),
        _ => (0..rng.usize(1..300))
            .map(|_| char::from(rng.u8(32..127)))
            .collect(),
    };
    encoded(&text)
}

fn since(rng: &mut Rng) -> String {
    match rng.u8(..6) {
        0 => rng.u64(..2_000_000_000_000).to_string(),
        1 => "-99999999999999999".to_owned(),
        2 => "+275760-09-13T00:00:00Z".to_owned(),
        3 => "9".repeat(5_000),
        4 => "2026-02-30T25:61:61Z".to_owned(),
        _ => encoded(&(0..60).map(|_| char::from(rng.u8(32..127))).collect::<String>()),
    }
}

fn names(rng: &mut Rng) -> String {
    match rng.u8(..5) {
        0 => vec![STREAM; 33].join(","),
        1 => (0..2_000).map(|number| format!("s{number},")).collect(),
        2 => ",".repeat(8_000),
        3 => "%00%0d%0a%ff".to_owned(),
        _ => format!("{STREAM},{}", "x".repeat(rng.usize(1..10_000))),
    }
}

fn headers(rng: &mut Rng) -> String {
    match rng.u8(..6) {
        0 => (0..90)
            .map(|number| format!("X-{number}: {}\r\n", "y".repeat(300)))
            .collect(),
        1 => (0..2_000).map(|number| format!("X-{number}: 1\r\n")).collect(),
        2 => format!("X: {}\r\n", "z".repeat(40_000)),
        3 => "Host: another\r\n".to_owned(),
        4 => "Accept: ".to_owned() + &"text/html;q=0.1,".repeat(1_000) + "\r\n",
        _ => "Last-Event-ID: \r\nLast-Event-ID:  \r\n folded\r\n".to_owned(),
    }
}

fn forwarded(rng: &mut Rng) -> String {
    let address = format!("10.0.{}.{}", rng.u8(..), rng.u8(..));
    match rng.u8(..7) {
        0 => format!("X-Forwarded-For: {address}\r\n"),
        1 => format!("X-Forwarded-For: {address}\r\nForwarded: for=127.0.0.1\r\n"),
        2 => "Forwarded: for=unknown;for=\"[::1\"\r\n".to_owned(),
        3 => format!("X-Forwarded-For: {}\r\n", vec![address.as_str(); 900].join(",")),
        4 => "X-Forwarded-For: ,,,\r\nX-Forwarded-For: \r\n".to_owned(),
        5 => "Forwarded: ;;;,,,for=\r\nX-Forwarded-For: ::ffff:127.0.0.1\r\n".to_owned(),
        _ => format!("Forwarded: {}\r\n", "for=1.2.3.4,".repeat(1_500)),
    }
}

fn framing(rng: &mut Rng) -> Vec<u8> {
    let target = stream();
    match rng.u8(..9) {
        0 => format!("GET {target} HTTP/1.1\r\n\r\n").into_bytes(),
        1 => get(
            &target,
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
        2 => get(&target, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        3 => [get(&target, "Content-Length: 10000000\r\n"), vec![b'x'; 300_000]].concat(),
        4 => get(&target, "Content-Length: 1\r\nContent-Length: 2\r\n"),
        5 => format!("GET {target} HTTP/1.0\r\n\r\n").into_bytes(),
        6 => format!("GET {target}\r\n").into_bytes(),
        7 => get(
            &target,
            "Upgrade: h2c\r\nConnection: upgrade\r\nExpect: 100-continue\r\n",
        ),
        _ => (0..rng.usize(1..4_000)).map(|_| rng.u8(..)).collect(),
    }
}

fn target(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..8) {
        0 => get(&format!("/{}", "a".repeat(20_000)), ""),
        1 => b"OPTIONS * HTTP/1.1\r\nHost: hostile\r\n\r\n".to_vec(),
        2 => b"CONNECT example.org:443 HTTP/1.1\r\nHost: hostile\r\n\r\n".to_vec(),
        3 => get(&format!("http://other{}", stream()), ""),
        4 => get("/../../etc/passwd", ""),
        5 => get("/admin/clients", ""),
        6 => get("/?spec", ""),
        _ => get("/v2/stream/%zz", ""),
    }
}
