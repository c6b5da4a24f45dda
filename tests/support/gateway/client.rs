//! A client that sees every byte.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::DEADLINE;

/// A parsed response.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    /// From the status line to the blank line.
    pub head: String,
    pub body: String,
}

impl TestResponse {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(": ")?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Sends a GET on a new connection. `headers` are whole lines, each with its `\r\n`.
pub async fn get(address: SocketAddr, target: &str, headers: &str) -> TestResponse {
    let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n{headers}connection: close\r\n\r\n");
    let mut client = TestClient::connect(address).await;
    client.send(&request).await;
    client.answer().await
}

/// A connection whose bytes the test writes and reads itself.
pub struct TestClient {
    socket: TcpStream,
    /// Bytes that were read and not returned yet.
    read: Vec<u8>,
}

impl TestClient {
    pub async fn connect(address: SocketAddr) -> Self {
        Self {
            socket: TcpStream::connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// Connects from this loopback address.
    pub async fn from(source: [u8; 4], address: SocketAddr) -> Self {
        Self::try_from(source, address).await.unwrap()
    }

    /// Connects from this loopback address. Fails if the connection is refused, or reset before this task has
    /// noticed that it is established.
    pub async fn try_from(source: [u8; 4], address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Ok(Self {
            socket: socket.connect(address).await?,
            read: Vec::new(),
        })
    }

    /// Closes the connection with a reset, as for a killed process with unread input.
    pub fn reset(self) {
        socket2::SockRef::from(&self.socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Makes the kernel drop all packets of this connection from now on, as if the network were gone.
    pub fn vanish(&self) {
        // `ret 0`
        let drop_all = [socket2::SockFilter::new(0x06, 0, 0, 0)];
        socket2::SockRef::from(&self.socket)
            .attach_filter(&drop_all)
            .unwrap();
    }

    /// Connects and requests a stream.
    pub async fn stream(address: SocketAddr, target: &str) -> Self {
        Self::ask(address, target, "").await
    }

    /// Connects and requests a stream, with more headers. `headers` are whole lines, each with its `\r\n`.
    pub async fn ask(address: SocketAddr, target: &str, headers: &str) -> Self {
        let mut client = Self::connect(address).await;
        client
            .send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n{headers}\r\n"))
            .await;
        client
    }

    pub async fn send(&mut self, bytes: &str) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends bytes. Fails if the connection was closed.
    pub async fn try_send(&mut self, bytes: &str) -> std::io::Result<()> {
        self.socket.write_all(bytes.as_bytes()).await
    }

    /// Closes the sending direction. Responses can still be read.
    pub async fn half_close(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Reads up to and including `end`.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .read
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let text = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            assert!(self.more().await, "ended before {end:?}: {:?}", self.text());
        }
    }

    /// Reads the next `n` bytes.
    pub async fn exactly(&mut self, n: usize) -> String {
        String::from_utf8(self.exact_bytes(n).await).unwrap()
    }

    async fn exact_bytes(&mut self, n: usize) -> Vec<u8> {
        while self.read.len() < n {
            assert!(self.more().await, "ended early: {:?}", self.text());
        }
        self.read.drain(..n).collect()
    }

    /// Reads the text of the next chunk; empty for the last one.
    pub async fn chunk(&mut self) -> String {
        String::from_utf8(self.chunk_bytes().await).unwrap()
    }

    /// Reads the bytes of the next chunk.
    pub async fn chunk_bytes(&mut self) -> Vec<u8> {
        let size = self.until("\r\n").await;
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let chunk = self.exact_bytes(size).await;
        assert_eq!(self.exactly(2).await, "\r\n");
        chunk
    }

    /// Reads the head of a response.
    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads until the server closes.
    pub async fn rest(&mut self) -> String {
        while self.more().await {}
        self.text()
    }

    /// Reads one whole response, whose body has a length or lasts to the end of the connection.
    pub async fn answer(&mut self) -> TestResponse {
        let head = self.head().await;
        let body = match header(&head, "content-length") {
            Some(length) => self.exactly(length.parse().unwrap()).await,
            None => self.rest().await,
        };
        let status = head[9..12].parse().unwrap();
        TestResponse { status, head, body }
    }

    /// Reads until an error, and returns it.
    pub async fn error(&mut self) -> std::io::ErrorKind {
        loop {
            match self.try_more().await {
                Ok(0) => panic!("ended without an error"),
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    async fn more(&mut self) -> bool {
        self.try_more().await.unwrap() > 0
    }

    async fn try_more(&mut self) -> std::io::Result<usize> {
        let read = self.socket.read_buf(&mut self.read);
        timeout(DEADLINE, read)
            .await
            .expect("something within the deadline")
    }
}
