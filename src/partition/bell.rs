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
/// swap, and a bell nobody listens to costs nothing.
#[derive(Debug, Default)]
pub struct Bell {
    waker: AtomicWaker,
    /// Whether it is among those who wait; it is at one place at a time.
    waits: AtomicBool,
}

impl Bell {
    /// A bell to register with logs and listen to.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Makes the next ring wake this task. Look at the logs only after this, or a ring in between is missed.
    pub fn listen(&self, context: &std::task::Context<'_>) {
        self.waker.register(context.waker());
    }

    /// Makes rings wake nobody until the next [`listen`](Self::listen). For who has something, and will look again when that is
    /// dealt with: of 10,000 clients that catch up each would be woken by each record that comes meanwhile.
    pub fn mute(&self) {
        drop(self.waker.take());
    }

    /// Wakes whoever listens.
    pub fn ring(&self) {
        self.waker.wake();
    }
}

/// The bells of those who wait for one thing.
#[derive(Debug, Default)]
pub struct Bells(Mutex<Vec<Weak<Bell>>>);

impl Bells {
    /// Rings `bell` from now on, for as long as anybody holds it.
    pub fn add(&self, bell: &Arc<Bell>) {
        push(&mut self.0.lock(), bell);
    }

    /// Rings them all.
    pub fn ring(&self) {
        self.0
            .lock()
            .retain(|bell| bell.upgrade().inspect(|bell| bell.ring()).is_some());
    }
}

/// The bells of those who wait for one thing right now. Who is behind has no need to: of 10,000 clients that are, each would be
/// rung by each record.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Vec<Weak<Bell>>>);

impl Waiters {
    /// Rings `bell`, to which somebody listens by now, with the next ring, and not again until it is added again. Look at what
    /// it is about only after this. Whether it was not waiting already.
    pub fn add(&self, bell: &Arc<Bell>) -> bool {
        let is_new = !bell.waits.swap(true, AcqRel);
        if is_new {
            push(&mut self.0.lock(), bell);
        }
        is_new
    }

    /// Rings them all.
    pub fn ring(&self) {
        let mut waiters = self.0.lock();
        // As many will be back. They come while others are rung, so the list must be free by then.
        let room = Vec::with_capacity(waiters.len());
        let rung = mem::replace(&mut *waiters, room);
        drop(waiters);
        for bell in rung.iter().filter_map(Weak::upgrade) {
            bell.waits.swap(false, AcqRel);
            bell.ring();
        }
    }
}

fn push(bells: &mut Vec<Weak<Bell>>, bell: &Arc<Bell>) {
    // Dead ones are swept when the list would grow, so that what is quiet stays bounded under churn too.
    if bells.len() == bells.capacity() {
        bells.retain(|bell| bell.strong_count() > 0);
    }
    bells.push(Arc::downgrade(bell));
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures_test::task::new_count_waker;

    use super::*;

    #[test]
    fn a_muted_bell_wakes_nobody_until_somebody_listens_again() {
        let bell = Bell::new();
        let (waker, woken) = new_count_waker();
        let context = Context::from_waker(&waker);
        bell.listen(&context);
        bell.mute();
        bell.ring();
        assert_eq!(woken, 0);
        bell.listen(&context);
        bell.ring();
        assert_eq!(woken, 1);
    }

    #[test]
    fn who_waits_is_rung_once_for_each_time_it_asks() {
        let (waiters, bell) = (Waiters::default(), Bell::new());
        let (waker, woken) = new_count_waker();
        let rung = || {
            let before = woken.get();
            bell.listen(&Context::from_waker(&waker));
            waiters.ring();
            woken.get() > before
        };
        assert!(!rung());
        waiters.add(&bell);
        waiters.add(&bell);
        assert_eq!(waiters.0.lock().len(), 1);
        assert!(rung());
        assert!(!rung());
        waiters.add(&bell);
        assert!(rung());
    }

    #[test]
    fn the_lists_stay_bounded_while_listeners_come_and_go() {
        let (bells, waiters) = (Bells::default(), Waiters::default());
        for _ in 0..10_000 {
            bells.add(&Bell::new());
            waiters.add(&Bell::new());
        }
        assert!(bells.0.lock().capacity() <= 8 && waiters.0.lock().capacity() <= 8);
    }
}
