//! Round-robin queue over client keys.
//!
//! Not here: what the items are. Page requests and times are queued in it (`request_queue`, `offset_queries::time_queue`).

use std::collections::{HashMap, VecDeque};

use crate::client::ClientKey;

/// A bounded queue that takes turns among client keys: a client with a thousand items delays another one by one item.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// The keys that have items, each once, next one first.
    order: VecDeque<ClientKey>,
    waiting: HashMap<ClientKey, VecDeque<T>>,
    len: usize,
    max: usize,
    max_per_key: usize,
}

/// The queue is full, for this key or for all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self::new(MAX_QUEUED, MAX_PER_KEY)
    }
}

impl<T> FairQueue<T> {
    /// Creates an empty queue for `max` items, at most `max_per_key` of them from one key.
    pub(super) fn new(max: usize, max_per_key: usize) -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashMap::new(),
            len: 0,
            max,
            max_per_key,
        }
    }

    /// Appends `item` to the items of `key`.
    pub(super) fn push(&mut self, key: ClientKey, item: T) -> Result<(), QueueFull> {
        let own = self.waiting.get(&key).map_or(0, VecDeque::len);
        if self.len >= self.max || own >= self.max_per_key {
            return Err(QueueFull);
        }
        if own == 0 {
            self.order.push_back(key);
        }
        self.waiting.entry(key).or_default().push_back(item);
        self.len += 1;
        Ok(())
    }

    /// Returns the next items in order, at most `max`.
    pub(super) fn upcoming(&self, max: usize) -> Vec<&T> {
        let mut items = Vec::new();
        for round in 0..max {
            let known = items.len();
            let of_round = self
                .order
                .iter()
                .filter_map(|key| self.waiting.get(key)?.get(round));
            items.extend(of_round.take(max - known));
            if items.len() == known || items.len() == max {
                break;
            }
        }
        items
    }

    /// Returns the first item of the key that is next.
    pub(super) fn pop(&mut self) -> Option<T> {
        let key = self.order.pop_front()?;
        let items = self.waiting.get_mut(&key)?;
        let item = items.pop_front()?;
        self.len -= 1;
        if items.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.order.push_back(key);
        }
        Some(item)
    }
}

/// Items that may wait at one reader. At 1 ms a page, a reader serves about as many in 5 s.
const MAX_QUEUED: usize = 8192;

/// An eighth of the queue, so that no single key can fill it.
const MAX_PER_KEY: usize = MAX_QUEUED / 8;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn key(last: u8) -> ClientKey {
        ClientKey::of(Ipv4Addr::new(192, 0, 2, last).into())
    }

    #[test]
    fn one_who_wants_much_delays_another_by_one_turn() {
        let mut queue = FairQueue::default();
        for item in 0..100 {
            queue.push(key(1), item).expect("room");
        }
        queue.push(key(2), 1000).expect("room");
        queue.push(key(2), 1001).expect("room");
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served[..5], [0, 1000, 1, 1001, 2]);
        assert_eq!(served.len(), 102);
    }

    #[test]
    fn what_comes_next_is_known_before() {
        let mut queue = FairQueue::default();
        for (last, item) in [(1, 10), (1, 11), (2, 20), (1, 12), (3, 30), (2, 21)] {
            queue.push(key(last), item).expect("room");
        }
        for max in 0..8 {
            let upcoming: Vec<_> = queue.upcoming(max).into_iter().copied().collect();
            assert_eq!(upcoming, [10, 20, 30, 11, 21, 12][..max.min(6)]);
        }
        let upcoming: Vec<_> = queue.upcoming(6).into_iter().copied().collect();
        assert_eq!(upcoming, std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>());
    }

    #[test]
    fn one_key_cannot_fill_the_queue() {
        let mut queue = FairQueue::default();
        while queue.push(key(1), ()).is_ok() {}
        assert_eq!(queue.push(key(1), ()), Err(QueueFull));
        assert_eq!(queue.push(key(2), ()), Ok(()));
        queue.pop();
        assert_eq!(queue.push(key(1), ()), Ok(()));
    }
}
