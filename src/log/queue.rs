//! Log lines that wait for the thread that writes them, bounded in bytes.
//!
//! Whatever reads the log may be slow, or may not read at all. No task waits for it: a line that finds no room is dropped and
//! counted. Not here: who writes the lines (`writer`), and what they say.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// What a line is about, which says how much of the queue it may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What clients do: strangers choose how many of these there are.
    Request,
    /// What the process and its operators do: start, stop, reloads, commands, health.
    Operation,
}

impl Class {
    /// Both, in the order of their counts.
    pub const ALL: [Self; 2] = [Self::Request, Self::Operation];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Operation => "operation",
        }
    }

    /// How many bytes may wait, all lines together, for one more of this class to be taken.
    fn share(self) -> usize {
        match self {
            Self::Request => MOST_BYTES - RESERVED,
            Self::Operation => MOST_BYTES,
        }
    }
}

/// Lines in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Rings when a line comes.
    filled: Condvar,
    /// Rings when lines were written.
    written: Condvar,
    dropped: [AtomicU64; Class::ALL.len()],
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(Class, Box<[u8]>)>,
    /// What the lines cost, with those that are being written.
    bytes: usize,
}

/// Lines to write in one go.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) text: Vec<u8>,
    counts: [u64; Class::ALL.len()],
    cost: usize,
}

impl Queue {
    /// Takes a line, or drops and counts it if there is no room. Never waits for a reader.
    pub(super) fn push(&self, class: Class, line: &[u8]) {
        let cost = line.len() + OVERHEAD;
        let mut waiting = self.waiting.lock();
        if waiting.bytes + cost > class.share() {
            drop(waiting);
            return self.count_dropped(class, 1);
        }
        waiting.bytes += cost;
        waiting.lines.push_back((class, line.into()));
        self.filled.notify_one();
    }

    /// Waits for lines, and takes some of them out. Their room stays taken until [`done`](Self::done).
    pub(super) fn take(&self) -> Batch {
        let mut waiting = self.waiting.lock();
        while waiting.lines.is_empty() {
            self.filled.wait(&mut waiting);
        }
        let mut batch = Batch::default();
        while batch.text.len() < BATCH
            && let Some((class, line)) = waiting.lines.pop_front()
        {
            batch.text.extend_from_slice(&line);
            batch.counts[class as usize] += 1;
            batch.cost += line.len() + OVERHEAD;
        }
        batch
    }

    /// Gives back the room of a batch that was written, or could not be.
    pub(super) fn done(&self, batch: &Batch, is_written: bool) {
        if !is_written {
            for class in Class::ALL {
                self.count_dropped(class, batch.counts[class as usize]);
            }
        }
        self.waiting.lock().bytes -= batch.cost;
        self.written.notify_all();
    }

    /// Waits until every line is written, at most for so long. Returns whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut waiting = self.waiting.lock();
        while waiting.bytes > 0 {
            if self.written.wait_until(&mut waiting, deadline).timed_out() {
                return waiting.bytes == 0;
            }
        }
        true
    }

    /// How many lines of this class were dropped.
    pub(super) fn dropped(&self, class: Class) -> u64 {
        self.dropped[class as usize].load(Ordering::Relaxed)
    }

    fn count_dropped(&self, class: Class, lines: u64) {
        self.dropped[class as usize].fetch_add(lines, Ordering::Relaxed);
    }
}

/// What may wait, in bytes: some 5,000 lines, which a reader that was held up for a moment still gets.
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// The part of it that lines about requests cannot fill: more than an hour of all else.
const RESERVED: usize = 256 * 1024;

/// What a line costs beside its text: its place in the queue, and its allocation.
const OVERHEAD: usize = 48;

/// How much is written in one go: what a pipe holds.
const BATCH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = &[b'x'; 1000];

    fn bytes(queue: &Queue) -> usize {
        queue.waiting.lock().bytes
    }

    #[test]
    fn lines_about_requests_leave_room_for_all_others_and_neither_passes_its_bound() {
        let queue = Queue::default();
        for _ in 0..2_000 {
            queue.push(Class::Request, LINE);
        }
        assert!(bytes(&queue) <= MOST_BYTES - RESERVED);
        let taken = 2_000 - queue.dropped(Class::Request);
        assert!(taken > 700, "{taken} were taken");
        for _ in 0..200 {
            queue.push(Class::Operation, LINE);
        }
        assert_eq!(queue.dropped(Class::Operation), 0);
        for _ in 0..200 {
            queue.push(Class::Operation, LINE);
        }
        assert!(queue.dropped(Class::Operation) > 0);
        assert!(bytes(&queue) <= MOST_BYTES);
    }

    #[test]
    fn what_is_being_written_still_takes_its_room() {
        let queue = Queue::default();
        queue.push(Class::Operation, LINE);
        let batch = queue.take();
        assert_eq!(batch.text, LINE);
        assert!(!queue.flush(Duration::ZERO));
        queue.done(&batch, true);
        assert!(queue.flush(Duration::ZERO));
        assert_eq!((bytes(&queue), queue.dropped(Class::Operation)), (0, 0));
    }

    #[test]
    fn lines_that_could_not_be_written_count_as_dropped() {
        let queue = Queue::default();
        queue.push(Class::Request, LINE);
        queue.push(Class::Operation, LINE);
        let batch = queue.take();
        queue.done(&batch, false);
        assert_eq!(Class::ALL.map(|class| queue.dropped(class)), [1, 1]);
    }

    #[test]
    fn a_line_that_is_larger_than_all_room_is_dropped_alone() {
        let queue = Queue::default();
        queue.push(Class::Operation, &vec![b'x'; MOST_BYTES]);
        queue.push(Class::Operation, LINE);
        assert_eq!(queue.dropped(Class::Operation), 1);
        assert_eq!(queue.take().text, LINE);
    }
}
