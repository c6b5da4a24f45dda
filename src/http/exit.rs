//! How limits reach a stream that is open: whether its client is still there, and that it has to go.

use std::{
    sync::{Arc, OnceLock},
    task::Context,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::sleep;

use super::carrier::{Carrier, Tether};
use crate::{
    limits::{Leave, OpenStream},
    metrics::EndReason,
};

/// One stream's way out, for others than its client.
#[derive(Debug)]
pub(super) struct Exit {
    tether: Tether,
    /// A live client acknowledges something this often.
    heartbeat: Duration,
    told: OnceLock<EndReason>,
    waker: AtomicWaker,
}

impl Exit {
    pub(super) fn new(carrier: &Carrier, heartbeat: Duration) -> Arc<Self> {
        Self::of(carrier.downgrade(), heartbeat)
    }

    fn of(tether: Tether, heartbeat: Duration) -> Arc<Self> {
        Arc::new(Self {
            tether,
            heartbeat,
            told: OnceLock::new(),
            waker: AtomicWaker::new(),
        })
    }

    /// Why it has to end now, if it has to. Wakes the last task that asked.
    pub(super) fn told(&self, context: &Context<'_>) -> Option<EndReason> {
        // The waker is registered before the look that counts.
        self.waker.register(context.waker());
        self.told.get().copied()
    }
}

impl OpenStream for Exit {
    fn is_dead(&self) -> bool {
        let carrier = self.tether.carrier();
        carrier.is_some_and(|carrier| carrier.silence() > self.heartbeat)
    }

    fn leave(&self, why: Leave) {
        match why {
            // Nobody would read the end of it.
            Leave::Dead => {
                if let Some(carrier) = self.tether.carrier() {
                    carrier.abandon(EndReason::Replaced);
                }
            }
            Leave::Crowded => {
                let _ = self.told.set(EndReason::Evicted);
                self.waker.wake();
                tokio::spawn(reset_if_blocked(self.tether.clone()));
            }
        }
    }
}

/// Gives a stream that was told to end a second to write what it has begun.
async fn reset_if_blocked(tether: Tether) {
    sleep(GRACE).await;
    if let Some(carrier) = tether.carrier()
        && carrier.is_blocked()
    {
        carrier.reset(EndReason::Evicted);
    }
}

/// How long a client that was told to go may take to read the rest of its event. Its place is somebody else's meanwhile,
/// so that for as long the host has more streams than it may.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
pub(super) mod tests {
    use std::{sync::Weak, task::Waker};

    use tokio::{io::AsyncReadExt, net::TcpStream};

    use super::*;
    use crate::http::link::{Link, tests::connected};

    /// One that leads nowhere.
    pub(in crate::http) fn exit() -> Arc<Exit> {
        Exit::of(Tether::Alone(Weak::new()), HEARTBEAT)
    }

    const HEARTBEAT: Duration = Duration::from_secs(15);

    async fn linked() -> (Arc<Link>, TcpStream) {
        let (peer, socket) = connected().await;
        (Arc::new(Link::new(socket, None)), peer)
    }

    /// How the peer of a connection that ended meets its end.
    async fn end(link: Arc<Link>, mut peer: TcpStream) -> std::io::Result<usize> {
        drop(link);
        peer.read(&mut [0]).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_go_has_a_second_to_read_the_rest_and_is_then_reset() {
        let (link, peer) = linked().await;
        let exit = Exit::new(&Carrier::alone(Arc::clone(&link)), HEARTBEAT);
        let context = Context::from_waker(Waker::noop());
        assert_eq!(exit.told(&context), None);
        link.set_blocked();
        exit.leave(Leave::Crowded);
        assert_eq!(exit.told(&context), Some(EndReason::Evicted));

        sleep(GRACE / 2).await;
        assert_eq!(link.end(), EndReason::ClientClosed, "nothing happened yet");
        sleep(GRACE).await;
        assert_eq!(link.end(), EndReason::Evicted);
        let error = end(link, peer).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_read_the_rest_is_not_reset() {
        let (link, peer) = linked().await;
        Exit::new(&Carrier::alone(Arc::clone(&link)), HEARTBEAT).leave(Leave::Crowded);
        sleep(2 * GRACE).await;
        assert_eq!(link.end(), EndReason::ClientClosed);
        assert_eq!(end(link, peer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_dead_one_is_reset_at_once() {
        let (link, peer) = linked().await;
        let exit = Exit::new(&Carrier::alone(Arc::clone(&link)), HEARTBEAT);
        assert!(!exit.is_dead());
        exit.leave(Leave::Dead);
        assert_eq!(link.end(), EndReason::Replaced);
        assert!(end(link, peer).await.is_err());
        assert!(!exit.is_dead(), "there is nobody to be dead any more");
    }
}
