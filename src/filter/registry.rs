//! The registry of filters and sets of fields in use, which limits how many different ones there are.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{CanonicalText, Filter};
use crate::{client::ClientKey, projection::Projection};

/// How many different filters and sets of fields one client may use at a time. Each may be evaluated for every event of a stream.
pub const MAX_FILTERS_PER_CLIENT: usize = 5;

/// How many different filters and sets of fields all clients together may choose. At 2 us an event and 500 events/s they are two cores' work. A filter
/// that several clients share counts once, and what the configuration makes of their claims does not count.
pub const MAX_FILTERS: usize = 2000;

/// Why a filter that is not in use yet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyFilters {
    /// The client uses as many other filters as it may.
    #[error(
        "one client can use at most {MAX_FILTERS_PER_CLIENT} different filters and sets of fields at a time"
    )]
    Client,
    /// All clients together use as many as they may, or as much memory.
    #[error("too many different filters and sets of fields are in use")]
    Host,
}

/// The filters and sets of fields in use.
#[derive(Clone, Debug)]
pub struct FilterRegistry(Arc<RegistryInner>);

#[derive(Debug)]
struct RegistryInner {
    in_use: Mutex<UseCounts>,
    /// The memory that they take, in bytes. Changes under the lock only.
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
    /// What clients have chosen: sets of fields, and all of their filters, or the parts that they have chosen of them. Only this is
    /// limited in number.
    chosen: HashMap<Choice, usize>,
    clients: HashMap<ClientKey, HashMap<Choice, usize>>,
}

/// What a client has chosen of its view of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Choice {
    /// The events.
    Filter(Arc<CanonicalText>),
    /// Their fields.
    Fields(Arc<Projection>),
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

    /// Returns the memory that the filters and sets of fields in use take, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Relaxed)
    }

    /// Counts one more use of `filter` by `client`, until the permit is dropped. The permit has the filter to use: that of
    /// whoever came first with an equal one, whose memory is counted.
    ///
    /// # Errors
    /// [`TooManyFilters`] if the filter is new, and there are too many.
    pub fn admit(&self, client: ClientKey, filter: &Filter) -> Result<FilterPermit, TooManyFilters> {
        let mut in_use = self.0.in_use.lock();
        let choice = choice_of(filter);
        if let Some(choice) = &choice {
            in_use.check_number(client, choice)?;
        }
        // Equal filters can take different amounts of memory, by how they were written.
        let known = in_use.all.get_key_value(filter).map(|(known, _)| known.clone());
        if known.is_none() {
            self.take_memory(filter.bytes())?;
        }
        let filter = known.unwrap_or_else(|| filter.clone());
        *in_use.all.entry(filter.clone()).or_default() += 1;
        if let Some(choice) = choice {
            in_use.begin(client, choice);
        }
        Ok(FilterPermit {
            filters: self.clone(),
            client,
            filter,
        })
    }

    /// Counts one more use of these fields by `client`, until the permit is dropped. They count as a filter does. The permit has
    /// those to use, as with [`admit`](Self::admit).
    ///
    /// # Errors
    /// [`TooManyFilters`] if the set is new, and there are too many.
    pub fn admit_fields(
        &self,
        client: ClientKey,
        fields: &Arc<Projection>,
    ) -> Result<FieldsPermit, TooManyFilters> {
        let mut in_use = self.0.in_use.lock();
        let choice = Choice::Fields(Arc::clone(fields));
        in_use.check_number(client, &choice)?;
        let known = in_use
            .chosen
            .get_key_value(&choice)
            .map(|(known, _)| known.clone());
        if known.is_none() {
            self.take_memory(fields.bytes())?;
        }
        let fields = match known {
            Some(Choice::Fields(known)) => known,
            _ => Arc::clone(fields),
        };
        in_use.begin(client, Choice::Fields(Arc::clone(&fields)));
        Ok(FieldsPermit {
            filters: self.clone(),
            client,
            fields,
        })
    }

    /// Counts memory. Must be called under the lock.
    fn take_memory(&self, bytes: usize) -> Result<(), TooManyFilters> {
        if self.bytes() + bytes > self.0.limit {
            return Err(TooManyFilters::Host);
        }
        self.0.bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }
}

/// Returns what a client has chosen of a filter.
fn choice_of(filter: &Filter) -> Option<Choice> {
    filter.chosen().map(|chosen| Choice::Filter(Arc::clone(chosen)))
}

