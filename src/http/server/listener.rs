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
    connection,
    connection_guard::ConnectionGuard,
    context::{ListenerConfig, ServerContext},
    handler::RequestHandler,
    panics::catch_panic,
};
use crate::drain::DrainWatch;

/// A port that is bound. Peers can connect already; they are served once [`serve`](crate::http::serve) runs.
#[derive(Debug)]
pub struct BoundListener {
    listener: StdListener,
    address: SocketAddr,
}

impl BoundListener {
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
        Self::from_inherited(socket.into())
    }

    /// Takes over a listener that somebody else has bound.
    ///
    /// # Errors
    /// When it is not a listening socket.
    pub fn from_inherited(listener: StdListener) -> io::Result<Self> {
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
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.listener.try_clone().map(Into::into)
    }

    /// Serves whoever connects until the window of a drain ends (or, with a successor, begins), and returns when the last
    /// connection is closed.
    pub(in crate::http) async fn serve(
        self,
        handler: impl RequestHandler,
        config: ListenerConfig,
        drain: DrainWatch,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let (server, connections) = (Arc::new(ServerContext::open(config)), TaskTracker::new());
        let mut failures = AcceptFailures::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.wait_until_closed() => break,
                accepted = accept(&listener, &server.config, &mut failures) => accepted,
            };
            let (socket, peer) = accepted;
            let metrics = &server.config.metrics;
            // Taken over, a connection outlives its task.
            let connection_guard = ConnectionGuard::new(metrics, connections.token());
            let panics = metrics.panics().clone();
            let connection = connection::serve(
                socket,
                peer,
                handler.clone(),
                Arc::clone(&server),
                connection_guard,
            );
            tokio::spawn(catch_panic(connection, panics));
        }
        drop(listener);
        // Streams stay until they are due. Whoever is through with one, and would ask again on the same connection, is to do
        // so where somebody else listens.
        server.shutdown.graceful.cancel();
        connections.close();
        tokio::select! {
            () = drain.wait_until_ended() => {}
            () = connections.wait() => {}
        }
        server.shutdown.close_idle.cancel();
        if timeout(ABORT_AFTER, connections.wait()).await.is_err() {
            tracing::info!(
                connections = connections.len(),
                "cutting connections that do not end"
            );
            server.shutdown.abort.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

/// The next connection. What fails one peer only is no news; what fails all is said, and waited out.
async fn accept(
    listener: &TcpListener,
    config: &ListenerConfig,
    failures: &mut AcceptFailures,
) -> (TcpStream, SocketAddr) {
    loop {
        if let Some(idle_connections) = config.idle_connections() {
            idle_connections.wait_for_capacity().await;
        }
        match listener.accept().await {
            Ok(accepted) => {
                failures.on_accepted();
                return accepted;
            }
            Err(error) if is_per_connection_error(&error) => {}
            Err(error) => {
                config.metrics.accept_failure();
                failures.record(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Times in a row that no connection could be accepted. Each is counted; the log is told now and then.
#[derive(Debug, Default)]
struct AcceptFailures {
    count: u64,
    last_logged: Option<Instant>,
}

impl AcceptFailures {
    fn record(&mut self, error: &io::Error) {
        self.count += 1;
        if self
            .last_logged
            .is_none_or(|last_logged| last_logged.elapsed() >= LOG_INTERVAL)
        {
            self.last_logged = Some(Instant::now());
            tracing::warn!(%error, times = self.count, "cannot accept connections");
        }
    }

    /// One was accepted. What was told a moment ago stays told: where descriptors come and go, so does this.
    fn on_accepted(&mut self) {
        if self.count > 0
            && self
                .last_logged
                .is_some_and(|last_logged| last_logged.elapsed() >= LOG_INTERVAL)
        {
            tracing::info!(times = self.count, "connections are accepted again");
            (self.count, self.last_logged) = (0, None);
        }
    }
}

fn is_per_connection_error(error: &io::Error) -> bool {
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
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How long a connection has, behind the end of a drain's window, to write the rest of what it was writing.
const ABORT_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_to_accept_are_told_once_in_a_while_however_many_there_are() {
        let (mut failures, mut last_logged) = (AcceptFailures::default(), Vec::new());
        for _ in 0..700 {
            failures.record(&io::Error::from_raw_os_error(libc::EMFILE));
            last_logged.extend(failures.last_logged);
            // One connection fits in between.
            failures.on_accepted();
            advance(ACCEPT_PAUSE).await;
        }
        last_logged.dedup();
        assert_eq!(last_logged.len(), 3, "in 70 s");
        advance(LOG_INTERVAL).await;
        failures.on_accepted();
        assert_eq!((failures.count, failures.last_logged), (0, None));
    }
}
