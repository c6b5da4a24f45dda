//! What clients hold whose sockets take nothing, and which of them have to go when that is too much.
//!
//! Rings and catch-up caches give up what they keep. What a socket has not taken yet only the end of its stream gives back: its client
//! comes back with its last id, as one does whose stream was reset for reading nothing.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use slab::Slab;

use super::Lanes;

/// A stream whose socket takes nothing.
pub trait ResetHandle: Send + Sync {
    /// Ends it at once, possibly inside an event, so that what it holds is given back.
    fn reset(&self);
}

/// What a client was given and its socket has not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnwrittenBytes {
    /// Names the text that most of it is: the same for all who share it.
    pub text: usize,
    /// How much of it that text is, in bytes.
    pub shared: usize,
    /// How much is its own, in bytes.
    pub own: usize,
}

/// Notes that a client holds something, until it is dropped. Drop it behind what is held.
pub struct StallGuard {
    lanes: Lanes,
    key: usize,
    /// Whether what is held is given back by the time this is dropped.
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

    /// The same, which is dropped before what is held.
    #[must_use]
    pub fn dropped_first(mut self) -> Self {
        self.is_last = false;
        self
    }

    /// Its socket has taken some of it; so much is left.
    pub fn update(&self, unwritten: UnwrittenBytes) {
        self.lanes.0.stalled_streams.update(self.key, unwritten);
    }
}

impl Drop for StallGuard {
    fn drop(&mut self) {
        if self.lanes.0.stalled_streams.remove(self.key) && self.is_last {
            // It had to go for others. Whether that was enough shows now.
            self.lanes.evict_excess();
        }
    }
}

impl fmt::Debug for StallGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StallGuard({})", self.key)
    }
}

/// All that is held by clients whose sockets take nothing.
#[derive(Default)]
pub(super) struct StalledStreams(Mutex<StalledStreamsInner>);

#[derive(Default)]
struct StalledStreamsInner {
    streams: Slab<StalledStream>,
    /// When it was last looked who could go, and nobody could.
    scanned_at: Option<Instant>,
}

struct StalledStream {
    unwritten: UnwrittenBytes,
    /// When its socket last took something.
    since: Instant,
    /// It was told to go.
    is_reset: bool,
    handle: Arc<dyn ResetHandle>,
}

/// Those who hold one text: it is given back by all of them or by none.
#[derive(Default)]
struct HolderGroup {
    shared: usize,
    /// What each has for itself, and the key of it; without those who were told to go.
    staying: Vec<(usize, usize)>,
    /// When one of them last took something.
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

    /// Those who have to go, so that no more than `limit` bytes are used of which it is `excess` too much, together with what is
    /// being given back already. Each is returned once.
    pub(super) fn choose_to_reset(&self, limit: usize, excess: usize) -> Vec<Arc<dyn ResetHandle>> {
        let now = Instant::now();
        let mut held = self.0.lock();
        let is_fresh = held
            .scanned_at
            .is_some_and(|scanned_at| now < scanned_at + SCAN_INTERVAL);
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

    /// Whether it was told to go.
    fn remove(&self, key: usize) -> bool {
        let mut held = self.0.lock();
        held.scanned_at = None;
        held.streams.try_remove(key).is_some_and(|stream| stream.is_reset)
    }

    /// How many hold something.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().streams.len()
    }
}

impl StalledStreamsInner {
    /// The keys of those who have to go: first who gives back most, for the fewest clients, and has taken nothing for longest. One
    /// text stays in any case, with a quarter of the limit beside it: nobody could ever get an event that is larger than the limit.
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

    /// The groups of those who stay, and how much is given back by those who do not, in bytes.
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

    /// Bytes times milliseconds for each client.
    fn weight(&self, now: Instant) -> u128 {
        let waits = self.since.map_or(Duration::ZERO, |since| now - since);
        self.bytes() as u128 * (1 + waits.as_millis()) / self.staying.len().max(1) as u128
    }

    /// The keys of those with whom `excess` bytes go that are their own; one stays.
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

/// How long it is not looked again who could go when nobody could, or until somebody gave something back: ten thousand take half a
/// millisecond.
const SCAN_INTERVAL: Duration = Duration::from_millis(5);

/// So many are looked at whenever there is a reason.
const ALWAYS_SCANNED: usize = 1000;
