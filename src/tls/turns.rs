//! The turns of handshakes: how many take processor time at once, and whose turn is next.
//!
//! Not here: running a handshake (`handshakes`).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::client::ClientKey;

/// Grants turns to handshakes. Clones share them.
///
/// A handshake takes a third of a millisecond of processor time with an ECDSA key, and two with RSA. When all clients of a host
/// connect at once, streams must not wait for all of them.
///
/// Those that have begun go first: what was spent on them is lost if they do not end in time, and each that ends makes room for
/// another connection. Among those alike the clients take turns, so that one with many connections delays itself.
#[derive(Clone)]
pub(super) struct HandshakeTurns(Arc<Mutex<TurnQueue>>);

/// A turn, which ends when it is dropped.
pub struct HandshakeTurn(Arc<Mutex<TurnQueue>>);

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    New,
    Begun,
}

impl HandshakeTurns {
    /// Creates this many turns.
    pub(super) fn of(count: usize) -> Self {
        Self(Arc::new(Mutex::new(TurnQueue {
            free: count,
            begun: FairQueue::default(),
            new: FairQueue::default(),
        })))
    }

    /// Waits for a turn, which lasts until it is dropped.
    pub(super) async fn next(&self, client: ClientKey, progress: Progress) -> Option<HandshakeTurn> {
        let waiting = self.0.lock().ask(client, progress);
        match waiting {
            // Fails only if the queue is gone, and this is a handle to it.
            Some(granted) => granted.await.ok(),
            None => Some(HandshakeTurn(Arc::clone(&self.0))),
        }
    }

    /// Returns how many turns are free.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.lock().free
    }
}

impl Drop for HandshakeTurn {
    fn drop(&mut self) {
        let next = self.0.lock().pass_on();
        if let Some(next) = next {
            // One that leaves in this moment drops the turn, which passes it on again.
            let _ = next.send(Self(Arc::clone(&self.0)));
        }
    }
}

debug_by_name!(HandshakeTurns, HandshakeTurn);

/// Wakes a handshake that waits, with its turn.
type Waiting = oneshot::Sender<HandshakeTurn>;

/// The turns that are free, and the handshakes that wait. Nobody waits while a turn is free.
struct TurnQueue {
    free: usize,
    begun: FairQueue,
    new: FairQueue,
}

impl TurnQueue {
    /// Takes a free turn and returns `None`, or queues the handshake.
    fn ask(&mut self, client: ClientKey, progress: Progress) -> Option<oneshot::Receiver<HandshakeTurn>> {
        if let Some(rest) = self.free.checked_sub(1) {
            self.free = rest;
            return None;
        }
        let (waiting, granted) = oneshot::channel();
        match progress {
            Progress::New => self.new.push(client, waiting),
            Progress::Begun => self.begun.push(client, waiting),
        }
        Some(granted)
    }

    /// Returns who gets a turn that has ended. Without any, the turn is free.
    fn pass_on(&mut self) -> Option<Waiting> {
        let next = self.begun.pop().or_else(|| self.new.pop());
        self.free += usize::from(next.is_none());
        next
    }
}

/// Handshakes that wait, of which each client has one in turn. A connection without a stream has one at most, and their number is
/// limited.
#[derive(Default)]
struct FairQueue {
    /// The clients with waiting handshakes, each once.
    order: VecDeque<ClientKey>,
    /// No value is empty.
    waiting: HashMap<ClientKey, VecDeque<Waiting>>,
}

impl FairQueue {
    fn push(&mut self, client: ClientKey, waiting: Waiting) {
        let own = self.waiting.entry(client).or_default();
        if own.is_empty() {
            self.order.push_back(client);
        }
        // The oldest leave first: evicted, or too late.
        while own.front().is_some_and(Waiting::is_closed) {
            own.pop_front();
        }
        own.push_back(waiting);
    }

    /// Returns the next that has not left.
    fn pop(&mut self) -> Option<Waiting> {
        while let Some(client) = self.order.pop_front() {
            let Some(own) = self.waiting.get_mut(&client) else {
                continue;
            };
            let next = iter_front(own).find(|waiting| !waiting.is_closed());
            match own.is_empty() {
                true => drop(self.waiting.remove(&client)),
                false => self.order.push_back(client),
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

/// Returns the elements from the front on, each of which leaves the queue as it is returned.
fn iter_front<T>(queue: &mut VecDeque<T>) -> impl Iterator<Item = T> {
    std::iter::from_fn(|| queue.pop_front())
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use futures_util::FutureExt;

    use super::*;

    /// A handshake that waits for its turn.
    type Wait = Pin<Box<dyn Future<Output = Option<HandshakeTurn>>>>;

    fn client(number: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, number].into())
    }

    /// Queues handshakes, in this order.
    fn queue(turns: &HandshakeTurns, waiting: &[(u8, Progress)]) -> Vec<Wait> {
        let wait = |(number, progress): &(u8, Progress)| {
            let (turns, number, progress) = (turns.clone(), *number, *progress);
            let mut wait: Wait = Box::pin(async move { turns.next(client(number), progress).await });
            assert!(wait.as_mut().now_or_never().is_none());
            wait
        };
        waiting.iter().map(wait).collect()
    }

    /// Returns the handshakes in the order in which they get the turn, each of which ends at once.
    fn granted(waits: &mut [Wait]) -> Vec<usize> {
        let mut order = Vec::new();
        loop {
            let left = (0..waits.len()).filter(|number| !order.contains(number));
            let ready: Vec<_> = left
                .filter_map(|number| Some((number, waits[number].as_mut().now_or_never()?)))
                .collect();
            let [(number, _)] = ready[..] else {
                assert!(ready.is_empty(), "two have the one turn");
                return order;
            };
            order.push(number);
        }
    }

    #[test]
    fn who_has_begun_goes_before_who_has_not_and_clients_take_turns() {
        use Progress::{Begun, New};
        let turns = HandshakeTurns::of(1);
        let turn = turns.next(client(9), New).now_or_never().flatten();
        let asked = [
            (1, New),
            (1, New),
            (1, New),
            (2, New),
            (1, Begun),
            (1, Begun),
            (3, Begun),
        ];
        let mut waits = queue(&turns, &asked);
        drop(turn.expect("a free turn"));
        assert_eq!(granted(&mut waits), [4, 6, 5, 0, 3, 1, 2]);
        assert_eq!(turns.free(), 1);
    }

    #[test]
    fn who_leaves_takes_no_turn_and_no_memory() {
        let turns = HandshakeTurns::of(1);
        let turn = turns.next(client(9), Progress::New).now_or_never().flatten();
        for _ in 0..1000 {
            drop(queue(&turns, &[(1, Progress::New)]));
        }
        assert_eq!(turns.0.lock().new.waiting[&client(1)].len(), 1);
        let mut waits = queue(&turns, &[(2, Progress::New)]);
        drop(turn);
        assert_eq!(granted(&mut waits), [0]);
        assert_eq!(turns.free(), 1);
        let queue = turns.0.lock();
        assert!(queue.new.waiting.is_empty() && queue.new.order.is_empty());
    }

    #[test]
    fn a_turn_that_was_granted_to_one_who_leaves_is_passed_on() {
        let turns = HandshakeTurns::of(1);
        let turn = turns.next(client(9), Progress::New).now_or_never().flatten();
        let mut waits = queue(&turns, &[(1, Progress::New), (2, Progress::New)]);
        drop(turn);
        drop(waits.remove(0));
        assert_eq!(granted(&mut waits), [0]);
        assert_eq!(turns.free(), 1);
    }
}
