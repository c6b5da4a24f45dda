//! A client as strangers write them: a socket, a request, and what comes back.

use std::{io, net::SocketAddr, time::Duration};

use riverhead::sse::{Message, Reader};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::chunked::Chunked;

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Path and query.
    pub target: String,
    /// `Last-Event-ID`, when there is one.
    pub last_event_id: Option<String>,
    /// More header lines, without line ends.
    pub headers: Vec<String>,
    /// The local address to come from; a load test has many.
    pub from: Option<SocketAddr>,
    /// The socket's receive buffer, for clients that read slowly.
    pub receive_buffer: Option<u32>,
}

impl Ask {
    /// A plain request for `target`.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            last_event_id: None,
            headers: Vec::new(),
            from: None,
            receive_buffer: None,
        }
    }

    /// The same, going on behind `id`.
    #[must_use]
    pub fn resume(mut self, id: Option<String>) -> Self {
        self.last_event_id = id;
        self
    }

    fn text(&self, server: SocketAddr) -> String {
        let mut text = format!("GET {} HTTP/1.1\r\nHost: {server}\r\n", self.target);
        if let Some(id) = &self.last_event_id {
            text.push_str(&format!("Last-Event-ID: {id}\r\n"));
        }
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text + "\r\n"
    }
}

/// A response whose body is read event by event.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    /// The status of the response.
    pub status: u16,
    /// The response head as it came, without the empty line.
    pub head: String,
    body: Chunked,
    reader: Reader,
    buffer: Vec<u8>,
    /// What of the body came with the head, for readers of text.
    first: Vec<u8>,
    /// Bytes of body read.
    pub bytes: u64,
}

impl Client {
    /// Connects, asks, and reads the response head.
    ///
    /// # Errors
    /// When the connection fails, or no head comes within ten seconds.
    pub async fn connect(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        timeout(HEAD, Self::open(server, ask))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        let socket = if server.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(from) = ask.from {
            socket.bind(from)?;
        }
        if let Some(bytes) = ask.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut socket = socket.connect(server).await?;
        socket.set_nodelay(true)?;
        socket.write_all(ask.text(server).as_bytes()).await?;
        let (head, rest) = read_head(&mut socket).await?;
        let mut client = Self {
            status: status_of(&head)?,
            body: Chunked::for_head(&head),
            head,
            socket,
            reader: Reader::new(MAX_EVENT),
            buffer: vec![0; 64 * 1024],
            first: Vec::new(),
            bytes: 0,
        };
        client.first = client.take(&rest)?;
        Ok(client)
    }

    /// The next event; `None` when the response ended, cleanly or not, or nothing came in time.
    pub async fn next(&mut self, patience: Duration) -> Option<Message> {
        loop {
            if let Some(message) = self.reader.next_message() {
                return Some(message);
            }
            match timeout(patience, self.fill(usize::MAX)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return None,
            }
        }
    }

    /// An event that has been read already.
    pub fn ready(&mut self) -> Option<Message> {
        self.reader.next_message()
    }

    /// How many comment lines have come: the prelude, and heartbeats.
    pub fn comments(&self) -> u64 {
        self.reader.comments()
    }

    /// Reads once, at most `limit` bytes off the socket; 0 is the end.
    ///
    /// # Errors
    /// When the connection breaks or the body is not what its framing says.
    pub async fn fill(&mut self, limit: usize) -> io::Result<usize> {
        let limit = limit.min(self.buffer.len());
        let read = self.socket.read(&mut self.buffer[..limit]).await?;
        let bytes = self.buffer[..read].to_vec();
        self.take(&bytes)?;
        Ok(read)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let body = self.body.decode(bytes)?;
        self.bytes += body.len() as u64;
        self.reader
            .push(&body)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(body)
    }

    /// Whether the last chunk came: the server ended the response as planned.
    pub fn ended(&self) -> bool {
        self.body.ended()
    }

    /// The rest of the body as text, for responses that end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn text(mut self) -> io::Result<String> {
        let mut text = std::mem::take(&mut self.first);
        while !self.body.ended() {
            let read = self.socket.read(&mut self.buffer).await?;
            if read == 0 {
                break;
            }
            text.extend(self.body.decode(&self.buffer[..read])?);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

async fn read_head(socket: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes[..end]).into_owned(), rest));
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn status_of(head: &str) -> io::Result<u16> {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no status line"))
}

/// How long a gateway may take to its response head. Nothing in it waits for Kafka.
const HEAD: Duration = Duration::from_secs(10);

/// Above the largest event that a gateway sends: 8 MiB of value, every byte of it escaped at worst.
const MAX_EVENT: usize = 64 * 1024 * 1024;
