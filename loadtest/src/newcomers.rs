//! New clients that connect while others load a gateway. They must get their streams.

use std::{
    fmt, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    bystander::{PATIENCE, ask_from},
    client::Client,
};

/// The results of new clients that connected one after the other.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct NewClients {
    /// The longest time until a first event.
    #[serde(rename = "newcomer")]
    pub slowest: Duration,
    /// The number of new clients.
    #[serde(rename = "newcomers")]
    pub count: usize,
    /// The number of new clients that received no event.
    pub shut_out: usize,
}

impl NewClients {
    /// Adds the result of one [`newcomer`].
    pub(crate) fn add(&mut self, took: io::Result<Duration>) {
        self.count += 1;
        match took {
            Ok(took) => self.slowest = self.slowest.max(took),
            Err(_) => self.shut_out += 1,
        }
    }

    /// Returns the conditions for new clients, each with the finding if it does not hold.
    pub(crate) fn checks(&self) -> [(bool, &'static str); 2] {
        [
            (self.shut_out == 0, "a new client received no event"),
            (
                self.slowest < Duration::from_secs(1),
                "a new client waited for more than a second",
            ),
        ]
    }
}

impl fmt::Display for NewClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "new clients on 127.0.0.2   {}, first event within {:.3} s",
            self.count,
            self.slowest.as_secs_f64()
        )
    }
}

/// Connects one client from 127.0.0.2. Returns the time from connecting to its first event.
///
/// # Errors
/// If there is no event within ten seconds.
pub async fn newcomer(server: SocketAddr) -> io::Result<Duration> {
    let start = Instant::now();
    let mut client = Client::connect(server, &ask_from([127, 0, 0, 2])).await?;
    let event = client.next(PATIENCE).await;
    event
        .map(|_| start.elapsed())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}
