//! Ports: bound early, served later.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    connection::{self, Answer, Port, Rules},
    panics::contain,
    presence::Presence,
};
use crate::drain::Watch;

/// A port that is bound. Peers can connect already; they are served once [`serve`](super::serve) runs.
#[derive(Debug)]
pub struct Bound {
    listener: StdListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the operating system refuses it: the port is taken, or privileged, or the address is not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the connections of the process before it to be forgotten.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Self::inherited(socket.into())
    }

    /// Takes over a listener that somebody else has bound.
    ///
    /// # Errors
    /// When it is not a listening socket.
    pub fn inherited(listener: StdListener) -> io::Result<Self> {
        // One that is only bound has an address too, and every accept on it fails.
        if !SockRef::from(&listener).is_listener()? {
            return Err(io::Error::other("the socket does not listen"));
        }
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it is bound, with the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same socket once more, for a successor: who connects is served by whichever accepts first, and the port stays
    /// open until both have closed it.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.listener.try_clone().map(Into::into)
    }

    /// Serves whoever connects until the window of a drain ends (or, with a successor, begins), and returns when the last
    /// connection is closed.
    pub(super) async fn serve(self, answer: impl Answer, rules: Rules, drain: Watch) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let (port, connections) = (Arc::new(Port::open(rules)), TaskTracker::new());
        let mut failures = Failures::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.closed() => break,
                accepted = accept(&listener, &port.rules, &mut failures) => accepted,
            };
            let (socket, peer) = accepted;
            let metrics = &port.rules.metrics;
            // Taken over, a connection outlives its task.
            let presence = Presence::new(metrics, connections.token());
            let panics = metrics.panics().clone();
            let connection = connection::serve(socket, peer, answer.clone(), Arc::clone(&port), presence);
            tokio::spawn(contain(connection, panics));
        }
        drop(listener);
        // Streams stay until they are due. Whoever is through with one, and would ask again on the same connection, is to do
        // so where somebody else listens.
        port.closing.last_call.cancel();
        connections.close();
        tokio::select! {
            () = drain.ended() => {}
            () = connections.wait() => {}
        }
        port.closing.hang_up.cancel();
        if timeout(LAST_CALL, connections.wait()).await.is_err() {
            tracing::info!(
                connections = connections.len(),
                "cutting connections that do not end"
            );
            port.closing.cut.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

/// The next connection. What fails one peer only is no news; what fails all is said, and waited out.
async fn accept(listener: &TcpListener, rules: &Rules, failures: &mut Failures) -> (TcpStream, SocketAddr) {
    loop {
        if let Some(lobby) = rules.lobby() {
            lobby.room().await;
        }
        match listener.accept().await {
            Ok(accepted) => {
                failures.end();
                return accepted;
            }
            Err(error) if concerns_one_peer(&error) => {}
            Err(error) => {
                rules.metrics.accept_failure();
                failures.note(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Times in a row that no connection could be accepted. Each is counted; the log is told now and then.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    told: Option<Instant>,
}

impl Failures {
    fn note(&mut self, error: &io::Error) {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            self.told = Some(Instant::now());
            tracing::warn!(%error, times = self.count, "cannot accept connections");
        }
    }

    /// One was accepted. What was told a moment ago stays told: where descriptors come and go, so does this.
    fn end(&mut self) {
        if self.count > 0 && self.told.is_some_and(|told| told.elapsed() >= TELL_AGAIN) {
            tracing::info!(times = self.count, "connections are accepted again");
            (self.count, self.told) = (0, None);
        }
    }
}

fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// How many connections may wait to be accepted: all clients of a host come back at once after a restart. The kernel
/// takes less where `net.core.somaxconn` is less.
const BACKLOG: i32 = 4096;

/// How long to wait when no connection can be accepted (`EMFILE`): the reason is rarely gone at once, and asking again
/// without a pause would take the CPU from those who could close a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the log is left alone with what it was told.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How long a connection has, behind the end of a drain's window, to write the rest of what it was writing.
const LAST_CALL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_to_accept_are_told_once_in_a_while_however_many_there_are() {
        let (mut failures, mut told) = (Failures::default(), Vec::new());
        for _ in 0..700 {
            failures.note(&io::Error::from_raw_os_error(libc::EMFILE));
            told.extend(failures.told);
            // One connection fits in between.
            failures.end();
            advance(ACCEPT_PAUSE).await;
        }
        told.dedup();
        assert_eq!(told.len(), 3, "in 70 s");
        advance(TELL_AGAIN).await;
        failures.end();
        assert_eq!((failures.count, failures.told), (0, None));
    }
}
