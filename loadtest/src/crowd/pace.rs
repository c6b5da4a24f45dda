//! Limits how much each client of a crowd reads in each tick.

use std::time::{Duration, Instant};

/// The number of bytes that each client has read, and the clients that wait for the next tick.
#[derive(Debug)]
pub(super) struct ReadPacer {
    /// The bytes that a client may read in a tick; `None` for no limit.
    a_tick: Option<usize>,
    left: Vec<usize>,
    read: Vec<u64>,
    waiting: Vec<usize>,
    next: Instant,
}

impl ReadPacer {
    /// Creates it for this many clients, each of which reads no more than `a_second` bytes per second.
    pub(super) fn new(clients: usize, a_second: Option<u64>) -> Self {
        let a_tick = a_second.map(|bytes| (bytes / TICKS_A_SECOND).max(1) as usize);
        Self {
            a_tick,
            left: vec![a_tick.unwrap_or_default(); clients],
            read: vec![0; clients],
            waiting: Vec::new(),
            next: Instant::now() + TICK,
        }
    }

    /// Returns the number of bytes that each client has read.
    pub(super) fn read(&self) -> &[u64] {
        &self.read
    }

    /// Returns how many bytes a client may read now.
    pub(super) fn room(&self, client: usize) -> usize {
        self.a_tick.map_or(usize::MAX, |_| self.left[client].max(1))
    }

    /// Records what a client has read. Returns whether it has to wait now.
    pub(super) fn has_read(&mut self, client: usize, bytes: usize) -> bool {
        self.read[client] += bytes as u64;
        if self.a_tick.is_none() {
            return false;
        }
        self.left[client] = self.left[client].saturating_sub(bytes);
        let waits = self.left[client] == 0;
        if waits {
            self.waiting.push(client);
        }
        waits
    }

    /// Returns the clients that may continue, once a tick is over.
    pub(super) fn resume(&mut self, now: Instant) -> Vec<usize> {
        let Some(a_tick) = self.a_tick.filter(|_| now >= self.next) else {
            return Vec::new();
        };
        self.next = now + TICK;
        self.left.fill(a_tick);
        std::mem::take(&mut self.waiting)
    }
}

const TICKS_A_SECOND: u64 = 10;

const TICK: Duration = Duration::from_millis(1000 / TICKS_A_SECOND);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_read_its_part_of_a_tick_waits_for_the_next() {
        let mut pace = ReadPacer::new(2, Some(1_000));
        assert_eq!(pace.room(0), 100);
        assert!(!pace.has_read(0, 60));
        assert_eq!(pace.room(0), 40);
        assert!(pace.has_read(0, 40));
        assert!(!pace.has_read(1, 10));
        assert!(pace.resume(Instant::now()).is_empty());
        assert_eq!(pace.resume(Instant::now() + TICK), [0]);
        assert_eq!((pace.room(0), pace.room(1)), (100, 100));
        assert_eq!(pace.read(), [100, 10]);
    }

    #[test]
    fn without_a_pace_nobody_waits() {
        let mut pace = ReadPacer::new(1, None);
        assert!(!pace.has_read(0, 1 << 30));
        assert_eq!(pace.room(0), usize::MAX);
    }
}
