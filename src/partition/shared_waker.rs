//! How a log wakes those who wait for it.

use std::{
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// Wakes one subscription. It registers once with every log it reads, not once a wait: a wake-up is then one atomic
/// swap, and a waker nobody listens to costs nothing.
#[derive(Debug, Default)]
pub struct SharedWaker {
    waker: AtomicWaker,
    /// Whether it is among those who wait; it is at one place at a time.
    is_waiting: AtomicBool,
}

impl SharedWaker {
    /// A waker to register with logs and listen to.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Makes the next wake-up wake this task. Look at the logs only after this, or a wake-up in between is missed.
    pub fn register(&self, context: &std::task::Context<'_>) {
        self.waker.register(context.waker());
    }

    /// Makes wake-ups reach nobody until the next [`register`](Self::register). For who has something, and will look again when that is
    /// dealt with: of 10,000 clients that catch up each would be woken by each record that comes meanwhile.
    pub fn clear(&self) {
        drop(self.waker.take());
    }

    /// Wakes whoever listens.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

/// The wakers of those who wait for one thing.
#[derive(Debug, Default)]
pub struct WakerSet(Mutex<Vec<Weak<SharedWaker>>>);

impl WakerSet {
    /// Wakes `shared_waker` from now on, for as long as anybody holds it.
    pub fn add(&self, shared_waker: &Arc<SharedWaker>) {
        push(&mut self.0.lock(), shared_waker);
    }

    /// Wakes them all.
    pub fn wake_all(&self) {
        self.0.lock().retain(|shared_waker| {
            shared_waker
                .upgrade()
                .inspect(|shared_waker| shared_waker.wake())
                .is_some()
        });
    }
}

/// The wakers of those who wait for one thing right now. Who is behind has no need to: of 10,000 clients that are, each would be
/// woken by each record.
#[derive(Debug, Default)]
pub struct WaitList(Mutex<Vec<Weak<SharedWaker>>>);

impl WaitList {
    /// Wakes `shared_waker`, to which somebody listens by now, with the next wake-up, and not again until it is added again. Look at what
    /// it is about only after this. Whether it was not waiting already.
    pub fn add(&self, shared_waker: &Arc<SharedWaker>) -> bool {
        let is_new = !shared_waker.is_waiting.swap(true, AcqRel);
        if is_new {
            push(&mut self.0.lock(), shared_waker);
        }
        is_new
    }

    /// Wakes them all.
    pub fn wake_all(&self) {
        let mut waiters = self.0.lock();
        // As many will be back. They come while others are woken, so the list must be free by then.
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
    // Dead ones are swept when the list would grow, so that what is quiet stays bounded under churn too.
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
