//! Writing to a socket, with a deadline for it to take bytes.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::link::Link;

/// The one way to write to a connection, whoever has something to write.
///
/// When a write has been waiting for the stall deadline and not one byte was taken, the connection is reset: a client
/// that does not read must not keep its slot and its buffers. A client that reads slowly is not concerned, unless what it has
/// been given was deleted since: see [`Held`](super::held::Held).
#[derive(Debug)]
pub(super) struct Writer {
    link: Arc<Link>,
    stall_timeout: Duration,
    /// Only while a write waits: most sockets never need it.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Writer {
    pub(super) fn new(link: Arc<Link>, stall_timeout: Duration) -> Self {
        Self {
            link,
            stall_timeout,
            stall: None,
        }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Writes once the socket takes something; says how much it took.
    pub(super) fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&Link) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let due = self.link.held().due(self.stall_timeout);
        if due.is_some_and(|due| due <= Instant::now()) {
            return Poll::Ready(Err(self.stalled()));
        }
        loop {
            match self.link.socket().poll_write_ready(context) {
                Poll::Ready(ready) => self.link.note(ready)?,
                Poll::Pending => return self.poll_stalled(context, due).map(Err),
            }
            match self.link.note(write(&self.link)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => {
                    self.stall = None;
                    return Poll::Ready(taken);
                }
            }
        }
    }

    /// Waits for the deadline, or until `due` if that comes first.
    fn poll_stalled(&mut self, context: &mut Context<'_>, due: Option<Instant>) -> Poll<io::Error> {
        self.link.set_blocked();
        let timeout = self.stall_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if let Some(due) = due.filter(|due| *due < stall.deadline()) {
            stall.as_mut().reset(due);
        }
        ready!(stall.as_mut().poll(context));
        Poll::Ready(self.stalled())
    }

    fn stalled(&self) -> io::Error {
        self.link.set_stalled();
        self.link.set_reset_on_close();
        io::Error::new(io::ErrorKind::TimedOut, "the peer takes no bytes")
    }
}
