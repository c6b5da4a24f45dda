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

/// What to do with the first item of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Take it out of the queue.
    Take,
    /// Leave it where it is, and look at the next key.
    Leave,
    /// Drop it, and look at the key's next item.
    Drop,
}

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

    /// Returns the first item, with its key, for which `choose` says so. Each key's turn comes as in [`pop`](Self::pop); a key
    /// whose first item is left does not delay the next one.
    pub(super) fn pop_where(
        &mut self,
        mut choose: impl FnMut(ClientKey, &T) -> Choice,
    ) -> Option<(ClientKey, T)> {
        for _ in 0..self.order.len() {
            let key = *self.order.front()?;
            let mut choice = Choice::Drop;
            while choice == Choice::Drop {
                let Some(item) = self.waiting.get(&key).and_then(VecDeque::front) else {
                    break;
                };
                choice = choose(key, item);
                if choice == Choice::Drop {
                    self.discard_first(key);
                }
            }
            match choice {
                Choice::Take => return self.pop().map(|item| (key, item)),
                Choice::Leave => self.order.rotate_left(1),
                // All its items were dropped, and it is no longer in line.
                Choice::Drop => {}
            }
        }
        None
    }

    /// Drops the first item of `key`, which is the next key.
    fn discard_first(&mut self, key: ClientKey) {
        let Some(items) = self.waiting.get_mut(&key) else {
            return;
        };
        self.len -= usize::from(items.pop_front().is_some());
        if items.is_empty() {
            self.waiting.remove(&key);
            self.order.pop_front();
        }
    }

    /// Returns whether there is no item.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
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
    fn a_key_that_must_wait_delays_no_other_and_keeps_its_items() {
        let mut queue = FairQueue::default();
        for (last, item) in [(1, 10), (1, 11), (2, 20), (3, 30), (2, 21)] {
            queue.push(key(last), item).expect("room");
        }
        let choose = |client, _: &_| match client == key(1) {
            true => Choice::Leave,
            false => Choice::Take,
        };
        let served: Vec<_> = std::iter::from_fn(|| queue.pop_where(choose)).collect();
        assert_eq!(served, [(key(2), 20), (key(3), 30), (key(2), 21)]);
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop()],
            [Some(10), Some(11), None]
        );
    }

    #[test]
    fn what_nobody_waits_for_any_more_goes_and_is_counted_no_longer() {
        let mut queue = FairQueue::new(4, 4);
        for (last, item) in [(1, 10), (1, 11), (2, 20), (2, 21)] {
            queue.push(key(last), item).expect("room");
        }
        let choose = |_, item: &_| match *item {
            10 | 11 | 20 => Choice::Drop,
            _ => Choice::Take,
        };
        assert_eq!(queue.pop_where(choose), Some((key(2), 21)));
        assert!(queue.is_empty());
        assert_eq!(queue.pop_where(choose), None);
        for item in 0..4 {
            assert_eq!(queue.push(key(1), item), Ok(()), "there is room for four again");
        }
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
