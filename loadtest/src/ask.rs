//! What a client asks for.

use std::net::SocketAddr;

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

    /// The same, from a local address and with the header by which browsers ask for events: Nchan wants it.
    #[must_use]
    pub fn browser_from(mut self, from: SocketAddr) -> Self {
        self.headers.push("Accept: text/event-stream".into());
        self.from = Some(from);
        self
    }

    /// The same, going on behind `id`.
    #[must_use]
    pub fn resume(mut self, id: Option<String>) -> Self {
        self.last_event_id = id;
        self
    }

    /// Whether it asks for the stream packed.
    pub(crate) fn is_gzip(&self) -> bool {
        self.target.contains("encoding=gzip")
    }

    pub(crate) fn text(&self, server: SocketAddr) -> String {
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
