//! Who is refused most, in bounded memory.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{refusal::Refusal, report::Offender};
use crate::client::ClientKey;

/// The clients that are refused most, found as Metwally, Agrawal and El Abbadi do ("Space-Saving", 2005): who is new takes
/// the place of the least and inherits its count. Whoever has more than one in [`PLACES`] of all refusals is in it, and no
/// count is too low.
#[derive(Debug, Default)]
pub(super) struct Offenders(Mutex<HashMap<ClientKey, Offence>>);

#[derive(Clone, Copy, Debug)]
struct Offence {
    count: u64,
    /// How much of the count may be somebody else's.
    inherited: u64,
    reason: &'static str,
    first: Instant,
    last: Instant,
}

impl Offenders {
    /// Notes a refusal.
    pub(super) fn note(&self, client: ClientKey, refusal: Refusal) {
        let now = Instant::now();
        let mut places = self.0.lock();
        if !places.contains_key(&client) {
            let inherited = if places.len() < PLACES {
                0
            } else {
                evict_least(&mut places)
            };
            let offence = Offence {
                count: inherited,
                inherited,
                reason: refusal.name(),
                first: now,
                last: now,
            };
            places.insert(client, offence);
        }
        if let Some(offence) = places.get_mut(&client) {
            offence.count += 1;
            offence.reason = refusal.name();
            offence.last = now;
        }
    }

    /// Who was refused most, at most so many.
    pub(super) fn top(&self, most: usize) -> Vec<Offender> {
        let mut all: Vec<_> = self
            .0
            .lock()
            .iter()
            .map(|(client, offence)| (*client, *offence))
            .collect();
        all.sort_unstable_by_key(|(client, offence)| (std::cmp::Reverse(offence.count), *client));
        all.truncate(most);
        let offender = |(client, offence): (ClientKey, Offence)| Offender {
            client: client.to_string(),
            refusals: offence.count,
            overcounted_by_at_most: offence.inherited,
            last_reason: offence.reason,
            first_seconds_ago: offence.first.elapsed().as_secs(),
            last_seconds_ago: offence.last.elapsed().as_secs(),
        };
        all.into_iter().map(offender).collect()
    }

    /// Forgets who was not refused for a while.
    pub(super) fn forget_idle(&self) {
        self.0.lock().retain(|_, offence| offence.last.elapsed() < FORGET);
    }
}

/// Makes a place; how much whoever had it was refused.
fn evict_least(places: &mut HashMap<ClientKey, Offence>) -> u64 {
    let least = places
        .iter()
        .min_by_key(|(_, offence)| (offence.count, offence.last));
    let Some((client, count)) = least.map(|(client, offence)| (*client, offence.count)) else {
        return 0;
    };
    places.remove(&client);
    count
}

/// How many clients are kept: more than an operator reads, few enough that to find the least takes well under a
/// microsecond's worth of a refusal's answer.
const PLACES: usize = 256;

/// How long a refusal is news.
const FORGET: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_most_is_found_in_a_flood_of_others() {
        let offenders = Offenders::default();
        for round in 0..10_000 {
            offenders.note(client(1_000_000 + round), Refusal::Host);
            if round % 20 == 0 {
                offenders.note(client(7), Refusal::Client);
            }
        }
        let top = offenders.top(10);
        assert_eq!(
            (top[0].client.as_str(), top[0].last_reason),
            ("0.0.0.7", "client_streams")
        );
        assert!((500..=500 + top[0].overcounted_by_at_most).contains(&top[0].refusals));
        assert_eq!(top.len(), 10);
        assert_eq!(offenders.0.lock().len(), PLACES);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_refusal_is_no_news() {
        let offenders = Offenders::default();
        offenders.note(client(1), Refusal::Host);
        tokio::time::advance(FORGET / 2).await;
        offenders.note(client(2), Refusal::Host);
        tokio::time::advance(FORGET / 2).await;
        offenders.forget_idle();
        let clients: Vec<_> = offenders
            .top(10)
            .into_iter()
            .map(|offender| offender.client)
            .collect();
        assert_eq!(clients, ["0.0.0.2"]);
    }
}
