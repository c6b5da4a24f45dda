//! A client as users write them: a socket, a request, and the response.

use std::{io, net::SocketAddr, time::Duration};

use riverhead::sse::{SseMessage, SseReader};
use tokio::time::timeout;

pub use crate::ask::Ask;
use crate::response::Response;

/// A response whose body is read event by event, as a browser reads it.
#[derive(Debug)]
pub struct Client {
    response: Response,
    /// The status of the response.
    pub status: u16,
    /// The response head without the empty line.
    pub head: String,
    reader: SseReader,
    /// The number of bytes of the body that were read.
    pub bytes: u64,
}

impl Client {
    /// Connects, sends the request, and reads the response head.
    ///
    /// # Errors
    /// If the connection fails, or no head arrives within ten seconds.
    pub async fn connect(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        let mut response = Response::connect(server, ask).await?;
        Ok(Self {
            status: response.status,
            head: std::mem::take(&mut response.head),
            response,
            reader: SseReader::new(MAX_EVENT),
            bytes: 0,
        })
    }

    /// Returns the next event. Returns `None` if the response ended, in order or not, or if no event arrived
    /// in time. Heartbeats do not extend the time.
    pub async fn next(&mut self, patience: Duration) -> Option<SseMessage> {
        timeout(patience, self.message()).await.ok().flatten()
    }

    async fn message(&mut self) -> Option<SseMessage> {
        loop {
            if let Some(message) = self.reader.next_message() {
                return Some(message);
            }
            if self.fill(usize::MAX).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Returns an event that has been received already.
    pub fn ready(&mut self) -> Option<SseMessage> {
        self.reader.next_message()
    }

    /// Returns how many comment lines have arrived: the prelude and heartbeats.
    pub fn comments(&self) -> u64 {
        self.reader.comments()
    }

    /// Reads once, at most `limit` bytes. Returns the number of bytes, 0 at the end.
    ///
    /// # Errors
    /// If the connection breaks, or the body violates its framing.
    pub async fn fill(&mut self, limit: usize) -> io::Result<usize> {
        let mut body = Vec::new();
        let read = self.response.read(limit, &mut body).await?;
        self.bytes += body.len() as u64;
        self.reader
            .push(&body)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(read)
    }

    /// Returns whether the last chunk has arrived, so that the server ended the response as planned.
    pub fn ended(&self) -> bool {
        self.response.ended()
    }

    /// Returns the body as text, for responses that end. Not for a body of which events have been read.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn text(mut self) -> io::Result<String> {
        let mut text = Vec::new();
        while !self.response.ended() && self.response.read(usize::MAX, &mut text).await? > 0 {}
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// More than the largest event that a gateway sends: 8 MiB of value, of which every byte may be escaped.
const MAX_EVENT: usize = 64 * 1024 * 1024;
