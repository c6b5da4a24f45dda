//! A response whose body does not end, as bytes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{ask::Ask, chunked::Chunked};

/// A socket after the response head.
#[derive(Debug)]
pub(crate) struct Response {
    socket: TcpStream,
    pub(crate) status: u16,
    /// The head without the empty line.
    pub(crate) head: String,
    body: Chunked,
    /// The part of the body that arrived with the head, still in its chunk frames.
    first: Vec<u8>,
    buffer: Vec<u8>,
}

impl Response {
    /// Connects, sends the request, and reads the response head.
    ///
    /// # Errors
    /// If the connection fails, or no head arrives within ten seconds.
    pub(crate) async fn connect(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        timeout(HEAD, Self::open(server, ask))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        let mut socket = socket(server, ask)?.connect(server).await?;
        socket.set_nodelay(true)?;
        socket.write_all(ask.text(server).as_bytes()).await?;
        let (head, first) = read_head(&mut socket).await?;
        Ok(Self {
            status: status_of(&head)?,
            body: Chunked::for_head(&head),
            head,
            socket,
            first,
            buffer: vec![0; BUFFER],
        })
    }

    /// Reads once, at most `limit` bytes, and appends the decoded body to `out`. Returns the number of bytes,
    /// 0 at the end.
    ///
    /// # Errors
    /// If the connection breaks, or the body violates its framing.
    pub(crate) async fn read(&mut self, limit: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.body.decode(&first, out)?;
            return Ok(first.len());
        }
        let limit = limit.min(self.buffer.len());
        let read = self.socket.read(&mut self.buffer[..limit]).await?;
        self.body.decode(&self.buffer[..read], out)?;
        Ok(read)
    }

    /// Returns whether the last chunk has arrived, so that the server ended the response as planned.
    pub(crate) fn ended(&self) -> bool {
        self.body.ended()
    }
}

/// Creates a socket with the options of `ask`.
pub(crate) fn socket(server: SocketAddr, ask: &Ask) -> io::Result<TcpSocket> {
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
    Ok(socket)
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

/// The longest time until the response head of a gateway. Nothing before it waits for Kafka.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// The most bytes that are read at once: several batches of a gateway.
const BUFFER: usize = 64 * 1024;
