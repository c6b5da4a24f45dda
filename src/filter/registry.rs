//! The registry of filters in use, which limits how many different ones there are.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{Filter, FilterOrigin};
use crate::client::ClientKey;

/// How many different filters one client may use at a time. Each may be evaluated for every event of a stream.
pub const MAX_FILTERS_PER_CLIENT: usize = 5;

/// How many different filters all clients together may use. At 2 us an event and 500 events/s they are two cores' work. A filter
/// that several clients share counts once.
pub const MAX_FILTERS: usize = 2000;

/// Why a filter that is not in use yet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyFilters {
    /// The client uses as many other filters as it may.
    #[error("one client can use at most {MAX_FILTERS_PER_CLIENT} different filters at a time")]
    Client,
    /// All clients together use as many as they may, or as much memory.
    #[error("too many different filters are in use")]
    Host,
}

/// The filters in use.
#[derive(Clone, Debug)]
pub struct FilterRegistry(Arc<RegistryInner>);

#[derive(Debug)]
struct RegistryInner {
    in_use: Mutex<UseCounts>,
    /// The memory that the filters take, in bytes. Changes under the lock only.
    bytes: AtomicUsize,
    /// The largest value of `bytes`.
    limit: usize,
}

impl Default for FilterRegistry {
    fn default() -> Self {
        Self::with_limit(usize::MAX)
    }
}

#[derive(Debug, Default)]
struct UseCounts {
    all: HashMap<Filter, usize>,
    clients: HashMap<ClientKey, HashMap<Filter, usize>>,
    /// How many of `all` clients have chosen.
    chosen: usize,
}

impl FilterRegistry {
    /// Creates an empty registry of at most `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self(Arc::new(RegistryInner {
            in_use: Mutex::default(),
            bytes: AtomicUsize::new(0),
            limit,
        }))
    }

    /// Returns the memory that the filters in use take, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Relaxed)
    }

    /// Counts one more use of `filter` by `client`, until the permit is dropped.
    ///
    /// # Errors
    /// [`TooManyFilters`] if the filter is new, and there are too many.
    pub fn admit(&self, client: ClientKey, filter: &Filter) -> Result<FilterPermit, TooManyFilters> {
        let mut in_use = self.0.in_use.lock();
        // Of a filter that the client has not chosen only the memory counts.
        let is_chosen = filter.0.origin != FilterOrigin::Operator;
        let own = in_use.clients.get(&client).filter(|_| is_chosen);
        let is_new = own.is_none_or(|own| !own.contains_key(filter));
        if is_new && own.is_some_and(|own| own.len() >= MAX_FILTERS_PER_CLIENT) {
            return Err(TooManyFilters::Client);
        }
        if !in_use.all.contains_key(filter) {
            let bytes = filter.bytes();
            let is_full = is_chosen && in_use.chosen >= MAX_FILTERS;
            if is_full || self.bytes() + bytes > self.0.limit {
                return Err(TooManyFilters::Host);
            }
            in_use.chosen += usize::from(is_chosen);
            self.0.bytes.fetch_add(bytes, Relaxed);
        }
        *in_use.all.entry(filter.clone()).or_default() += 1;
        if is_chosen {
            let own = in_use.clients.entry(client).or_default();
            *own.entry(filter.clone()).or_default() += 1;
        }
        Ok(FilterPermit {
            filters: self.clone(),
            client,
            filter: filter.clone(),
        })
    }
}

/// One use of a filter. Dropping it ends the use.
#[derive(Debug)]
pub struct FilterPermit {
    filters: FilterRegistry,
    client: ClientKey,
    filter: Filter,
}

impl Drop for FilterPermit {
    fn drop(&mut self) {
        let shared = &self.filters.0;
        let mut in_use = shared.in_use.lock();
        if end_one(&mut in_use.all, &self.filter) {
            in_use.chosen -= usize::from(self.filter.0.origin != FilterOrigin::Operator);
            shared.bytes.fetch_sub(self.filter.bytes(), Relaxed);
        }
        if let Entry::Occupied(mut own) = in_use.clients.entry(self.client) {
            end_one(own.get_mut(), &self.filter);
            if own.get().is_empty() {
                own.remove();
            }
        }
    }
}

/// Counts one use less. Returns whether it was the last.
fn end_one<K: Hash + Eq>(uses: &mut HashMap<K, usize>, of: &K) -> bool {
    let Some(count) = uses.get_mut(of) else {
        return false;
    };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        uses.remove(of);
    }
    is_last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, last].into())
    }

    fn filter(n: usize) -> Filter {
        Filter::parse(&format!("n = {n}")).expect("a filter")
    }

    #[test]
    fn a_client_has_five_and_gets_one_back_when_it_ends_one() {
        let filters = FilterRegistry::default();
        let admit = |n| filters.admit(client(1), &filter(n));
        let mut permits: Vec<_> = (0..5).map(|n| admit(n).expect("room")).collect();
        permits.push(admit(4).expect("it has that one already"));
        assert_eq!(admit(5).err(), Some(TooManyFilters::Client));
        permits.remove(0);
        admit(5).expect("room again");
        drop(permits);
        let in_use = filters.0.in_use.lock();
        assert!(in_use.all.is_empty() && in_use.clients.is_empty());
    }

    #[test]
    fn all_together_cost_no_more_than_their_part_of_the_memory() {
        let long = |n: usize| {
            let values: Vec<_> = (0..500).map(|value| format!("{}", n * 500 + value)).collect();
            Filter::parse(&format!("n in ({})", values.join(", "))).expect("a filter")
        };
        let size = long(0).bytes();
        assert!(size > 500 * 40, "{size}");
        let filters = FilterRegistry::with_limit(3 * size);
        let admit = |n: usize| filters.admit(client(n as u8), &long(n));
        let permits: Vec<_> = (0..3).map_while(|n| admit(n).ok()).collect();
        assert!(permits.len() >= 2 && filters.bytes() <= 3 * size);
        assert_eq!(admit(9).err(), Some(TooManyFilters::Host));
        let again = admit(0).expect("it is in use");
        drop(permits);
        assert_eq!(filters.bytes(), long(0).bytes());
        drop(again);
        assert_eq!(filters.bytes(), 0);
        admit(9).expect("room again");
    }

    #[test]
    fn when_all_are_taken_a_known_one_is_still_admitted() {
        let filters = FilterRegistry::default();
        let address = |n: usize| ClientKey::of([10, 0, (n / 250) as u8, (n % 250) as u8].into());
        let permits: Vec<_> = (0..MAX_FILTERS)
            .map(|n| filters.admit(address(n), &filter(n)).expect("room"))
            .collect();
        assert_eq!(
            filters.admit(client(1), &filter(MAX_FILTERS)).err(),
            Some(TooManyFilters::Host)
        );
        assert!(filters.admit(client(1), &filter(7)).is_ok());
        drop(permits);
        assert!(filters.admit(client(1), &filter(MAX_FILTERS)).is_ok());
    }
}
