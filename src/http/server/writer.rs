//! Writes to a socket, with a deadline for the socket to take bytes.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::conn::ConnState;

/// Writes to a connection, for hyper as well as for a write task.
///
/// If a write has waited for the stall deadline and the socket has not taken one byte, the connection is reset: a client that
/// does not read must not keep its slot and its buffers. A client that reads slowly is not affected, unless what it was given
/// has been deleted since: see [`PendingWrite`](super::pending_write::PendingWrite).
#[derive(Debug)]
pub(in crate::http) struct SocketWriter {
    conn: Arc<ConnState>,
    stall_timeout: Duration,
    /// The deadline of a write that waits. `None` while none does: most sockets never need it.
    stall: Option<Pin<Box<Sleep>>>,
}

impl SocketWriter {
    pub(in crate::http) fn new(conn: Arc<ConnState>, stall_timeout: Duration) -> Self {
        Self {
            conn,
            stall_timeout,
            stall: None,
        }
    }

    pub(in crate::http) fn conn(&self) -> &Arc<ConnState> {
        &self.conn
    }

    /// Writes when the socket takes something. Returns how many bytes it took.
    pub(in crate::http) fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&ConnState) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let due = self.conn.pending_write().due(self.stall_timeout);
        if due.is_some_and(|due| due <= Instant::now()) {
            return Poll::Ready(Err(self.stalled()));
        }
        loop {
            match self.conn.socket().poll_write_ready(context) {
                Poll::Ready(ready) => self.conn.observe(ready)?,
                Poll::Pending => return self.poll_stalled(context, due).map(Err),
            }
            match self.conn.observe(write(&self.conn)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => {
                    self.stall = None;
                    return Poll::Ready(taken);
                }
            }
        }
    }

    /// Waits for the stall deadline, or until `due` if that comes first. Returns the error that ends the connection.
    fn poll_stalled(&mut self, context: &mut Context<'_>, due: Option<Instant>) -> Poll<io::Error> {
        self.conn.set_blocked();
        let timeout = self.stall_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if let Some(due) = due.filter(|due| *due < stall.deadline()) {
            stall.as_mut().reset(due);
        }
        ready!(stall.as_mut().poll(context));
        Poll::Ready(self.stalled())
    }

    /// Records that the client has stalled, and returns the error for it.
    fn stalled(&self) -> io::Error {
        self.conn.set_stalled();
        self.conn.set_reset_on_close();
        io::Error::new(io::ErrorKind::TimedOut, "the peer took no bytes for too long")
    }
}
