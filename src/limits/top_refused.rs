//! The clients that are refused most, in bounded memory.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Refusal, RefusedClient};
use crate::client::ClientKey;

/// Counts refusals by client, with the Space-Saving algorithm (Metwally, Agrawal and El Abbadi, 2005): a new client replaces the
/// one with the lowest count and inherits its count. Every client with more than one in [`CAPACITY`] of all refusals is in it,
/// and no count is too low.
#[derive(Debug, Default)]
pub(super) struct TopRefused(Mutex<HashMap<ClientKey, RefusalCount>>);

#[derive(Clone, Copy, Debug)]
struct RefusalCount {
    count: u64,
    /// How much of the count may belong to other clients.
    inherited: u64,
    reason: &'static str,
    first: Instant,
    last: Instant,
}

impl TopRefused {
    /// Records a refusal.
    pub(super) fn record(&self, client: ClientKey, refusal: Refusal) {
        let now = Instant::now();
        let mut counts = self.0.lock();
        let is_full = counts.len() >= CAPACITY && !counts.contains_key(&client);
        let inherited = if is_full { evict_least(&mut counts) } else { 0 };
        let entry = counts.entry(client).or_insert(RefusalCount {
            count: inherited,
            inherited,
            reason: refusal.name(),
            first: now,
            last: now,
        });
        entry.count += 1;
        entry.reason = refusal.name();
        entry.last = now;
    }

    /// Returns the clients that were refused most, at most `most` of them, the most refused first.
    pub(super) fn top(&self, most: usize) -> Vec<RefusedClient> {
        let counts = self.0.lock();
        let mut all: Vec<_> = counts.iter().map(|(client, entry)| (*client, *entry)).collect();
        drop(counts);
        all.sort_unstable_by_key(|(client, entry)| (std::cmp::Reverse(entry.count), *client));
        all.truncate(most);
        let refused = |(client, entry): (ClientKey, RefusalCount)| RefusedClient {
            client: client.to_string(),
            refusals: entry.count,
            overcounted_by_at_most: entry.inherited,
            last_reason: entry.reason,
            first_seconds_ago: entry.first.elapsed().as_secs(),
            last_seconds_ago: entry.last.elapsed().as_secs(),
        };
        all.into_iter().map(refused).collect()
    }

    /// Forgets clients that were not refused for a while.
    pub(super) fn forget_idle(&self) {
        let mut counts = self.0.lock();
        counts.retain(|_, entry| entry.last.elapsed() < FORGET_AFTER);
    }
}

/// Removes the client with the lowest count. Returns that count.
fn evict_least(counts: &mut HashMap<ClientKey, RefusalCount>) -> u64 {
    let least = counts.iter().min_by_key(|(_, entry)| (entry.count, entry.last));
    let Some((client, count)) = least.map(|(client, entry)| (*client, entry.count)) else {
        return 0;
    };
    counts.remove(&client);
    count
}

/// How many clients are kept: more than an operator reads, and few enough that finding the least takes well under a microsecond's
/// worth of a refusal's answer.
const CAPACITY: usize = 256;

/// How long a refusal is remembered.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_most_is_found_in_a_flood_of_others() {
        let top_refused = TopRefused::default();
        for round in 0..10_000 {
            top_refused.record(client(1_000_000 + round), Refusal::Host);
            if round % 20 == 0 {
                top_refused.record(client(7), Refusal::Client);
            }
        }
        let top = top_refused.top(10);
        assert_eq!(
            (top[0].client.as_str(), top[0].last_reason),
            ("0.0.0.7", "client_streams")
        );
        assert!((500..=500 + top[0].overcounted_by_at_most).contains(&top[0].refusals));
        assert_eq!(top.len(), 10);
        assert_eq!(top_refused.0.lock().len(), CAPACITY);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_refusal_is_no_news() {
        let top_refused = TopRefused::default();
        top_refused.record(client(1), Refusal::Host);
        tokio::time::advance(FORGET_AFTER / 2).await;
        top_refused.record(client(2), Refusal::Host);
        tokio::time::advance(FORGET_AFTER / 2).await;
        top_refused.forget_idle();
        let clients: Vec<_> = top_refused
            .top(10)
            .into_iter()
            .map(|refused| refused.client)
            .collect();
        assert_eq!(clients, ["0.0.0.2"]);
    }
}
