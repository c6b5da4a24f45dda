//! A listening socket: bound early, served later, and drained in steps.
//!
//! Not here: what happens on a connection that was accepted (`connection`).

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

/// A socket that listens. Peers can connect already, and are served once [`serve`](crate::http::serve()) runs.
#[derive(Debug)]
pub struct BoundListener {
    listener: StdListener,
    address: SocketAddr,
}

impl BoundListener {
    /// Binds `address` and listens. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the operating system refuses: the port is taken or privileged, or the address is not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Without this a restart would have to wait until the kernel forgets the connections of the process before it.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Self::from_inherited(socket.into())
    }

    /// Takes over a listener that another process has bound.
    ///
    /// # Errors
    /// When it is not a listening socket.
    pub fn from_inherited(listener: StdListener) -> io::Result<Self> {
        // A socket that is bound but does not listen has an address too, and every accept on it fails.
        if !SockRef::from(&listener).is_listener()? {
            return Err(io::Error::other("the socket is not listening"));
        }
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Returns the address it is bound to, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a second descriptor of the socket, for a successor process. A new connection is served by the process that
    /// accepts it first, and the port stays open until both have closed it.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.listener.try_clone().map(Into::into)
    }

    /// Accepts and serves connections until the window of a drain ends (with a successor: until it begins). Returns when the
    /// last connection is closed.
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
            // A connection that a write task takes over outlives the task that is spawned here.
            let connection_guard = ConnectionGuard::new(metrics, connections.token());
            let panics = metrics.panics.clone();
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
        // Streams stay until they are due. A client whose stream ended must not ask again on this connection, but connect anew,
        // where another process listens.
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
                "aborting connections that are still open after the drain"
            );
            server.shutdown.abort.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

/// Accepts the next connection. Skips errors that concern one peer only. Counts and logs errors that concern all, and waits
/// before it tries again.
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
                config.metrics.accept_failures.inc();
                failures.record(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The failures to accept in a row. Each is counted, and one in [`LOG_INTERVAL`] is logged.
#[derive(Debug, Default)]
struct AcceptFailures {
    count: u64,
    last_logged: Option<Instant>,
}

impl AcceptFailures {
    /// Counts a failure, and logs it if the last line is old enough.
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

    /// Records that a connection was accepted. The failures are over only when the last log line about them is old: while
    /// descriptors run out and come free in turn, so do accepts fail and succeed.
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

/// Whether an error of `accept` concerns only the connection that was about to be accepted.
fn is_per_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// How many connections may wait to be accepted: all clients of a host come back at once after a restart. The kernel
/// takes fewer if `net.core.somaxconn` is less.
const BACKLOG: i32 = 4096;

/// How long to wait if no connection can be accepted (`EMFILE`). The cause is rarely gone at once, and a loop without a pause
/// would take the CPU from the tasks that could close a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The least time between two log lines about failures to accept.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How long a connection has, after the window of a drain, to write the rest of what it was writing.
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
            // One accept succeeds in between.
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
