//! Who has so much that some of it can go, on a host that is full.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::ClientKey;

/// The heaviest clients, as they were a moment ago.
///
/// To keep clients sorted by what they hold would cost every connect and disconnect a lock that all share, for a case that
/// is rare and switched off by default. So they are looked at when the host is full: all of them, but ten times a second
/// at most, and those found serve who comes in between. Each is judged anew before anything of it is ended.
#[derive(Debug, Default)]
pub(super) struct EvictionCandidates {
    taken: Option<Instant>,
    /// The heaviest last.
    heaviest: Vec<(u32, ClientKey)>,
}

impl EvictionCandidates {
    /// Takes it again, if it is used up and not too fresh. `look` finds so many at most, the heaviest last.
    pub(super) fn refresh(&mut self, look: impl FnOnce(usize) -> Vec<(u32, ClientKey)>) {
        let is_fresh = self.taken.is_some_and(|taken| taken.elapsed() < PAUSE);
        if self.heaviest.is_empty() && !is_fresh {
            self.heaviest = look(MAX_CANDIDATES);
            self.taken = Some(Instant::now());
        }
    }

    /// The heaviest for whom `judge` finds something. It stays, for the next who asks, until nothing is found.
    pub(super) fn next<T>(&mut self, judge: impl Fn(ClientKey) -> Option<T>) -> Option<(ClientKey, T)> {
        while let Some((_, client)) = self.heaviest.last().copied() {
            if let Some(found) = judge(client) {
                return Some((client, found));
            }
            self.heaviest.pop();
        }
        None
    }
}

/// How long a look at all clients serves: ten thousand of them take about half a millisecond, so that this is half a
/// percent of one core at worst.
const PAUSE: Duration = Duration::from_millis(100);

/// How many clients are kept. Those who come in a tenth of a second are rarely more.
const MAX_CANDIDATES: usize = 256;
