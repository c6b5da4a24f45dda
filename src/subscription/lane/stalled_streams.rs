//! The bytes held by clients whose sockets take nothing, and the choice of clients to reset when that is too much.
//!
//! Rings and catch-up caches can drop what they keep. What a socket has not taken is freed only when its stream ends.
//! The client then reconnects with its last id, like one whose stream was reset for reading nothing.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use slab::Slab;

use super::Lanes;

/// A stream whose socket takes nothing, and that can be reset.
pub trait ResetHandle: Send + Sync {
    /// Ends the stream at once, possibly inside an event, so that what it holds is freed.
    fn reset(&self);
}

/// The bytes that a client was given and its socket has not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnwrittenBytes {
    /// The key of the text that most of the bytes belong to: equal for all clients that share the text.
    pub text: usize,
    /// How many of the bytes belong to that text.
    pub shared: usize,
    /// How many of the bytes are the client's own.
    pub own: usize,
}

/// Records that a client holds bytes, until it is dropped. It must be dropped after the bytes, unless it is [marked
/// otherwise](Self::dropped_first).
pub struct StallGuard {
    lanes: Lanes,
    key: usize,
    /// Whether the bytes are freed before this is dropped.
    is_last: bool,
}

impl StallGuard {
    pub(super) fn new(lanes: Lanes, key: usize) -> Self {
        Self {
            lanes,
            key,
            is_last: true,
        }
    }

    /// Returns the guard for a client that drops it before its bytes.
    #[must_use]
    pub fn dropped_first(mut self) -> Self {
        self.is_last = false;
        self
    }

    /// Records that the socket has taken some of the bytes, and what is left.
    pub fn update(&self, unwritten: UnwrittenBytes) {
        self.lanes.0.stalled_streams.update(self.key, unwritten);
    }
}

impl Drop for StallGuard {
    fn drop(&mut self) {
        if self.lanes.0.stalled_streams.remove(self.key) && self.is_last {
            // The client was reset for the sake of others. Only now it shows whether that was enough.
            self.lanes.evict_excess();
        }
    }
}

/// The clients whose sockets take nothing, and the bytes they hold.
#[derive(Default)]
pub(super) struct StalledStreams(Mutex<StalledStreamsInner>);

#[derive(Default)]
struct StalledStreamsInner {
    streams: Slab<StalledStream>,
    /// When the clients were last scanned and none could be reset.
    scanned_at: Option<Instant>,
}

struct StalledStream {
    unwritten: UnwrittenBytes,
    /// When the socket last took something.
    since: Instant,
    /// Whether the client was told to end its stream.
    is_reset: bool,
    handle: Arc<dyn ResetHandle>,
}

/// The clients that hold one text, which is freed by all of them or not at all.
#[derive(Default)]
struct HolderGroup {
    shared: usize,
    /// The own bytes and the key of each client that was not reset yet.
    staying: Vec<(usize, usize)>,
    /// When one of the clients last took something.
    since: Option<Instant>,
}

impl StalledStreams {
    pub(super) fn insert(&self, unwritten: UnwrittenBytes, handle: Arc<dyn ResetHandle>) -> usize {
        self.0.lock().streams.insert(StalledStream {
            unwritten,
            since: Instant::now(),
            is_reset: false,
            handle,
        })
    }

    /// Returns the clients to reset so that `excess` bytes above `limit` are freed, together with those that are being
    /// reset already. Each client is returned once.
    pub(super) fn choose_to_reset(&self, limit: usize, excess: usize) -> Vec<Arc<dyn ResetHandle>> {
        let now = Instant::now();
        let mut held = self.0.lock();
        let is_fresh = held.scanned_at.is_some_and(|at| now < at + SCAN_INTERVAL);
        if is_fresh && held.streams.len() > ALWAYS_SCANNED {
            return Vec::new();
        }
        let chosen = held.choose_to_reset(limit, excess, now);
        held.scanned_at = chosen.is_empty().then_some(now);
        let reset = chosen.into_iter().filter_map(|key| {
            let stream = held.streams.get_mut(key)?;
            stream.is_reset = true;
            Some(Arc::clone(&stream.handle))
        });
        reset.collect()
    }