impl UseCounts {
    /// Checks that a client may choose this.
    fn check_number(&self, client: ClientKey, choice: &Choice) -> Result<(), TooManyFilters> {
        let own = self.clients.get(&client);
        if own.is_some_and(|own| !own.contains_key(choice) && own.len() >= MAX_FILTERS_PER_CLIENT) {
            return Err(TooManyFilters::Client);
        }
        match self.chosen.contains_key(choice) || self.chosen.len() < MAX_FILTERS {
            true => Ok(()),
            false => Err(TooManyFilters::Host),
        }
    }

    /// Counts one use more.
    fn begin(&mut self, client: ClientKey, choice: Choice) {
        let own = self.clients.entry(client).or_default();
        *own.entry(choice.clone()).or_default() += 1;
        *self.chosen.entry(choice).or_default() += 1;
    }

    /// Counts one use less. Returns whether it was the last of all clients.
    fn end(&mut self, client: ClientKey, choice: &Choice) -> bool {
        if let Entry::Occupied(mut own) = self.clients.entry(client) {
            end_one(own.get_mut(), choice);
            if own.get().is_empty() {
                own.remove();
            }
        }
        end_one(&mut self.chosen, choice)
    }
}

/// One use of a filter. Dropping it ends the use.
#[derive(Debug)]
pub struct FilterPermit {
    filters: FilterRegistry,
    client: ClientKey,
    filter: Filter,
}

impl FilterPermit {
    /// Returns the filter to use.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

impl Drop for FilterPermit {
    fn drop(&mut self) {
        let shared = &self.filters.0;
        let mut in_use = shared.in_use.lock();
        if end_one(&mut in_use.all, &self.filter) {
            shared.bytes.fetch_sub(self.filter.bytes(), Relaxed);
        }
        if let Some(choice) = choice_of(&self.filter) {
            in_use.end(self.client, &choice);
        }
    }
}

/// One use of a set of fields. Dropping it ends the use.
#[derive(Debug)]
pub struct FieldsPermit {
    filters: FilterRegistry,
    client: ClientKey,
    fields: Arc<Projection>,
}

impl FieldsPermit {
    /// Returns the fields to use.
    pub fn fields(&self) -> &Arc<Projection> {
        &self.fields
    }
}

impl Drop for FieldsPermit {
    fn drop(&mut self) {
        let shared = &self.filters.0;
        let mut in_use = shared.in_use.lock();
        if in_use.end(self.client, &Choice::Fields(Arc::clone(&self.fields))) {
            shared.bytes.fetch_sub(self.fields.bytes(), Relaxed);
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
        assert!(in_use.all.is_empty() && in_use.clients.is_empty() && in_use.chosen.is_empty());
    }

    #[test]
    fn a_set_of_fields_counts_as_a_filter_does() {
        let filters = FilterRegistry::default();
        let fields = |text: &str| Arc::new(Projection::parse(text).expect("fields"));
        let admit = |text| filters.admit_fields(client(1), &fields(text));
        let of_filters: Vec<_> = (0..3)
            .map(|n| filters.admit(client(1), &filter(n)).expect("room"))
            .collect();
        let of_fields = [admit("a,b").expect("room"), admit("c").expect("room")];
        let again = admit("b, a").expect("it has that one already");
        assert!(
            Arc::ptr_eq(again.fields(), of_fields[0].fields()),
            "what was counted is used"
        );
        assert_eq!(admit("d").err(), Some(TooManyFilters::Client));
        assert_eq!(
            filters.admit(client(1), &filter(3)).err(),
            Some(TooManyFilters::Client)
        );
        let other = filters
            .admit_fields(client(2), &fields("d"))
            .expect("another client");
        drop((of_filters, of_fields));
        assert_eq!(filters.bytes(), again.fields().bytes() + other.fields().bytes());
        drop((again, other));
        assert_eq!(filters.bytes(), 0);
        let in_use = filters.0.in_use.lock();
        assert!(in_use.clients.is_empty() && in_use.chosen.is_empty());
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
    fn what_is_counted_is_given_back_whichever_of_equal_filters_ends_last() {
        let of =
            |space: &str| Filter::parse(&format!("a in (\"x\",{space} \"y\", \"z\")")).expect("a filter");
        let (small, large) = (of(""), of(&" ".repeat(100)));
        assert!(
            small == large && small.bytes() < large.bytes(),
            "the values are parts of one text"
        );
        for (first, second) in [(&small, &large), (&large, &small)] {
            let filters = FilterRegistry::default();
            let counted = filters.admit(client(1), first).expect("room");
            let last = filters.admit(client(2), second).expect("room");
            assert_eq!(filters.bytes(), first.bytes());
            assert_eq!(last.filter().bytes(), first.bytes(), "what was counted is used");
            drop(counted);
            drop(last);
            assert_eq!(filters.bytes(), 0);
        }
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
