//! A budget of log lines per client.
//!
//! A client may make ten requests a second, each with two lines: 290 MB a day. Lines that are left out are counted, and the next
//! line about the same client tells the count.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::client::ClientKey;

/// Decides which lines about clients are written.
#[derive(Debug, Default)]
pub struct ClientLogLimiter(Mutex<HashMap<ClientKey, LineBudget>>);

#[derive(Clone, Copy, Debug)]
struct LineBudget {
    /// When the whole burst is available again.
    full: Instant,
    left_out: u64,
}

impl ClientLogLimiter {
    /// Returns how many lines about `client` were left out since the last one if another may be written, and `None` otherwise.
    ///
    /// An IPv6 /48 counts as one client, because it can use any number of keys.
    pub fn take(&self, client: ClientKey) -> Option<u64> {
        let now = Instant::now();
        let mut budgets = self.0.lock();
        let key = client.site().unwrap_or(client);
        if budgets.len() >= MAX_CLIENTS && !budgets.contains_key(&key) {
            return None;
        }
        let fresh = LineBudget {
            full: now,
            left_out: 0,
        };
        let budget = budgets.entry(key).or_insert(fresh);
        let full = budget.full.max(now) + INTERVAL;
        if full - now > INTERVAL * BURST {
            budget.left_out += 1;
            return None;
        }
        budget.full = full;
        Some(std::mem::take(&mut budget.left_out))
    }

    /// Counts a line that [`take`](Self::take) allowed as left out, together with those that it would have reported.
    pub(super) fn give_back(&self, client: ClientKey, left_out: u64) {
        let key = client.site().unwrap_or(client);
        if let Some(budget) = self.0.lock().get_mut(&key) {
            budget.left_out += left_out + 1;
        }
    }

    /// Forgets clients that have been quiet for a while. Returns those with lines that were left out and not yet reported, with
    /// the counts.
    pub(super) fn forget_idle(&self) -> Vec<(ClientKey, u64)> {
        let now = Instant::now();
        let mut unreported = Vec::new();
        self.0.lock().retain(|client, budget| {
            let is_idle = budget.full <= now;
            if is_idle && budget.left_out > 0 {
                unreported.push((*client, budget.left_out));
            }
            !is_idle
        });
        unreported
    }
}

/// How many lines about one client are written in a row: ten streams that begin and end.
const BURST: u32 = 20;

/// How long until a client may cause another line: some 300 KB a day.
const INTERVAL: Duration = Duration::from_secs(60);

/// How many clients are remembered, which takes 4 MB. Beyond that, lines about other clients are left out: a flood from that many
/// addresses shows in the metrics.
const MAX_CLIENTS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientKey {
        ClientKey::of(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_of_one_client_is_little_and_every_line_is_written_or_counted() {
        let (lines, client) = (ClientLogLimiter::default(), client("192.0.2.7"));
        let (mut written, mut told, mut asked) = (0, 0, 0);
        for _ in 0..24 * 3600 {
            for _ in 0..20 {
                asked += 1;
                if let Some(left_out) = lines.take(client) {
                    (written, told) = (written + 1, told + left_out);
                }
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((1_000..2_000).contains(&written), "{written} lines");
        tokio::time::advance(INTERVAL * BURST).await;
        let unreported: u64 = lines
            .forget_idle()
            .into_iter()
            .map(|(_, left_out)| left_out)
            .sum();
        assert_eq!(written + told + unreported, asked);
        assert!(lines.0.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_takes_no_line_from_another_and_a_site_is_one() {
        let lines = ClientLogLimiter::default();
        let taken = |address: String| lines.take(client(&address)).is_some();
        let of_one = (0..100).filter(|_| taken("192.0.2.7".into())).count();
        assert_eq!(of_one, BURST as usize);
        assert!(taken("192.0.2.8".into()));
        let of_a_site = (0..100).filter(|n| taken(format!("2001:db8:1:{n}::1"))).count();
        assert_eq!(of_a_site, BURST as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_given_back_is_told_of_with_the_next() {
        let (lines, client) = (ClientLogLimiter::default(), client("192.0.2.7"));
        assert_eq!(lines.take(client), Some(0));
        lines.give_back(client, 0);
        assert_eq!(lines.take(client), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_addresses_takes_no_more_memory_than_is_given() {
        let lines = ClientLogLimiter::default();
        for number in 0..MAX_CLIENTS as u32 + 1_000 {
            let address = std::net::Ipv4Addr::from_bits(number);
            lines.take(ClientKey::of(address.into()));
        }
        assert_eq!(lines.0.lock().len(), MAX_CLIENTS);
    }
}
