//! A client of HTTP/1.1 over TLS 1.3 whose bytes are written when and how the test wants.

use std::io::{ErrorKind, Read, Write};

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
        response_events::ResponseEvents,
    },
};

/// A connection behind its handshake.
pub(crate) struct RawClient {
    pub(crate) socket: TcpStream,
    pub(crate) tls: ClientConnection,
    /// What has come, with its chunk frames.
    events: ResponseEvents,
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
            events: ResponseEvents::new(),
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
            match self.tls.reader().read_to_end(&mut self.events.text) {
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
        String::from_utf8_lossy(&self.events.text).into_owned()
    }

    /// Reads until there are so many events. Returns the numbers of all.
    pub(crate) async fn numbers(&mut self, count: usize) -> &[u64] {
        self.events.take_chunks();
        while self.events.numbers.len() < count {
            assert!(self.receive().await, "the stream ended");
            self.send().await;
            self.events.take_chunks();
        }
        &self.events.numbers
    }
}
