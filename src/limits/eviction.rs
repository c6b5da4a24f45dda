//! Candidates for eviction: the clients with the most streams, when the host is full.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::ClientKey;

/// The clients with the most streams, as they were a moment ago.
///
/// Keeping clients sorted by their streams would cost every connect and disconnect a lock that all share, for a case that is rare
/// and switched off by default. So all clients are looked at when the host is full, at most ten times a second, and the
/// candidates found serve the requests that come in between. Each candidate is checked again before a stream of it is ended.
#[derive(Debug, Default)]
pub(super) struct EvictionCandidates {
    taken: Option<Instant>,
    /// The heaviest last.
    heaviest: Vec<(u32, ClientKey)>,
}

impl EvictionCandidates {
    /// Fills the list again if it is used up and the last look is not too recent. `look` returns at most the given number of
    /// clients, the heaviest last.
    pub(super) fn refresh(&mut self, look: impl FnOnce(usize) -> Vec<(u32, ClientKey)>) {
        let is_fresh = self.taken.is_some_and(|taken| taken.elapsed() < REFRESH_INTERVAL);
        if self.heaviest.is_empty() && !is_fresh {
            self.heaviest = look(MAX_CANDIDATES);
            self.taken = Some(Instant::now());
        }
    }

    /// Returns the heaviest client for which `judge` returns a value. It stays in the list until `judge` returns nothing for it.
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

/// How long until all clients may be looked at again. Ten thousand of them take about half a millisecond, which makes this half a
/// percent of one core at worst.
const REFRESH_INTERVAL: Duration = Duration::from_millis(100);

/// How many candidates are kept. Rarely do more clients arrive in a tenth of a second.
const MAX_CANDIDATES: usize = 256;
