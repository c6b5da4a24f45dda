//! Checks whether the bootstrap list would still find a broker.
//!
//! A client that has learned the brokers no longer needs the list, so nothing notices when it goes stale until the next
//! restart. One address is tried at a time. An address of a broker that is known to answer is not tried.

use std::{
    io::{self, Read},
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, mpsc},
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

/// Starts the thread. It ends when the returned sender is dropped, which happens when the supervisor ends.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub(in crate::kafka) fn spawn(
    shared: &ClusterShared,
    shutdown_guard: ShutdownGuard,
) -> io::Result<mpsc::Sender<()>> {
    let (stop, stopped) = mpsc::channel();
    let handler = PanicHandler::new(shared, threads::BOOTSTRAP_CHECK);
    let health = Arc::clone(&shared.health);
    let wait = move |pause| stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout);
    threads::spawn(threads::BOOTSTRAP_CHECK, move || {
        handler.run_with_restarts(&wait, || check_all(&health, &wait));
        drop(shutdown_guard);
    })?;
    Ok(stop)
}

/// Tries one address after the other, until `wait`, which sleeps for the given pause, returns false.
fn check_all(health: &health::ClusterHealth, wait: impl Fn(Duration) -> bool) {
    let mut pause = Duration::ZERO;
    loop {
        for address in health.bootstrap() {
            if !wait(pause) {
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

/// Connects to the addresses behind this name until one accepts.
///
/// # Errors
/// Returns why the last address failed.
fn connect(address: &str) -> Result<(), String> {
    let found = address.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut why = "the host name has no address".to_owned();
    for found in found.take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(&found, ANSWER_TIMEOUT).and_then(stays_open) {
            Ok(()) => return Ok(()),
            Err(error) => why = error_text(&error),
        }
    }
    Err(why)
}

/// Checks that the peer keeps the connection that it accepted. A load balancer accepts in any case, and closes the connection
/// when there is no broker behind it; a broker waits for a request.
fn stays_open(mut socket: TcpStream) -> io::Result<()> {
    socket.set_read_timeout(Some(SILENCE))?;
    match socket.read(&mut [0]) {
        Ok(0) => Err(io::Error::other("connection closed")),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the text of an error, without the number that the system has for it.
fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// The pause between two addresses, once all were tried. A list goes stale in days.
const PAUSE: Duration = Duration::from_secs(5);

/// The timeout of a connect: longer than a handshake around the globe.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A load balancer without a broker closes a connection within this time.
const SILENCE: Duration = Duration::from_millis(200);

/// The most addresses that are tried of a name. A name that stands for the whole cluster has one address for each broker.
const MAX_ADDRESSES: usize = 4;

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

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
