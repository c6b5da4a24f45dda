//! How a log wakes those who wait for it.

use std::sync::{Arc, Weak};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// Wakes one subscription. It registers once with every log it reads, not once a wait: a wake-up is then one atomic
/// swap, and a bell nobody listens to costs nothing.
#[derive(Debug, Default)]
pub struct Bell {
    waker: AtomicWaker,
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
        let mut bells = self.0.lock();
        // Dead ones are swept when the list would grow, so that a quiet log under churn stays bounded too.
        if bells.len() == bells.capacity() {
            bells.retain(|bell| bell.strong_count() > 0);
        }
        bells.push(Arc::downgrade(bell));
    }

    /// Rings them all.
    pub fn ring(&self) {
        self.0
            .lock()
            .retain(|bell| bell.upgrade().inspect(|bell| bell.ring()).is_some());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        task::{Context, Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    #[test]
    fn a_muted_bell_wakes_nobody_until_somebody_listens_again() {
        let (bell, flag) = (Bell::new(), Arc::new(Flag::default()));
        let waker = Waker::from(Arc::clone(&flag));
        let context = Context::from_waker(&waker);
        bell.listen(&context);
        bell.mute();
        bell.ring();
        assert!(!flag.0.load(Relaxed));
        bell.listen(&context);
        bell.ring();
        assert!(flag.0.load(Relaxed));
    }

    #[test]
    fn the_list_stays_bounded_while_listeners_come_and_go() {
        let bells = Bells::default();
        for _ in 0..10_000 {
            bells.add(&Bell::new());
        }
        assert!(bells.0.lock().capacity() <= 8);
    }
}
