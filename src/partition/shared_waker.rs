//! Wakers that are registered once with many logs, and lists of them.

use std::{
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// Wakes the task of one subscription. It is registered once with every log that the subscription reads, not once for
/// each wait: a wake-up is then one atomic swap, and a waker without a task costs nothing.
#[derive(Debug, Default)]
pub struct SharedWaker {
    waker: AtomicWaker,
    /// Whether it is in a [`WaitList`]. It may be in one list at a time.
    is_waiting: AtomicBool,
}

impl SharedWaker {
    /// Creates a waker with no task, to be added to lists.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Makes the next wake-up wake the current task. Read the logs only after this call, or a wake-up in between is
    /// missed.
    pub fn register(&self, context: &std::task::Context<'_>) {
        self.waker.register(context.waker());
    }

    /// Makes wake-ups have no effect until the next [`register`](Self::register). For a task that has work and will
    /// look again afterwards: otherwise, of 10,000 clients that catch up, each would be woken by each record that
    /// arrives meanwhile.
    pub fn clear(&self) {
        drop(self.waker.take());
    }

    /// Wakes the registered task, if any.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

/// Wakers that are woken by every event, for as long as they exist.
#[derive(Debug, Default)]
pub struct WakerSet(Mutex<Vec<Weak<SharedWaker>>>);

impl WakerSet {
    /// Adds `shared_waker`, which is woken from now on until it is dropped.
    pub fn add(&self, shared_waker: &Arc<SharedWaker>) {
        push(&mut self.0.lock(), shared_waker);
    }

    /// Wakes all of them.
    pub fn wake_all(&self) {
        let mut wakers = self.0.lock();
        wakers.retain(|waker| waker.upgrade().inspect(|waker| waker.wake()).is_some());
    }
}

/// Wakers that are woken by the next event only. A reader that is behind does not wait: of 10,000 such clients, each
/// would otherwise be woken by each record.
#[derive(Debug, Default)]
pub struct WaitList(Mutex<Vec<Weak<SharedWaker>>>);

impl WaitList {
    /// Adds `shared_waker`, which must have a registered task, to be woken by the next event, and not again until it is
    /// added again. Look for the event itself only after this call. Returns whether it was not waiting already.
    pub fn add(&self, shared_waker: &Arc<SharedWaker>) -> bool {
        let is_new = !shared_waker.is_waiting.swap(true, AcqRel);
        if is_new {
            push(&mut self.0.lock(), shared_waker);
        }
        is_new
    }

    /// Wakes all of them, and empties the list.
    pub fn wake_all(&self) {
        let mut waiters = self.0.lock();
        // About as many wakers will be added again. They come while others are still being woken, so the lock must be
        // released by then.
        let fresh = Vec::with_capacity(waiters.len());
        let woken_wakers = mem::replace(&mut *waiters, fresh);
        drop(waiters);
        for shared_waker in woken_wakers.iter().filter_map(Weak::upgrade) {
            shared_waker.is_waiting.swap(false, AcqRel);
            shared_waker.wake();
        }
    }
}

fn push(wakers: &mut Vec<Weak<SharedWaker>>, shared_waker: &Arc<SharedWaker>) {
    // Dropped wakers are removed when the list would grow. So a list that is never woken stays bounded while clients
    // come and go.
    if wakers.len() == wakers.capacity() {
        wakers.retain(|shared_waker| shared_waker.strong_count() > 0);
    }
    wakers.push(Arc::downgrade(shared_waker));
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures_test::task::new_count_waker;

    use super::*;

    #[test]
    fn a_muted_bell_wakes_nobody_until_somebody_listens_again() {
        let shared_waker = SharedWaker::new();
        let (waker, woken) = new_count_waker();
        let context = Context::from_waker(&waker);
        shared_waker.register(&context);
        shared_waker.clear();
        shared_waker.wake();
        assert_eq!(woken, 0);
        shared_waker.register(&context);
        shared_waker.wake();
        assert_eq!(woken, 1);
    }

    #[test]
    fn who_waits_is_rung_once_for_each_time_it_asks() {
        let (waiters, shared_waker) = (WaitList::default(), SharedWaker::new());
        let (waker, woken) = new_count_waker();
        let is_woken = || {
            let before = woken.get();
            shared_waker.register(&Context::from_waker(&waker));
            waiters.wake_all();
            woken.get() > before
        };
        assert!(!is_woken());
        waiters.add(&shared_waker);
        waiters.add(&shared_waker);
        assert_eq!(waiters.0.lock().len(), 1);
        assert!(is_woken());
        assert!(!is_woken());
        waiters.add(&shared_waker);
        assert!(is_woken());
    }

    #[test]
    fn the_lists_stay_bounded_while_listeners_come_and_go() {
        let (wakers, waiters) = (WakerSet::default(), WaitList::default());
        for _ in 0..10_000 {
            wakers.add(&SharedWaker::new());
            waiters.add(&SharedWaker::new());
        }
        assert!(wakers.0.lock().capacity() <= 8 && waiters.0.lock().capacity() <= 8);
    }
}
