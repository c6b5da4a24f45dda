//! The goal of readers: how many numbers to read, which may become known while they read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The number of numbers that each reader must have. It is unknown while a producer still writes.
#[derive(Debug)]
pub struct Goal {
    wanted: AtomicUsize,
    given_up: AtomicBool,
}

impl Goal {
    /// Creates a goal without a number. Readers continue until it is [`set`](Self::set).
    pub fn open() -> Self {
        Self {
            wanted: AtomicUsize::new(usize::MAX),
            given_up: AtomicBool::new(false),
        }
    }

    /// Sets the number.
    pub fn set(&self, wanted: usize) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Ends the readers with what they have.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Returns whether a reader with this many numbers is done.
    pub fn is_reached(&self, count: usize) -> bool {
        count >= self.wanted.load(Ordering::Relaxed) || self.given_up.load(Ordering::Relaxed)
    }
}
