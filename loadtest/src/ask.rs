//! The request of a client.

use std::net::SocketAddr;

use crate::tls::TlsTrust;

/// A request for a stream.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The path and query.
    pub target: String,
    /// The `Last-Event-ID`, if there is one.
    pub last_event_id: Option<String>,
    /// Further header lines, without line ends.
    pub headers: Vec<String>,
    /// The local address to connect from. A load test uses many.
    pub from: Option<SocketAddr>,
    /// The size of the socket's receive buffer, for clients that read slowly.
    pub receive_buffer: Option<u32>,
    /// What to trust, for clients of a crowd that connect over TLS.
    pub tls: Option<TlsTrust>,
}

impl Ask {
    /// Creates a plain request for `target`.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            last_event_id: None,
            headers: Vec::new(),
            from: None,
            receive_buffer: None,
            tls: None,
        }
    }

    /// Adds a local address, and the header with which browsers ask for events. Nchan requires it.
    #[must_use]
    pub fn browser_from(mut self, from: SocketAddr) -> Self {
        self.headers.push("Accept: text/event-stream".into());
        self.from = Some(from);
        self
    }

    /// Connects over TLS, if there is something to trust.
    #[must_use]
    pub fn over(mut self, tls: Option<TlsTrust>) -> Self {
        self.tls = tls;
        self
    }

    /// Adds the id to resume from.
    #[must_use]
    pub fn resume(mut self, id: Option<String>) -> Self {
        self.last_event_id = id;
        self
    }

    /// Returns whether the request asks for compression.
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
