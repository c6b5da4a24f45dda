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
pub enum LineClass {
    /// What clients do: strangers choose how many of these there are.
    Request,
    /// What the process and its operators do: start, stop, reloads, commands, health.
    Operation,
}

impl LineClass {
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
    fn capacity(self) -> usize {
        match self {
            Self::Request => MAX_BYTES - RESERVED,
            Self::Operation => MAX_BYTES,
        }
    }
}

/// Lines in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct LogQueue {
    queued: Mutex<QueuedLines>,
    /// Rings when a line comes.
    filled: Condvar,
    /// Rings when lines were written.
    written: Condvar,
    dropped_lines: [AtomicU64; LineClass::ALL.len()],
}

#[derive(Debug, Default)]
struct QueuedLines {
    lines: VecDeque<(LineClass, Box<[u8]>)>,
    /// What the lines cost, with those that are being written.
    bytes: usize,
}

/// Lines to write in one go.
#[derive(Debug, Default)]
pub(super) struct LineBatch {
    pub(super) text: Vec<u8>,
    counts: [u64; LineClass::ALL.len()],
    cost: usize,
}

impl LogQueue {
    /// Takes a line, or drops and counts it if there is no room. Never waits for a reader.
    pub(super) fn push(&self, class: LineClass, line: &[u8]) {
        let cost = line.len() + OVERHEAD;
        let mut queued = self.queued.lock();
        if queued.bytes + cost > class.capacity() {
            drop(queued);
            return self.count_dropped(class, 1);
        }
        queued.bytes += cost;
        queued.lines.push_back((class, line.into()));
        self.filled.notify_one();
    }

    /// Waits for lines, and takes some of them out. Their room stays taken until [`release`](Self::release).
    pub(super) fn next_batch(&self) -> LineBatch {
        let mut queued = self.queued.lock();
        while queued.lines.is_empty() {
            self.filled.wait(&mut queued);
        }
        let mut batch = LineBatch::default();
        while batch.text.len() < BATCH_BYTES
            && let Some((class, line)) = queued.lines.pop_front()
        {
            batch.text.extend_from_slice(&line);
            batch.counts[class as usize] += 1;
            batch.cost += line.len() + OVERHEAD;
        }
        batch
    }

    /// Gives back the room of a batch that was written, or could not be.
    pub(super) fn release(&self, batch: &LineBatch, is_written: bool) {
        if !is_written {
            for class in LineClass::ALL {
                self.count_dropped(class, batch.counts[class as usize]);
            }
        }
        self.queued.lock().bytes -= batch.cost;
        self.written.notify_all();
    }

    /// Waits until every line is written, at most for so long. Returns whether it is.
    pub(super) fn flush(&self, time_limit: Duration) -> bool {
        let deadline = Instant::now() + time_limit;
        let mut queued = self.queued.lock();
        while queued.bytes > 0 {
            if self.written.wait_until(&mut queued, deadline).timed_out() {
                return queued.bytes == 0;
            }
        }
        true
    }

    /// How many lines of this class were dropped.
    pub(super) fn dropped_lines(&self, class: LineClass) -> u64 {
        self.dropped_lines[class as usize].load(Ordering::Relaxed)
    }

    fn count_dropped(&self, class: LineClass, lines: u64) {
        self.dropped_lines[class as usize].fetch_add(lines, Ordering::Relaxed);
    }
}

/// What may wait, in bytes: some 5,000 lines, which a reader that was held up for a moment still gets.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The part of it that lines about requests cannot fill: more than an hour of all else.
const RESERVED: usize = 256 * 1024;

/// What a line costs beside its text: its place in the queue, and its allocation.
const OVERHEAD: usize = 48;

/// How much is written in one go: what a pipe holds.
const BATCH_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = &[b'x'; 1000];

    fn bytes(queue: &LogQueue) -> usize {
        queue.queued.lock().bytes
    }

    #[test]
    fn lines_about_requests_leave_room_for_all_others_and_neither_passes_its_bound() {
        let queue = LogQueue::default();
        for _ in 0..2_000 {
            queue.push(LineClass::Request, LINE);
        }
        assert!(bytes(&queue) <= MAX_BYTES - RESERVED);
        let taken = 2_000 - queue.dropped_lines(LineClass::Request);
        assert!(taken > 700, "{taken} were taken");
        for _ in 0..200 {
            queue.push(LineClass::Operation, LINE);
        }
        assert_eq!(queue.dropped_lines(LineClass::Operation), 0);
        for _ in 0..200 {
            queue.push(LineClass::Operation, LINE);
        }
        assert!(queue.dropped_lines(LineClass::Operation) > 0);
        assert!(bytes(&queue) <= MAX_BYTES);
    }

    #[test]
    fn what_is_being_written_still_takes_its_room() {
        let queue = LogQueue::default();
        queue.push(LineClass::Operation, LINE);
        let batch = queue.next_batch();
        assert_eq!(batch.text, LINE);
        assert!(!queue.flush(Duration::ZERO));
        queue.release(&batch, true);
        assert!(queue.flush(Duration::ZERO));
        assert_eq!((bytes(&queue), queue.dropped_lines(LineClass::Operation)), (0, 0));
    }

    #[test]
    fn lines_that_could_not_be_written_count_as_dropped() {
        let queue = LogQueue::default();
        queue.push(LineClass::Request, LINE);
        queue.push(LineClass::Operation, LINE);
        let batch = queue.next_batch();
        queue.release(&batch, false);
        assert_eq!(LineClass::ALL.map(|class| queue.dropped_lines(class)), [1, 1]);
    }

    #[test]
    fn a_line_that_is_larger_than_all_room_is_dropped_alone() {
        let queue = LogQueue::default();
        queue.push(LineClass::Operation, &vec![b'x'; MAX_BYTES]);
        queue.push(LineClass::Operation, LINE);
        assert_eq!(queue.dropped_lines(LineClass::Operation), 1);
        assert_eq!(queue.next_batch().text, LINE);
    }
}