    fn update(&self, key: usize, unwritten: UnwrittenBytes) {
        if let Some(stream) = self.0.lock().streams.get_mut(key) {
            (stream.unwritten, stream.since) = (unwritten, Instant::now());
        }
    }

    /// Removes a client. Returns whether it was reset.
    fn remove(&self, key: usize) -> bool {
        let mut held = self.0.lock();
        held.scanned_at = None;
        held.streams.try_remove(key).is_some_and(|stream| stream.is_reset)
    }

    /// Returns the number of clients that hold something.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().streams.len()
    }
}

impl StalledStreamsInner {
    /// Returns the keys of the clients to reset. First are those that free most bytes for the fewest clients, and have
    /// taken nothing for longest. One text always stays, with a quarter of the limit beside it. Otherwise an event
    /// larger than the limit could never be delivered.
    fn choose_to_reset(&self, limit: usize, excess: usize, now: Instant) -> Vec<usize> {
        let (mut groups, going) = self.groups();
        let mut excess = excess.saturating_sub(going);
        groups.sort_unstable_by_key(|group| group.weight(now));
        let mut keys = Vec::new();
        while excess > 0 && groups.len() > 1 {
            let Some(group) = groups.pop() else { break };
            excess = excess.saturating_sub(group.bytes());
            keys.extend(group.staying.iter().map(|(_, key)| key));
        }
        if let Some(last) = groups.first() {
            let allowed = last.shared.saturating_add(limit / 4).saturating_sub(limit);
            keys.extend(last.beyond(excess.saturating_sub(allowed)));
        }
        keys
    }

    /// Groups the clients that were not reset by text. Returns the groups, and the bytes that clients already reset
    /// will free.
    fn groups(&self) -> (Vec<HolderGroup>, usize) {
        let mut groups: HashMap<usize, HolderGroup> = HashMap::new();
        let mut going = 0;
        for (key, stream) in &self.streams {
            let UnwrittenBytes { text, shared, own } = stream.unwritten;
            let group = groups.entry(text).or_default();
            group.shared = group.shared.max(shared);
            match stream.is_reset {
                true => going += own,
                false => {
                    group.since = group.since.max(Some(stream.since));
                    group.staying.push((own, key));
                }
            }
        }
        let (gone, staying): (Vec<_>, _) = groups.into_values().partition(|group| group.staying.is_empty());
        going += gone.iter().map(|group| group.shared).sum::<usize>();
        (staying, going)
    }
}

impl HolderGroup {
    fn bytes(&self) -> usize {
        self.shared + self.staying.iter().map(|(own, _)| own).sum::<usize>()
    }

    /// Returns bytes times milliseconds for each client.
    fn weight(&self, now: Instant) -> u128 {
        let waits = self.since.map_or(Duration::ZERO, |since| now - since);
        self.bytes() as u128 * (1 + waits.as_millis()) / self.staying.len().max(1) as u128
    }

    /// Returns the keys of clients whose own bytes add up to at least `excess`, if enough clients have some. One client
    /// always stays.
    fn beyond(&self, mut excess: usize) -> Vec<usize> {
        let mut staying = self.staying.clone();
        staying.sort_unstable();
        let mut keys = Vec::new();
        while excess > 0 && staying.len() > 1 {
            let Some((own, key)) = staying.pop() else { break };
            excess = excess.saturating_sub(own);
            keys.push(key);
        }
        keys
    }
}

/// How long no new scan is made after one that found no client to reset, unless a client is removed before. A scan of
/// ten thousand clients takes half a millisecond.
const SCAN_INTERVAL: Duration = Duration::from_millis(5);

/// Up to this many clients are scanned on every occasion.
const ALWAYS_SCANNED: usize = 1000;
