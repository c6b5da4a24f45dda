//! The open streams of principals, so that those of a revoked one can be ended, and those whose clients take nothing when their
//! credentials expire.
//!
//! Not here: the end of any other stream whose credential expires, which is known when it begins (`http`).

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::coop::consume_budget, time::timeout};

use super::principal::Principal;
use crate::{
    limits::{EvictReason, Evictable, evict_all},
    metrics::AuthMetrics,
    position::Timestamp,
};

/// The open streams that came with a credential.
#[derive(Debug)]
pub(super) struct Sessions {
    open: Mutex<OpenSessions>,
    /// Wakes the task that ends expired streams: one expires sooner than all others.
    sooner: Notify,
    next: AtomicU64,
    metrics: AuthMetrics,
}

#[derive(Debug, Default)]
struct OpenSessions {
    by_number: HashMap<u64, Session>,
    /// When the credentials of streams are not accepted any more, and the numbers of these streams.
    by_end: BTreeSet<(Timestamp, u64)>,
}

impl OpenSessions {
    /// Adds a session. Returns whether it is the first to expire.
    fn insert(&mut self, number: u64, session: Session) -> bool {
        let end = session.principal.accepted_until.map(|until| (until, number));
        self.by_number.insert(number, session);
        self.by_end.extend(end);
        end.is_some() && self.by_end.first() == end.as_ref()
    }

    fn remove(&mut self, number: u64) -> Option<Session> {
        let session = self.by_number.remove(&number)?;
        if let Some(until) = session.principal.accepted_until {
            self.by_end.remove(&(until, number));
        }
        Some(session)
    }

    /// Returns the streams whose credentials have expired by `now`, each once, and when the next does.
    fn take_expired(&mut self, now: Timestamp) -> (Vec<Weak<dyn Evictable>>, Option<Timestamp>) {
        let later = self.by_end.split_off(&(now.saturating_add(1), 0));
        let expired = std::mem::replace(&mut self.by_end, later);
        let sessions = expired
            .iter()
            .filter_map(|(_, number)| self.by_number.get(number));
        let streams = sessions.map(|session| Weak::clone(&session.stream)).collect();
        (streams, self.by_end.first().map(|(until, _)| *until))
    }
}

#[derive(Clone, Debug)]
struct Session {
    principal: Arc<Principal>,
    needs: Needs,
    stream: Weak<dyn Evictable>,
}

/// What a principal needs for a stream: of each of these lists one scope. It is empty for a stream that everybody may read.
pub type Needs = Vec<Vec<Arc<str>>>;

/// One open stream of a principal. Dropping it ends the entry.
#[derive(Debug)]
pub struct SessionGuard {
    sessions: Arc<Sessions>,
    number: u64,
    principal: Arc<Principal>,
}

impl SessionGuard {
    /// Returns what the stream keeps of its principal.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let session = self.sessions.open.lock().remove(self.number);
        drop(session);
        let Principal { kind, name, .. } = &*self.principal;
        self.sessions.metrics.stream_ended(kind.name(), name);
    }
}

