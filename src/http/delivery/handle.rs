//! What carries a stream's body to its client: a connection of its own, or one stream of a connection of HTTP/2.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    http::server::{conn::ConnState, h2_stream::H2Stream, pending_write::PendingWrite},
    metrics::EndReason,
    subscription::ResetHandle,
};

/// What a body and those who carry it tell each other.
#[derive(Clone, Debug)]
pub(in crate::http) enum ConnHandle {
    /// HTTP/1.1: an endless body is the last thing on its connection.
    Http1(Arc<ConnState>),
    /// HTTP/2: others are on the connection.
    Http2(Arc<H2Stream>),
}

impl ConnHandle {
    /// An endless body is what it will carry.
    pub(super) fn expect_stream(&self) {
        match self {
            Self::Http1(conn) => conn.expect_stream(),
            Self::Http2(h2_stream) => h2_stream.expect_stream(),
        }
    }

    /// An endless body begins.
    pub(in crate::http) fn begin_stream(&self) {
        match self {
            Self::Http1(conn) => conn.begin_stream(),
            // Others may ask for more beside it.
            Self::Http2(_) => {}
        }
    }

    /// Whether a body must hold back; if so, its task is woken when it need not any more. HTTP/2 has windows for that, and
    /// asks for nothing while they are closed.
    pub(in crate::http) fn should_wait(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.should_wait(),
            Self::Http2(_) => false,
        }
    }

    /// What was given must be written before more is asked for.
    pub(in crate::http) fn set_blocked(&self) {
        match self {
            Self::Http1(conn) => conn.set_blocked(),
            Self::Http2(_) => {}
        }
    }

    /// What it was given and has not written yet; of HTTP/2, what it was given last.
    pub(in crate::http) fn pending_write(&self) -> &PendingWrite {
        match self {
            Self::Http1(conn) => conn.pending_write(),
            Self::Http2(h2_stream) => h2_stream.pending_write(),
        }
    }

    /// Whether something that was given is not written yet.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.is_blocked(),
            Self::Http2(h2_stream) => h2_stream.is_blocked(),
        }
    }

    /// For how long the peer has been silent although it should not be.
    pub(in crate::http) fn unacknowledged_for(&self) -> Duration {
        match self {
            Self::Http1(conn) => conn.unacknowledged_for(),
            Self::Http2(h2_stream) => h2_stream.conn().unacknowledged_for(),
        }
    }

    /// Ends a connection whose peer is gone, and with it all that it carries.
    pub(super) fn reset_connection(&self, reason: EndReason) {
        match self {
            Self::Http1(conn) => conn.reset(reason),
            Self::Http2(h2_stream) => h2_stream.conn().reset(reason),
        }
    }

    /// Ends this stream at once, possibly inside an event.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        match self {
            Self::Http1(conn) => conn.reset(reason),
            Self::Http2(h2_stream) => h2_stream.reset(reason),
        }
    }

    /// The same, for who must not keep it.
    pub(in crate::http) fn downgrade(&self) -> WeakConnHandle {
        match self {
            Self::Http1(conn) => WeakConnHandle::Http1(Arc::downgrade(conn)),
            Self::Http2(h2_stream) => WeakConnHandle::Http2(Arc::downgrade(h2_stream)),
        }
    }

    /// Why the stream ended, as far as its connection knows.
    pub(in crate::http) fn end_reason(&self) -> EndReason {
        match self {
            Self::Http1(conn) => conn.end_reason(),
            Self::Http2(h2_stream) => h2_stream.end_reason(),
        }
    }
}

/// A connection handle that does not keep the connection.
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
    /// The handle, if its stream is still on it.
    pub(in crate::http) fn handle(&self) -> Option<ConnHandle> {
        match self {
            Self::Http1(conn) => conn.upgrade().map(ConnHandle::Http1),
            Self::Http2(h2_stream) => h2_stream.upgrade().map(ConnHandle::Http2),
        }
    }
}
