//! Headers, and those of the PROXY protocol.

use super::{HEADER, Shape, fill};

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

pub(super) fn forwarded() -> Vec<Shape> {
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

pub(super) fn headers() -> Vec<Shape> {
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
