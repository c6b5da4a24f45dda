//! The process before this one, as its successor knows it.

use std::{
    future::poll_fn, io, os::unix::net::UnixStream as StdStream, sync::Arc, task::Poll, time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{super::StartError, READY};
use crate::{
    catalog::Catalog,
    partition::{Bell, Directory},
};

/// The process that listens until this one says that it does.
pub(in crate::app) struct Predecessor(StdStream);

impl Predecessor {
    pub(super) fn new(channel: StdStream) -> Self {
        Self(channel)
    }

    /// Waits until Kafka has said of every stream what partitions it has, or the predecessor is gone, and with it whoever
    /// would have served meanwhile.
    ///
    /// # Errors
    /// When Kafka does not answer for so long.
    pub(in crate::app) async fn until_fit(
        &self,
        catalog: &Catalog,
        directory: &Arc<Directory>,
        deadline: Duration,
    ) -> Result<(), StartError> {
        let mut channel = self.channel()?;
        let answered = timeout(deadline, answered(catalog, directory));
        tokio::select! {
            answered = answered => answered.map_err(|_| StartError::Unanswered(deadline)),
            () = gone(&mut channel) => {
                tracing::warn!("the process before this one is gone; taking over without it");
                Ok(())
            }
        }
    }

    /// Says that this process accepts from now on.
    pub(in crate::app) async fn relieve(self) {
        let said = async { self.channel()?.write_all(READY).await };
        if let Err(error) = said.await {
            tracing::warn!(%error, "the process before this one does not listen any more");
        }
    }

    fn channel(&self) -> io::Result<UnixStream> {
        let channel = self.0.try_clone()?;
        channel.set_nonblocking(true)?;
        UnixStream::from_std(channel)
    }
}

async fn answered(catalog: &Catalog, directory: &Arc<Directory>) {
    let bell = Bell::new();
    directory.subscribe(&bell);
    poll_fn(|context| {
        bell.listen(context);
        let known = |topic: &Arc<str>| directory.partitions(topic).is_some();
        match catalog.streams().all(|stream| stream.topics.iter().any(known)) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// It never says anything: what can be read is the end.
async fn gone(channel: &mut UnixStream) {
    let _ = channel.read(&mut [0]).await;
}
