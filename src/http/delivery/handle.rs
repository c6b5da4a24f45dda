//! Handles to what carries a body to its client: an HTTP/1.1 connection, or one stream of an HTTP/2 connection.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    http::server::{conn::ConnState, h2_stream::H2Stream, pending_write::PendingWrite},
    metrics::EndReason,
    subscription::ResetHandle,
};

/// A handle through which a body and the connection below hyper tell each other their state.
#[derive(Clone, Debug)]
pub(in crate::http) enum ConnHandle {
    /// An HTTP/1.1 connection, on which nothing follows an endless body.
    Http1(Arc<ConnState>),
    /// One stream of an HTTP/2 connection, which may carry others.
    Http2(Arc<H2Stream>),
}

impl ConnHandle {
    /// Records that an endless body will be carried.
    pub(super) fn expect_stream(&self) {
        match self {
            Self::Http1(conn) => conn.expect_stream(),
            Self::Http2(h2_stream) => h2_stream.expect_stream(),
        }
    }

    /// Records that an endless body begins.
    pub(in crate::http) fn begin_stream(&self) {
        // On HTTP/2 other requests may follow on the same connection.
        if let Self::Http1(conn) = self {
            conn.begin_stream();
        }
    }

    /// Records that an endless body begins, and leaves hyper as soon as its head is written.
    pub(super) fn begin_handoff(&self) {
        self.begin_stream();
        if let Self::Http1(conn) = self {
            conn.begin_handoff();
        }
    }

    /// Whether a body must wait until what it gave is written. If so, its task is woken when that is done. On HTTP/2 hyper takes at
    /// most one piece while the client's window is closed, and polls no body before it is handed over.
    pub(in crate::http) fn should_wait(&self) -> bool {
        matches!(self, Self::Http1(conn) if conn.should_wait())
    }

    /// Records that what was given must be written before the body gives more.
    pub(in crate::http) fn set_blocked(&self) {
        if let Self::Http1(conn) = self {
            conn.set_blocked();
        }
    }

    /// Returns what was given and is not written yet. On HTTP/2 it is what was given last.
    pub(in crate::http) fn pending_write(&self) -> &PendingWrite {
        match self {
            Self::Http1(conn) => conn.pending_write(),
            Self::Http2(h2_stream) => h2_stream.pending_write(),
        }
    }

    /// Whether the socket, or on HTTP/2 the client's window, has no room for what was given.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.is_blocked(),
            Self::Http2(h2_stream) => h2_stream.is_blocked(),
        }
    }

    /// Returns for how long the peer has acknowledged nothing although something is due.
    pub(in crate::http) fn unacknowledged_for(&self) -> Duration {
        match self {
            Self::Http1(conn) => conn.unacknowledged_for(),
            Self::Http2(h2_stream) => h2_stream.conn().unacknowledged_for(),
        }
    }

    /// Ends the whole connection, whose peer is gone, and every stream on it.
    pub(super) fn reset_connection(&self, reason: EndReason) {
        match self {
            Self::Http1(conn) => conn.reset(reason),
            Self::Http2(h2_stream) => h2_stream.conn().reset(reason),
        }
    }

    /// Ends this stream at once, possibly in the middle of an event.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        match self {
            Self::Http1(conn) => conn.reset(reason),
            Self::Http2(h2_stream) => h2_stream.reset(reason),
        }
    }

    /// Returns a handle that does not keep the connection open.
    pub(in crate::http) fn downgrade(&self) -> WeakConnHandle {
        match self {
            Self::Http1(conn) => WeakConnHandle::Http1(Arc::downgrade(conn)),
            Self::Http2(h2_stream) => WeakConnHandle::Http2(Arc::downgrade(h2_stream)),
        }
    }

    /// Returns why the stream ended, as far as its connection knows.
    pub(in crate::http) fn end_reason(&self) -> EndReason {
        match self {
            Self::Http1(conn) => conn.end_reason(),
            Self::Http2(h2_stream) => h2_stream.end_reason(),
        }
    }
}

/// A handle that does not keep the connection open.
#[derive(Clone, Debug)]
pub(in crate::http) enum WeakConnHandle {
    /// See [`ConnHandle::Http1`].
    Http1(Weak<ConnState>),
    /// See [`ConnHandle::Http2`].
    Http2(Weak<H2Stream>),
}

impl ResetHandle for WeakConnHandle {
    fn reset(&self) {
        if let Some(handle) = self.handle() {
            handle.reset(EndReason::Memory);
        }
    }
}

impl WeakConnHandle {
    /// Returns the handle, if the connection or stream still exists.
    pub(in crate::http) fn handle(&self) -> Option<ConnHandle> {
        match self {
            Self::Http1(conn) => conn.upgrade().map(ConnHandle::Http1),
            Self::Http2(h2_stream) => h2_stream.upgrade().map(ConnHandle::Http2),
        }
    }
}
