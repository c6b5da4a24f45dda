//! Heads of HTTP/1.1 requests that hyper cannot read.
//!
//! hyper answers them by itself: 400, 414 or 431, without a body and without the headers of our responses, and no limit counts
//! them. So its answer is not written ([`Http1Io`]), and the request gets one of ours ([`UnreadHead`]).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{conn::ConnState, transport::Transport};

/// What is known of a request whose head hyper could not read. The request that stands in for it has this in its extensions.
#[derive(Clone, Debug)]
pub(in crate::http) struct UnreadHead {
    pub(in crate::http) fault: HeadFault,
    /// The request line as it came, as far as it was read. Empty if it is not known.
    pub(in crate::http) request_line: String,
}

/// Why hyper could not read a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum HeadFault {
    TargetTooLong,
    TooLarge,
    TooManyLines,
    /// It is not HTTP/1.1. The text says what hyper expected.
    Malformed(String),
}

impl UnreadHead {
    /// Returns what is known of the head that ended a connection. `read` is what hyper has of it. Returns `None` if the connection
    /// ended for another reason.
    pub(super) fn new(end: hyper::Error, read: &[u8]) -> Option<Self> {
        if !end.is_parse() || end.is_parse_version_h2() {
            return None;
        }
        if !end.is_parse_too_large() {
            // hyper may have taken the head, so that what is left of its input is what came behind it.
            return Some(Self {
                fault: HeadFault::Malformed(end.to_string()),
                request_line: String::new(),
            });
        }
        let line = read.split(|byte| matches!(byte, b'\r' | b'\n')).next();
        let line = line.unwrap_or_default();
        let fault = match read.len() {
            _ if line.len() > LONG_LINE => HeadFault::TargetTooLong,
            READ_BUFFER.. => HeadFault::TooLarge,
            _ => HeadFault::TooManyLines,
        };
        let line = &line[..line.len().min(LONG_LINE)];
        Some(Self {
            fault,
            request_line: String::from_utf8_lossy(line).into_owned(),
        })
    }

    /// Returns the head that hyper reads in place of this one, so that it writes the response.
    pub(super) fn substitute(&self) -> &'static [u8] {
        match self.request_line.starts_with("HEAD ") {
            true => b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n",
            false => b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        }
    }
}

/// The transport of an HTTP/1.1 connection, to which hyper writes the responses of our service only.
pub(super) struct Http1Io<'a> {
    transport: Transport,
    conn: &'a ConnState,
    /// Whether a response was dropped, in place of which one of ours is due.
    has_dropped: bool,
}

impl<'a> Http1Io<'a> {
    pub(super) fn new(transport: Transport, conn: &'a ConnState) -> Self {
        Self {
            transport,
            conn,
            has_dropped: false,
        }
    }

    /// Returns the transport if hyper's response was dropped. It is not if the client has not taken the response before it yet, as a
    /// client that sends requests without reading. It was written then.
    pub(super) fn into_unanswered(self) -> Option<Transport> {
        self.has_dropped.then_some(self.transport)
    }

    /// Whether what hyper writes is to be dropped, because it is no response of ours.
    fn drops(&mut self) -> bool {
        let drops = self.conn.is_between_requests();
        self.has_dropped |= drops;
        drops
    }
}

impl AsyncRead for Http1Io<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_read(context, buffer)
    }
}

impl AsyncWrite for Http1Io<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.drops() {
            true => Poll::Ready(Ok(bytes.len())),
            false => Pin::new(&mut self.transport).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.drops() {
            true => Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum())),
            false => Pin::new(&mut self.transport).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    /// Shuts nothing down while a response of ours is due.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.has_dropped {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.transport).poll_shutdown(context),
        }
    }
}

/// How much of a head hyper reads, in bytes. It is more than the size from which we refuse a head ourselves
/// (`routes::request_form`), so that it is seldom read for nothing.
pub(super) const READ_BUFFER: usize = 128 * 1024;

/// The length from which a request line is what makes a head too large, in bytes: more than one with the longest target has.
const LONG_LINE: usize = 17 * 1024;
