//! Whether the bootstrap list would still find anybody.
//!
//! A client that has learned the brokers needs the list no more, and so nobody notices when it rots: the next restart does.
//! One address is tried at a time, and none that is known to be a broker that answers.

use std::{
    io::{self, Read},
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::{
    health,
    kafka::{
        shared::ClusterShared,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
};

/// Starts the thread, which ends when the supervisor has.
///
/// # Errors
/// When the system has no thread to give.
pub(in crate::kafka) fn spawn(
    shared: &ClusterShared,
    over: mpsc::Receiver<()>,
    shutdown_guard: ShutdownGuard,
) -> io::Result<()> {
    let (guard, health) = (
        PanicHandler::new(shared, threads::BOOTSTRAP_CHECK),
        Arc::clone(&shared.health),
    );
    let rest = move |pause| over.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout);
    thread::Builder::new()
        .name(threads::BOOTSTRAP_CHECK.to_owned())
        .spawn(move || {
            guard.run_with_restarts(&rest, || check_all(&health, &rest));
            drop(shutdown_guard);
        })
        .map(drop)
}

/// Tries one address after another, until `rest`, which waits, says that it is over.
fn check_all(health: &health::ClusterHealth, rest: impl Fn(Duration) -> bool) {
    let mut pause = Duration::ZERO;
    loop {
        for address in health.bootstrap() {
            if !rest(pause) {
                return;
            }
            #[cfg(test)]
            threads::panic_if_requested(health.name());
            let outcome = match health.answers_at(&address, Instant::now()) {
                true => Ok(()),
                false => connect(&address),
            };
            health.record_attempt(&address, outcome);
        }
        pause = PAUSE;
    }
}

/// Whether anything listens at one of the addresses behind this name; if not, why.
fn connect(address: &str) -> Result<(), String> {
    let found = address.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut why = "its name has no address".to_owned();
    for found in found.take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(&found, ANSWER_TIMEOUT).and_then(stays_open) {
            Ok(()) => return Ok(()),
            Err(error) => why = error_text(&error),
        }
    }
    Err(why)
}

/// Whether a peer keeps the connection that it took. A balancer takes it in any case, and closes it when there is no broker
/// behind it; a broker waits to be asked.
fn stays_open(mut socket: TcpStream) -> io::Result<()> {
    socket.set_read_timeout(Some(SILENCE))?;
    match socket.read(&mut [0]) {
        Ok(0) => Err(io::Error::other("connection closed")),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Without the number that the system has for it.
fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Between two addresses, once all were tried: a list rots in days.
const PAUSE: Duration = Duration::from_secs(5);

/// Longer than a handshake around the globe.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Within which who has no broker to pass a connection to closes it.
const SILENCE: Duration = Duration::from_millis(200);

/// A name that follows the brokers has one address for each.
const MAX_ADDRESSES: usize = 4;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_that_nobody_listens_on_has_a_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        assert_eq!(connect(&address), Ok(()));
        drop(listener);
        assert_eq!(connect(&address), Err("connection refused".to_owned()));
    }

    #[test]
    fn who_takes_a_connection_and_drops_it_is_no_broker() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let balancer = thread::spawn(move || drop(listener.accept().expect("a connection")));
        assert_eq!(connect(&address), Err("connection closed".to_owned()));
        balancer.join().expect("one connection");
    }
}