impl Sessions {
    pub(super) fn new(metrics: AuthMetrics) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            sooner: Notify::new(),
            next: AtomicU64::new(0),
            metrics,
        })
    }

    /// Adds a stream of this principal.
    pub(super) fn open(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        needs: Needs,
        stream: Weak<dyn Evictable>,
    ) -> SessionGuard {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session = Session {
            principal: Arc::clone(principal),
            needs,
            stream,
        };
        if self.open.lock().insert(number, session) {
            self.sooner.notify_one();
        }
        self.metrics
            .stream_started(principal.kind.name(), &principal.name);
        SessionGuard {
            sessions: Arc::clone(self),
            number,
            principal: Arc::clone(principal),
        }
    }

    /// Returns the principal of each open stream.
    pub(super) fn principals(&self) -> Vec<Arc<Principal>> {
        let open = self.open.lock();
        let sessions = open.by_number.values();
        sessions.map(|session| Arc::clone(&session.principal)).collect()
    }

    /// Returns until when the last of the principals with an open stream is accepted for which `is_wanted` holds.
    pub(super) fn last_end(&self, is_wanted: impl Fn(&Principal) -> bool) -> Option<Timestamp> {
        let open = self.open.lock();
        let principals = open.by_number.values().map(|session| &session.principal);
        let wanted = principals.filter(|principal| is_wanted(principal));
        wanted.filter_map(|principal| principal.accepted_until).max()
    }

    /// Ends the streams of principals that are not allowed any more, spread over half a second. Returns how many there are, before they
    /// have ended.
    pub(super) fn end(&self, mut is_allowed: impl FnMut(&Principal, &Needs) -> bool) -> usize {
        let ending: Vec<_> = {
            let open = self.open.lock();
            let ending = open
                .by_number
                .values()
                .filter(|session| !is_allowed(&session.principal, &session.needs));
            ending
                .map(|session| (Weak::clone(&session.stream), EvictReason::Revoked))
                .collect()
        };
        let count = ending.len();
        if count > 0 {
            tokio::spawn(evict_all(ending));
        }
        count
    }

    /// Ends streams when their credentials are not accepted any more. By then only those are left whose clients take nothing, so that
    /// they are not polled, and do not notice it by themselves. Never returns.
    pub(super) async fn end_expired(&self) -> Infallible {
        loop {
            let sooner = self.sooner.notified();
            let now = jiff::Timestamp::now().as_millisecond();
            let (streams, next) = self.open.lock().take_expired(now);
            for stream in streams.iter().filter_map(Weak::upgrade) {
                stream.evict(EvictReason::Expired);
                // Others are served meanwhile.
                consume_budget().await;
            }
            let left = next.map_or(MAX_WAIT, |next| Duration::from_millis(next.abs_diff(now)));
            _ = timeout(left.min(MAX_WAIT), sooner).await;
        }
    }
}

/// The longest wait until the clock is looked at again, which may be set meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::time::sleep;

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
        let mut guards: Vec<_> = (0..1_000)
            .map(|_| sessions.open(&one, Needs::new(), weak.clone()))
            .collect();
        guards.extend((0..500).map(|_| sessions.open(&other, Needs::new(), weak.clone())));
        assert_eq!(sessions.end(|_, _| true), 0);
        assert_eq!(sessions.end(|principal, _| *principal.name != *"one"), 1_000);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stream.0.load(Ordering::SeqCst), 1_000);
        drop(guards);
        assert!(sessions.open.lock().by_number.is_empty());
    }

    #[derive(Default)]
    struct Expiring(AtomicU32);

    impl Evictable for Expiring {
        fn is_dead(&self) -> bool {
            false
        }

        fn evict(&self, why: EvictReason) {
            assert_eq!(why, EvictReason::Expired);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_stream_is_ended_once_when_its_credential_has_expired() {
        let sessions = Sessions::new(AuthMetrics::default());
        let stream: Arc<Expiring> = Arc::default();
        let weak: Weak<dyn Evictable> = Arc::downgrade(&stream) as _;
        let open = |until| {
            let principal = Principal {
                accepted_until: until,
                ..principal("one", None)
            };
            sessions.open(&Arc::new(principal), Needs::new(), weak.clone())
        };
        let _guards = [1_000, 1_000, 2_000, 5_000].map(|until| open(Some(until)));
        let _endless = open(None);
        drop(open(Some(1_500)));
        let take = |now| {
            let (streams, next) = sessions.open.lock().take_expired(now);
            (streams.len(), next)
        };
        assert_eq!(take(999), (0, Some(1_000)));
        assert_eq!(take(1_999), (2, Some(2_000)));
        assert_eq!(take(1_999), (0, Some(2_000)));
        assert_eq!(take(9_000), (2, None));
    }

    #[tokio::test]
    async fn a_stream_that_expires_sooner_than_all_others_is_not_waited_for_in_vain() {
        let sessions = Sessions::new(AuthMetrics::default());
        let ending = Arc::clone(&sessions);
        let task = tokio::spawn(async move { ending.end_expired().await });
        let stream: Arc<Expiring> = Arc::default();
        let now = jiff::Timestamp::now().as_millisecond();
        let open = |left| {
            let principal = Principal {
                accepted_until: Some(now + left),
                ..principal("one", None)
            };
            let weak: Weak<dyn Evictable> = Arc::downgrade(&stream) as _;
            sessions.open(&Arc::new(principal), Needs::new(), weak)
        };
        let _late = open(3_600_000);
        // The task waits for that one by now.
        tokio::task::yield_now().await;
        let _soon = open(50);
        let ended = async {
            while stream.0.load(Ordering::SeqCst) == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), ended).await.unwrap();
        task.abort();
    }
}
