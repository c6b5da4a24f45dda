//! The open streams of principals, so that those of a revoked one can be ended.
//!
//! Not here: the end of a stream whose credential expires, which is known when it begins (`http`).

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::principal::Principal;
use crate::{
    limits::{EvictReason, Evictable},
    metrics::AuthMetrics,
};

/// The open streams that came with a credential.
#[derive(Debug)]
pub(super) struct Sessions {
    open: Mutex<HashMap<u64, Session>>,
    next: AtomicU64,
    metrics: AuthMetrics,
}

#[derive(Clone)]
struct Session {
    principal: Arc<Principal>,
    stream: Weak<dyn Evictable>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.principal, f)
    }
}

/// One open stream of a principal. Dropping it ends the entry.
#[derive(Debug)]
pub struct SessionGuard {
    sessions: Arc<Sessions>,
    number: u64,
    principal: Arc<Principal>,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        drop(self.sessions.open.lock().remove(&self.number));
        let Principal { kind, name, .. } = &*self.principal;
        self.sessions.metrics.stream_ended(kind.name(), name);
    }
}

impl Sessions {
    pub(super) fn new(metrics: AuthMetrics) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            next: AtomicU64::new(0),
            metrics,
        })
    }

    /// Adds a stream of this principal.
    pub(super) fn open(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        stream: Weak<dyn Evictable>,
    ) -> SessionGuard {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session = Session {
            principal: Arc::clone(principal),
            stream,
        };
        self.open.lock().insert(number, session);
        self.metrics
            .stream_started(principal.kind.name(), &principal.name);
        SessionGuard {
            sessions: Arc::clone(self),
            number,
            principal: Arc::clone(principal),
        }
    }

    /// Returns the principal of an open stream for which `is_wanted` holds.
    pub(super) fn find(&self, is_wanted: impl Fn(&Principal) -> bool) -> Option<Arc<Principal>> {
        let open = self.open.lock();
        let mut principals = open.values().map(|session| &session.principal);
        principals.find(|principal| is_wanted(principal)).cloned()
    }

    /// Ends the streams of principals that are not allowed any more, spread over [`SPREAD`]. Returns how many there are, before they
    /// have ended.
    pub(super) fn end(&self, is_allowed: impl Fn(&Principal) -> bool) -> usize {
        let ending: Vec<_> = {
            let open = self.open.lock();
            let ending = open.values().filter(|session| !is_allowed(&session.principal));
            ending.map(|session| Weak::clone(&session.stream)).collect()
        };
        let count = ending.len();
        if count > 0 {
            tokio::spawn(evict(ending));
        }
        count
    }
}

/// Ends these streams a few at a time, so that other clients do not wait for all of it.
async fn evict(streams: Vec<Weak<dyn Evictable>>) {
    for turn in streams.chunks(streams.len().div_ceil(TURNS)) {
        for stream in turn.iter().filter_map(Weak::upgrade) {
            stream.evict(EvictReason::Revoked);
        }
        sleep(SPREAD / TURNS as u32).await;
    }
}

/// Over how much time revoked streams end. All of them have to be gone within a second.
const SPREAD: Duration = Duration::from_millis(400);

/// In how many turns.
const TURNS: usize = 40;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::auth::principal::tests::principal;

    #[derive(Default)]
    struct Stream(AtomicU32);

    impl Evictable for Stream {
        fn is_dead(&self) -> bool {
            false
        }

        fn evict(&self, why: EvictReason) {
            assert_eq!(why, EvictReason::Revoked);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_streams_of_one_principal_end_within_a_second_and_no_others() {
        let sessions = Sessions::new(AuthMetrics::default());
        let (one, other) = (
            Arc::new(principal("one", None)),
            Arc::new(principal("other", None)),
        );
        let stream: Arc<Stream> = Arc::default();
        let weak: Weak<dyn Evictable> = Arc::downgrade(&stream) as _;
        let mut guards: Vec<_> = (0..1_000).map(|_| sessions.open(&one, weak.clone())).collect();
        guards.extend((0..500).map(|_| sessions.open(&other, weak.clone())));
        assert_eq!(sessions.end(|_| true), 0);
        assert_eq!(sessions.end(|principal| *principal.name != *"one"), 1_000);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stream.0.load(Ordering::SeqCst), 1_000);
        assert!(sessions.find(|principal| *principal.name == *"one").is_some());
        drop(guards);
        assert!(sessions.open.lock().is_empty());
    }
}
