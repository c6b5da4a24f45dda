//! A client that keeps all that it is sent.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
};

use riverhead_brokers::eventually;

use super::{Riverhead, SOON};

/// The headers of the `EventSource` of a browser.
pub(super) const BROWSER: &str =
    "accept: text/event-stream\r\nsec-fetch-dest: empty\r\nsec-fetch-mode: cors\r\n";

/// The header of a client that reads lines of JSON.
pub(super) const LINES: &str = "accept: application/json\r\n";

/// A client of a stream.
pub(super) struct Client {
    what: String,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Client {
    /// Asks for a stream, with these headers.
    pub(super) fn ask(riverhead: &Riverhead, target: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(&riverhead.address).unwrap();
        let request = format!("GET /v2/stream/{target} HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let answer: Arc<Mutex<Answer>> = Arc::default();
        let kept = Arc::clone(&answer);
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(length @ 1..) = socket.read(&mut buffer) {
                kept.lock().unwrap().bytes.extend_from_slice(&buffer[..length]);
            }
            kept.lock().unwrap().is_over = true;
        });
        let client = Self {
            what: format!("{target} {headers:?}"),
            answer,
        };
        eventually(SOON, &client.what, || client.text().contains("\r\n\r\n"));
        client
    }

    /// Asks for a stream behind this id.
    pub(super) fn resume(riverhead: &Riverhead, target: &str, id: &str) -> Self {
        Self::ask(riverhead, target, &format!("last-event-id: {id}\r\n"))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer.lock().unwrap().bytes).into_owned()
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> u16 {
        self.text()[9..12].parse().unwrap()
    }

    /// Returns the body so far, without the frames of chunks.
    pub(super) fn body(&self) -> String {
        let text = self.text();
        let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
        if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            return rest.to_owned();
        }
        let mut body = String::new();
        while let Some((size, more)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let Some(chunk) = more.get(..size) else { break };
            body += chunk;
            rest = more.get(size + 2..).unwrap_or_default();
        }
        body
    }

    /// Waits until the body has this text.
    pub(super) fn until_has(&self, wanted: &str) {
        eventually(SOON, &format!("{wanted} for {}", self.what), || {
            self.body().contains(wanted).then_some(()).ok_or(self.body())
        });
    }

    /// Waits until the stream ends, and returns its body.
    pub(super) fn until_over(&self) -> String {
        eventually(SOON, &format!("the end of {}", self.what), || {
            self.answer.lock().unwrap().is_over
        });
        self.body()
    }

    pub(super) fn is_over(&self) -> bool {
        self.answer.lock().unwrap().is_over
    }

    /// Returns the last id.
    pub(super) fn last_id(&self) -> String {
        let body = self.body();
        let id = body.lines().rev().find_map(|line| line.strip_prefix("id: "));
        id.unwrap_or_else(|| panic!("no id in {body}")).to_owned()
    }

    /// Returns how often each number came: the values of `n`.
    pub(super) fn numbers(&self) -> BTreeMap<i64, usize> {
        let body = self.body();
        let mut numbers = BTreeMap::new();
        for rest in body.split("{\"n\":").skip(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            *numbers.entry(digits.parse().unwrap()).or_default() += 1;
        }
        numbers
    }

    /// Waits until each of these numbers has come, and asserts that all came once and no others.
    pub(super) fn until_numbers(&self, expected: std::ops::Range<i64>) {
        let count = (expected.end - expected.start) as usize;
        eventually(SOON, &format!("{expected:?} for {}", self.what), || {
            let came = self.numbers().len();
            (came >= count).then_some(()).ok_or(came)
        });
        let once: BTreeMap<_, _> = expected.map(|number| (number, 1)).collect();
        assert_eq!(self.numbers(), once, "{}", self.what);
    }
}
