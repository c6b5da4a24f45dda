//! The process before this one, as its successor knows it.

use std::{io, os::unix::net::UnixStream as StdStream, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{interval, timeout},
};

use super::{super::StartError, READY};
use crate::health::Health;

/// The process that listens until this one announces that it accepts connections.
pub(in crate::app) struct Predecessor(StdStream);

impl Predecessor {
    pub(super) fn new(channel: StdStream) -> Self {
        Self(channel)
    }

    /// Waits until every cluster that streams are read from has sent its metadata, or the predecessor is gone, since then no
    /// process serves meanwhile.
    ///
    /// # Errors
    /// [`StartError::Unanswered`] if Kafka does not answer within `deadline`.
    pub(super) async fn wait_ready(&self, health: &Health, deadline: Duration) -> Result<(), StartError> {
        let mut channel = self.channel()?;
        let answered = timeout(deadline, answered(health));
        tokio::select! {
            answered = answered => answered.map_err(|_| StartError::Unanswered(deadline)),
            () = gone(&mut channel) => {
                tracing::warn!("the predecessor has ended; taking over without it");
                Ok(())
            }
        }
    }

    /// Announces that this process accepts connections from now on.
    pub(in crate::app) async fn announce_ready(&self) {
        let said = async { self.channel()?.write_all(&[READY]).await };
        if let Err(error) = said.await {
            tracing::warn!(%error, "cannot tell the predecessor that this process serves");
        }
    }

    /// Waits until the predecessor has noticed that this process serves, and has stopped accepting, or is gone.
    pub(in crate::app) async fn stopped(&self) {
        if let Ok(mut channel) = self.channel() {
            gone(&mut channel).await;
        }
    }

    fn channel(&self) -> io::Result<UnixStream> {
        let channel = self.0.try_clone()?;
        channel.set_nonblocking(true)?;
        UnixStream::from_std(channel)
    }
}

async fn answered(health: &Health) {
    let mut looks = interval(POLL_INTERVAL);
    while !health.is_described() {
        looks.tick().await;
    }
}

/// Waits for the end of the channel. The predecessor never writes, so a read ends when it has handed over, or with its process.
async fn gone(channel: &mut UnixStream) {
    let _ = channel.read(&mut [0]).await;
}

/// How often the health cells are polled, as they have no waker. A poll takes a lock for each cluster.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
