//! A client of HTTP/1.1 over TLS 1.3 whose bytes are written when and how the test wants.

use std::io::{ErrorKind, Read, Write};

use riverhead::sse::SseReader;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::rustls::{ClientConnection, pki_types::ServerName};

use crate::{
    support::gateway::DEADLINE,
    tls::{
        TlsGateway,
        authority::Authority,
        client::{TLS13, TestTls},
    },
};

/// A connection behind its handshake.
pub(crate) struct RawClient {
    pub(crate) socket: TcpStream,
    pub(crate) tls: ClientConnection,
    /// The text of the stream, with its chunk frames.
    text: Vec<u8>,
    /// The length of the response's head, once it has come.
    head: usize,
    /// How much of the text was read as events.
    taken: usize,
    reader: SseReader,
    numbers: Vec<u64>,
    /// Whether close_notify has come.
    pub(crate) is_closed: bool,
}

impl RawClient {
    pub(crate) async fn connect(gateway: &TlsGateway, authority: &Authority) -> Self {
        let tls = TestTls {
            versions: TLS13,
            ..TestTls::new(authority)
        };
        let socket = TcpStream::connect(gateway.https()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = Self {
            socket,
            tls: ClientConnection::new(tls.config(), name).unwrap(),
            text: Vec::new(),
            head: 0,
            taken: 0,
            reader: SseReader::new(1 << 20),
            numbers: Vec::new(),
            is_closed: false,
        };
        while client.tls.is_handshaking() {
            client.send().await;
            if client.tls.is_handshaking() {
                client.receive().await;
            }
        }
        client.send().await;
        client
    }

    /// Seals this text. It is not written.
    pub(crate) fn seal(&mut self, text: &str) -> Vec<u8> {
        self.tls.writer().write_all(text.as_bytes()).unwrap();
        self.sealed()
    }

    /// Seals a KeyUpdate that asks for one. It is not written.
    pub(crate) fn seal_key_update(&mut self) -> Vec<u8> {
        self.tls.refresh_traffic_keys().unwrap();
        self.sealed()
    }

    /// Seals close_notify. It is not written.
    pub(crate) fn seal_close_notify(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.sealed()
    }

    fn sealed(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut sealed).unwrap();
        }
        sealed
    }

    /// Writes what rustls has, such as answers to KeyUpdates.
    pub(crate) async fn send(&mut self) {
        let sealed = self.sealed();
        self.socket.write_all(&sealed).await.unwrap();
    }

    /// Writes these bytes, one in a segment.
    pub(crate) async fn trickle(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.socket.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    /// Reads once. `false` at the end of the connection. Fails if a record is not the next one.
    pub(crate) async fn receive(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        let read = timeout(DEADLINE, self.socket.read(&mut bytes))
            .await
            .expect("within the deadline");
        let Ok(length @ 1..) = read else { return false };
        let mut bytes = &bytes[..length];
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).unwrap();
            let state = self.tls.process_new_packets().unwrap();
            self.is_closed |= state.peer_has_closed();
            match self.tls.reader().read_to_end(&mut self.text) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        true
    }

    /// Reads until the text contains this.
    pub(crate) async fn until(&mut self, wanted: &str) {
        while !self.text().contains(wanted) {
            assert!(self.receive().await, "the stream ended: {}", self.text());
        }
    }

    /// Reads to the end of the connection. Returns all text.
    pub(crate) async fn rest(&mut self) -> String {
        while self.receive().await {}
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Reads until there are so many events. Returns the numbers of all.
    pub(crate) async fn numbers(&mut self, count: usize) -> &[u64] {
        self.take_chunks();
        while self.numbers.len() < count {
            assert!(self.receive().await, "the stream ended");
            self.send().await;
            self.take_chunks();
        }
        &self.numbers
    }

    /// Reads the events in the chunks that are complete.
    fn take_chunks(&mut self) {
        if self.taken == 0 {
            let head = memchr::memmem::find(&self.text, b"\r\n\r\n");
            self.head = head.map_or(0, |head| head + 4);
            self.taken = self.head;
        }
        while self.taken > 0
            && let Some(line) = memchr::memmem::find(&self.text[self.taken..], b"\r\n")
        {
            let size = std::str::from_utf8(&self.text[self.taken..][..line]).unwrap();
            let start = self.taken + line + 2;
            let end = start + usize::from_str_radix(size, 16).unwrap();
            if self.text.len() < end + 2 {
                break;
            }
            self.reader.push(&self.text[start..end]).unwrap();
            self.taken = end + 2;
        }
        if self.taken > KEPT_LEN {
            self.text.drain(self.head..self.taken);
            self.taken = self.head;
        }
        while let Some(message) = self.reader.next_message() {
            let data: serde_json::Value = serde_json::from_str(&message.data).unwrap();
            self.numbers.push(data["n"].as_u64().unwrap());
        }
    }
}

/// The length, in bytes, above which the text of events that were read is forgotten.
const KEPT_LEN: usize = 1 << 20;
