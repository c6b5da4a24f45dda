//! How far readers are to read, told to them while they do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many numbers each reader is to have; unknown as long as somebody still writes.
#[derive(Debug)]
pub struct Goal {
    wanted: AtomicUsize,
    given_up: AtomicBool,
}

impl Goal {
    /// Until it is [`set`](Self::set), readers read on.
    pub fn open() -> Self {
        Self {
            wanted: AtomicUsize::new(usize::MAX),
            given_up: AtomicBool::new(false),
        }
    }

    /// So many numbers there are.
    pub fn set(&self, wanted: usize) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Sends the readers home with what they have.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether a reader that has so many numbers is done.
    pub fn is_reached(&self, count: usize) -> bool {
        count >= self.wanted.load(Ordering::Relaxed) || self.given_up.load(Ordering::Relaxed)
    }
}
