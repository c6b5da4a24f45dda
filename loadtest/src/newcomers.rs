//! Clients that were not there before, who must be let in whatever others do to a gateway.

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

/// What those met who came one after the other.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct NewClients {
    /// How long each took to its first event, at most.
    #[serde(rename = "newcomer")]
    pub slowest: Duration,
    /// How many came.
    #[serde(rename = "newcomers")]
    pub count: usize,
    /// Of them, those that got no event.
    pub shut_out: usize,
}

impl NewClients {
    /// One more, with what [`newcomer`] said of it.
    pub(crate) fn add(&mut self, took: io::Result<Duration>) {
        self.count += 1;
        match took {
            Ok(took) => self.slowest = self.slowest.max(took),
            Err(_) => self.shut_out += 1,
        }
    }

    /// What must hold for them, each with the sentence for when it does not.
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

/// One on 127.0.0.2: how long it takes from connecting to its first event.
///
/// # Errors
/// If it gets none within ten seconds.
pub async fn newcomer(server: SocketAddr) -> io::Result<Duration> {
    let start = Instant::now();
    let mut client = Client::connect(server, &ask_from([127, 0, 0, 2])).await?;
    let event = client.next(PATIENCE).await;
    event
        .map(|_| start.elapsed())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}
