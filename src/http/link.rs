//! One connection's socket, and what the layers above and below hyper tell each other about it.
//!
//! hyper owns the [`Io`](super::io::Io) and the body; neither sees the other through it. What they must know of each other
//! goes through here: whether the socket is blocked, whether a stream is on it, and why it ended.

use std::{
    io,
    net::Shutdown,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{held::Held, silence::silence};
use crate::{client::ClientKey, limits::Place, metrics::EndReason};

/// What is known of one connection. Its users run in the connection's own task, and on HTTP/2 in those of its requests.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    /// Where it waits while it has nothing to do; nowhere once that will not happen again.
    place: Mutex<Option<Arc<Place>>>,
    asked: AtomicBool,
    claimed: AtomicBool,
    streaming: AtomicBool,
    blocked: AtomicBool,
    declined: AtomicBool,
    end: OnceLock<EndReason>,
    held: Held,
}

impl Link {
    pub(super) fn new(socket: TcpStream, place: Option<Place>) -> Self {
        Self {
            socket,
            place: Mutex::new(place.map(Arc::new)),
            asked: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            declined: AtomicBool::new(false),
            end: OnceLock::new(),
            held: Held::default(),
        }
    }

    /// What it was given to write, and has not written yet.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads some bytes, as they are: for what comes before hyper. 0 is the end.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.note(self.socket.readable().await)?;
            match self.note(self.socket.try_read(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes what the socket takes right now, without a look at whether the runtime believes that it takes anything. Who cannot
    /// write all of it has to wait as everybody does.
    pub(super) fn send_now(&self, bytes: &[u8]) -> usize {
        // An error is met again by whoever writes next; only what it was is told once.
        self.note(SockRef::from(&self.socket).send(bytes)).unwrap_or(0)
    }

    /// A request came.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.leave_lobby();
    }

    /// A stream is what it will be answered with.
    pub(super) fn claim(&self) {
        self.claimed.store(true, Ordering::Relaxed);
    }

    /// The request has its answer. One that is no stream is as good as written: it is short.
    pub(super) fn answered(&self) {
        if !self.claimed.load(Ordering::Relaxed) {
            self.enter_lobby();
        }
    }

    /// Whether a request ever came.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Now that it is known whose connection this is, it waits for a request.
    pub(super) fn enter_lobby_as(&self, client: ClientKey) {
        self.place().iter().for_each(|place| place.enter_as(client));
    }

    /// The same, for a trusted proxy.
    pub(super) fn enter_lobby_as_proxy(&self) {
        self.place().iter().for_each(|place| place.enter_as_proxy());
    }

    /// It has nothing to do any more.
    pub(super) fn enter_lobby(&self) {
        self.place().iter().for_each(|place| place.enter());
    }

    /// It has something to do, which is counted elsewhere.
    pub(super) fn leave_lobby(&self) {
        self.place().iter().for_each(|place| place.leave());
    }

    /// It has something to do to its end.
    pub(super) fn leave_lobby_for_good(&self) {
        *self.place.lock() = None;
    }

    /// Waits until it has to go for those that come.
    pub(super) async fn sent_away(&self) {
        match self.place() {
            Some(place) => place.sent_away().await,
            None => std::future::pending().await,
        }
    }

    fn place(&self) -> Option<Arc<Place>> {
        self.place.lock().clone()
    }

    /// From now on an endless body is all that is on this connection: no second request is answered.
    pub(super) fn begin_stream(&self) {
        self.streaming.store(true, Ordering::Relaxed);
    }

    /// Has its close be a reset: what the kernel still holds for this peer is freed at once.
    pub(super) fn set_reset_on_close(&self) {
        // Fails when the peer is gone, and then there is nothing to free.
        let _ = self.socket.set_zero_linger();
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }

    /// What hyper has must be written before it gets more.
    pub(super) fn set_blocked(&self) {
        self.blocked.store(true, Ordering::Relaxed);
    }

    /// All that hyper had is written. Wakes the connection if its body held back for that.
    pub(super) fn set_flushed(&self, context: &Context<'_>) {
        self.blocked.store(false, Ordering::Relaxed);
        self.held.clear();
        // hyper flushes behind its last look at the body, and need not look again by itself.
        if self.declined.swap(false, Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
    }

    /// Whether a body must hold back; if so, its task is woken when it need not any more.
    pub(super) fn declines(&self) -> bool {
        let blocked = self.blocked.load(Ordering::Relaxed);
        if blocked {
            self.declined.store(true, Ordering::Relaxed);
        }
        blocked
    }

    /// Notes that the socket took no byte for the stall deadline.
    pub(super) fn set_stalled(&self) {
        // The first reason is the cause of all others.
        let _ = self.end.set(EndReason::Stalled);
    }

    /// Whether hyper has something that the socket did not take yet.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// For how long the peer has been silent although it should not be: see [`silence`].
    pub(super) fn silence(&self) -> Duration {
        silence(&self.socket)
    }

    /// Ends the connection at once, with a reset: what the kernel still holds for the peer is freed. Its task notices by
    /// the end of its input.
    pub(super) fn reset(&self, reason: EndReason) {
        let _ = self.end.set(reason);
        self.set_reset_on_close();
        // Fails on a socket that is gone already.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
    }

    /// Why this connection ended, as far as its socket knows.
    pub(super) fn end(&self) -> EndReason {
        self.end.get().copied().unwrap_or(EndReason::ClientClosed)
    }

    /// Passes a result of the socket on, and notes what it means.
    pub(super) fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && matches!(
                error.kind(),
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
            )
        {
            let _ = self.end.set(EndReason::Vanished);
        }
        result
    }

    /// Throws away what the client sends: ready when it is gone, or has sent more than `budget` bytes.
    ///
    /// hyper would look for the end of its input only while it has nothing unread, so that a client that pipelined one
    /// byte behind its request and went would be noticed at the next heartbeat at best. This notices it at once.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        let mut rubbish = [0; 512];
        loop {
            if self.note(ready!(self.socket.poll_read_ready(context))).is_err() {
                return Poll::Ready(());
            }
            match self.note(self.socket.try_read(&mut rubbish)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(bytes @ 1..) if bytes <= *budget => *budget -= bytes,
                _ => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A client's end of a connection, and ours.
    pub(in crate::http) async fn connected() -> (TcpStream, TcpStream) {
        connected_from(TcpSocket::new_v4().unwrap()).await
    }

    /// The same with a client's socket that is not like others.
    pub(in crate::http) async fn connected_from(client: TcpSocket) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }
}
