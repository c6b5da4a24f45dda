//! How limits reach a stream that is open: whether its client is still there, and that it has to go.

use std::{
    sync::{Arc, OnceLock},
    task::Context,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::sleep;

use super::handle::{ConnHandle, WeakConnHandle};
use crate::{
    limits::{EvictReason, Evictable},
    metrics::EndReason,
};

/// One stream's way out, for others than its client.
#[derive(Debug)]
pub(in crate::http) struct EvictHandle {
    weak_handle: WeakConnHandle,
    /// A live client acknowledges something this often.
    heartbeat: Duration,
    eviction_reason: OnceLock<EndReason>,
    waker: AtomicWaker,
}

impl EvictHandle {
    pub(in crate::http) fn new(handle: &ConnHandle, heartbeat: Duration) -> Arc<Self> {
        Self::from_weak(handle.downgrade(), heartbeat)
    }

    fn from_weak(weak_handle: WeakConnHandle, heartbeat: Duration) -> Arc<Self> {
        Arc::new(Self {
            weak_handle,
            heartbeat,
            eviction_reason: OnceLock::new(),
            waker: AtomicWaker::new(),
        })
    }

    /// Why it has to end now, if it has to. Wakes the last task that asked.
    pub(super) fn eviction_reason(&self, context: &Context<'_>) -> Option<EndReason> {
        // The waker is registered before the look that counts.
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
            // Nobody would read the end of it.
            EvictReason::Dead => {
                if let Some(handle) = self.weak_handle.handle() {
                    handle.reset_connection(EndReason::Replaced);
                }
            }
            EvictReason::HostFull => {
                let _ = self.eviction_reason.set(EndReason::Evicted);
                self.waker.wake();
                tokio::spawn(reset_if_blocked(self.weak_handle.clone()));
            }
        }
    }
}

/// Gives a stream that was told to end a second to write what it has begun.
async fn reset_if_blocked(weak_handle: WeakConnHandle) {
    sleep(EVICT_GRACE).await;
    if let Some(handle) = weak_handle.handle()
        && handle.is_blocked()
    {
        handle.reset(EndReason::Evicted);
    }
}

/// How long a client that was told to go may take to read the rest of its event. Its place is somebody else's meanwhile,
/// so that for as long the host has more streams than it may.
const EVICT_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
pub(in crate::http) mod tests {
    use std::{sync::Weak, task::Waker};

    use tokio::{io::AsyncReadExt, net::TcpStream};

    use super::*;
    use crate::http::server::{conn::ConnState, test_socket::connected};

    /// One that leads nowhere.
    pub(in crate::http) fn evict_handle() -> Arc<EvictHandle> {
        EvictHandle::from_weak(WeakConnHandle::Http1(Weak::new()), HEARTBEAT)
    }

    const HEARTBEAT: Duration = Duration::from_secs(15);

    async fn connected_state() -> (Arc<ConnState>, TcpStream) {
        let (peer, socket) = connected().await;
        (Arc::new(ConnState::new(socket, None)), peer)
    }

    /// How the peer of a connection that ended meets its end.
    async fn end(conn: Arc<ConnState>, mut peer: TcpStream) -> std::io::Result<usize> {
        drop(conn);
        peer.read(&mut [0]).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_go_has_a_second_to_read_the_rest_and_is_then_reset() {
        let (conn, peer) = connected_state().await;
        let evict_handle = EvictHandle::new(&ConnHandle::Http1(Arc::clone(&conn)), HEARTBEAT);
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
        EvictHandle::new(&ConnHandle::Http1(Arc::clone(&conn)), HEARTBEAT).evict(EvictReason::HostFull);
        sleep(2 * EVICT_GRACE).await;
        assert_eq!(conn.end_reason(), EndReason::ClientClosed);
        assert_eq!(end(conn, peer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_dead_one_is_reset_at_once() {
        let (conn, peer) = connected_state().await;
        let evict_handle = EvictHandle::new(&ConnHandle::Http1(Arc::clone(&conn)), HEARTBEAT);
        assert!(!evict_handle.is_dead());
        evict_handle.evict(EvictReason::Dead);
        assert_eq!(conn.end_reason(), EndReason::Replaced);
        assert!(end(conn, peer).await.is_err());
        assert!(!evict_handle.is_dead(), "there is nobody to be dead any more");
    }
}
