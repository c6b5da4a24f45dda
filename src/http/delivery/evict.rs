//! Eviction of open streams: the limits ask whether the client is dead, and tell a stream to end.
//!
//! Not here: which stream is evicted, and when (`limits`).

use std::{
    sync::{Arc, OnceLock},
    task::Context,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::sleep;

use super::handle::WeakConnHandle;
use crate::{
    limits::{EvictReason, Evictable},
    metrics::EndReason,
};

/// The handle by which the limits evict one stream.
#[derive(Debug)]
pub(in crate::http) struct EvictHandle {
    weak_handle: WeakConnHandle,
    /// The interval in which a live client acknowledges something.
    heartbeat: Duration,
    eviction_reason: OnceLock<EndReason>,
    waker: AtomicWaker,
}

impl EvictHandle {
    /// Creates the handle of the stream on a connection whose client acknowledges something every `heartbeat`.
    pub(in crate::http) fn new(weak_handle: WeakConnHandle, heartbeat: Duration) -> Arc<Self> {
        Arc::new(Self {
            weak_handle,
            heartbeat,
            eviction_reason: OnceLock::new(),
            waker: AtomicWaker::new(),
        })
    }

    /// Returns why the stream has to end, if it has to. If not, the calling task is woken when it has to. Only the last task that
    /// called is woken.
    pub(super) fn eviction_reason(&self, context: &Context<'_>) -> Option<EndReason> {
        // Registered before the check, so that an eviction between the two wakes the task.
        self.waker.register(context.waker());
        self.eviction_reason.get().copied()
    }
}

impl Evictable for EvictHandle {
    fn is_dead(&self) -> bool {
        let handle = self.weak_handle.handle();
        handle.is_some_and(|handle| handle.unacknowledged_for() > self.heartbeat)
    }

    fn evict(&self, why: EvictReason) {
        match why {
            // No client would read the end of the stream.
            EvictReason::Dead => {
                if let Some(handle) = self.weak_handle.handle() {
                    handle.reset_connection(EndReason::Replaced);
                }
            }
            EvictReason::HostFull => self.end(EndReason::Evicted),
            EvictReason::Revoked => self.end(EndReason::Revoked),
            EvictReason::Expired => self.end(EndReason::Expired),
            EvictReason::Removed => self.end(EndReason::Removed),
            EvictReason::AccessEnded => self.end(EndReason::Access),
            EvictReason::Changed => self.end(EndReason::Changed),
        }
    }
}

impl EvictHandle {
    /// Tells the stream to end on an event boundary, and resets it if its client does not take the rest in time.
    fn end(&self, reason: EndReason) {
        let _ = self.eviction_reason.set(reason);
        self.waker.wake();
        self.reset_if_blocked(reason);
    }

    /// Resets a stream that has ended, or was told to, if its client does not take the rest in time. Must be called inside a runtime.
    pub(super) fn reset_if_blocked(&self, reason: EndReason) {
        tokio::spawn(reset_if_blocked(self.weak_handle.clone(), reason));
    }
}

/// Resets a stream if its client does not take the rest within [`EVICT_GRACE`].
async fn reset_if_blocked(weak_handle: WeakConnHandle, reason: EndReason) {
    sleep(EVICT_GRACE).await;
    if let Some(handle) = weak_handle.handle()
        && handle.is_blocked()
    {
        handle.reset(reason);
    }
}

/// How long a client whose stream ends may take to read the rest of its event. Its slot is another client's already, so the host
/// has more streams than its limit for that long.
const EVICT_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
pub(crate) mod tests {
    use std::{sync::Weak, task::Waker};

    use tokio::{io::AsyncReadExt, net::TcpStream};

    use super::*;
    use crate::http::server::{conn::ConnState, test_socket::connected};

    /// Returns a handle without a connection.
    pub(in crate::http) fn evict_handle() -> Arc<EvictHandle> {
        EvictHandle::new(WeakConnHandle::Http1(Weak::new()), HEARTBEAT)
    }

    const HEARTBEAT: Duration = Duration::from_secs(15);

    async fn connected_state() -> (Arc<ConnState>, TcpStream) {
        let (peer, socket) = connected().await;
        (Arc::new(ConnState::new(socket, None)), peer)
    }

    /// Returns how the peer's read ends when we close the connection.
    async fn end(conn: Arc<ConnState>, mut peer: TcpStream) -> std::io::Result<usize> {
        drop(conn);
        peer.read(&mut [0]).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_go_has_a_second_to_read_the_rest_and_is_then_reset() {
        let (conn, peer) = connected_state().await;
        let evict_handle = EvictHandle::new(WeakConnHandle::Http1(Arc::downgrade(&conn)), HEARTBEAT);
        let context = Context::from_waker(Waker::noop());
        assert_eq!(evict_handle.eviction_reason(&context), None);
        conn.set_blocked();
        evict_handle.evict(EvictReason::HostFull);
        assert_eq!(evict_handle.eviction_reason(&context), Some(EndReason::Evicted));

        sleep(EVICT_GRACE / 2).await;
        assert_eq!(conn.end_reason(), EndReason::ClientClosed, "nothing happened yet");
        sleep(EVICT_GRACE).await;
        assert_eq!(conn.end_reason(), EndReason::Evicted);
        let error = end(conn, peer).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_read_the_rest_is_not_reset() {
        let (conn, peer) = connected_state().await;
        EvictHandle::new(WeakConnHandle::Http1(Arc::downgrade(&conn)), HEARTBEAT)
            .evict(EvictReason::HostFull);
        sleep(2 * EVICT_GRACE).await;
        assert_eq!(conn.end_reason(), EndReason::ClientClosed);
        assert_eq!(end(conn, peer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_dead_one_is_reset_at_once() {
        let (conn, peer) = connected_state().await;
        let evict_handle = EvictHandle::new(WeakConnHandle::Http1(Arc::downgrade(&conn)), HEARTBEAT);
        assert!(!evict_handle.is_dead());
        evict_handle.evict(EvictReason::Dead);
        assert_eq!(conn.end_reason(), EndReason::Replaced);
        assert!(end(conn, peer).await.is_err());
        assert!(!evict_handle.is_dead(), "there is nobody to be dead any more");
    }
}
