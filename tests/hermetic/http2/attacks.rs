//! Attacks on HTTP/2 that have names, frame by frame.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    time::timeout,
};

use crate::{
    http2::{
        ADMITTED, Connection, H2Gateway, more,
        transport::{Socket, on_both_transports},
    },
    support::gateway::{DEADLINE, get},
};

/// An attack, after the preface and the settings.
struct Attack {
    name: &'static str,
    frames: Vec<u8>,
    /// What ends the connection, as the server says in its last frame. `None` if it may go on.
    ended_by: Option<&'static str>,
}

fn attacks() -> Vec<Attack> {
    let attack = |name, ended_by, frames| Attack {
        name,
        frames,
        ended_by,
    };
    let ids = || (1..2_000).step_by(2);
    vec![
        // CVE-2023-44487.
        attack(
            "requests that are reset before they are served",
            Some("too_many_resets"),
            ids()
                .flat_map(|id| [request(id), frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat())
                .collect(),
        ),
        // CVE-2025-8671.
        attack(
            "requests that make the server reset them",
            Some("too_many_internal_resets"),
            ids()
                .flat_map(|id| [request(id), frame(WINDOW_UPDATE, 0, id, MOST)].concat())
                .collect(),
        ),
        // CVE-2024-27316.
        attack(
            "a header block that never ends",
            Some("too_many_continuations"),
            [
                frame(HEADERS, END_STREAM, 1, BLOCK),
                frame(CONTINUATION, 0, 1, &literal(1_000)).repeat(300),
            ]
            .concat(),
        ),
        attack(
            "empty continuations",
            Some("too_many_continuations"),
            [
                frame(HEADERS, END_STREAM, 1, BLOCK),
                frame(CONTINUATION, 0, 1, &[]).repeat(5_000),
            ]
            .concat(),
        ),
        // CVE-2019-9515 and CVE-2019-9512: each asks for an answer.
        attack("settings", None, frame(SETTINGS, 0, 0, &[]).repeat(5_000)),
        attack("pings", None, frame(PING, 0, 0, &[7; 8]).repeat(5_000)),
        // CVE-2019-9518.
        attack(
            "empty frames of data",
            None,
            [
                frame(HEADERS, END_HEADERS, 1, BLOCK),
                frame(DATA, 0, 1, &[]).repeat(5_000),
            ]
            .concat(),
        ),
        // CVE-2019-9513.
        attack(
            "priorities",
            None,
            (0..5_000_u32)
                .flat_map(|number| frame(PRIORITY, 0, number * 2 + 1, &[0, 0, 0, 0, number as u8]))
                .collect(),
        ),
        attack("more requests than a connection may have", None, {
            (1..1_000).step_by(2).flat_map(request).collect()
        }),
        attack("one small field of the table, many times", None, {
            let block = [BLOCK, &indexed(4_000), &[0xbe].repeat(8_000)].concat();
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)
        }),
        attack(
            "a window beyond its bound",
            Some(""),
            frame(WINDOW_UPDATE, 0, 0, MOST).repeat(2),
        ),
        attack(
            "a window of zero more",
            Some(""),
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        attack("data of no request", Some(""), frame(DATA, 0, 7, b"x")),
        attack(
            "a frame of 16 MB",
            Some(""),
            b"\xff\xff\xff\x00\x00\0\0\0\x01rubbish".to_vec(),
        ),
        attack(
            "no frames at all",
            Some(""),
            b"GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(50),
        ),
    ]
}

/// Sends an attack, and reads what is answered until the connection ends, or, if it may go on, until nothing comes any more.
async fn carry_out(attack: &Attack, socket: Box<dyn Socket>) {
    let (mut reader, mut writer) = split(socket);
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &attack.frames].concat();
    let mut answer = Vec::new();
    let read = async {
        let Some(reason) = attack.ended_by else {
            while let Ok(Ok(1..)) = timeout(QUIET, reader.read_buf(&mut answer)).await {}
            return;
        };
        let end = timeout(DEADLINE, reader.read_to_end(&mut answer)).await;
        let end = end.unwrap_or_else(|_| panic!("{} does not end the connection", attack.name));
        // It may come as a reset, which destroys bytes on their way.
        let said = String::from_utf8_lossy(&answer);
        assert!(
            end.is_err() || said.ends_with(reason),
            "{}: {said:?}",
            attack.name
        );
    };
    // A connection that ends takes no more.
    let (_, ()) = tokio::join!(timeout(DEADLINE, writer.write_all(&bytes)), read);
}

async fn no_attack_on_http2_reaches_other_clients() {
    let gateway = H2Gateway::start(|settings| settings.heartbeat = Duration::from_millis(50));
    let mut neighbour = Connection::to(&gateway).await;
    let mut reading = neighbour.stream().await;
    assert_eq!(more(&mut reading).await.unwrap(), ":ok\n\n");
    for attack in attacks() {
        carry_out(&attack, gateway.connect().await).await;
        assert_eq!(more(&mut reading).await.unwrap(), ":\n", "{}", attack.name);
        let mut newcomer = Connection::to(&gateway).await;
        let answer = newcomer.ask("GET", "/livez", &[]).await;
        assert_eq!(answer.status(), 200, "{}", attack.name);
        assert_eq!(get(gateway.public, "/livez", "").await.status, 200);
        gateway.until_metric(ADMITTED, 1.0).await;
    }
    assert_eq!(gateway.metric("riverhead_http_panics_total").await, 0.0);
}

on_both_transports! {
    no_attack_on_http2_reaches_other_clients
}

fn request(id: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, id, BLOCK)
}

/// Encodes a field that is not indexed, with a value of this length.
fn literal(length: u16) -> Vec<u8> {
    field(0x00, length)
}

/// The same, which gets the first place in the dynamic table.
fn indexed(length: u16) -> Vec<u8> {
    field(0x40, length)
}

fn field(kind: u8, length: u16) -> Vec<u8> {
    // The length in two bytes behind the prefix of seven bits (RFC 7541, section 5.1).
    let rest = length - 127;
    let length_bytes = [127, (rest % 128) as u8 | 0x80, (rest / 128) as u8];
    [
        &[kind, 1, b'x'][..],
        &length_bytes[..],
        &b"y".repeat(length.into()),
    ]
    .concat()
}

/// Encodes a frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `GET http://t/` in HPACK.
const BLOCK: &[u8] = b"\x82\x86\x84\x41\x01t";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// The largest increment of a window, which makes any window too large.
const MOST: &[u8] = b"\x7f\xff\xff\xff";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How long nothing comes when an attack is over that does not end its connection.
const QUIET: Duration = Duration::from_millis(300);
