//! Queue of log lines for the writer thread, bounded in bytes.
//!
//! The reader of the log may be slow, or may not read at all. No task waits for it: a line that does not fit is dropped and
//! counted.
//!
//! Not here: the thread that writes the lines (`writer`), and their content.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

named! {
    /// Subject of a line, which determines how much of the queue it may fill.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LineClass {
        /// Client activity. Clients determine how many of these lines there are.
        Request = "request",
        /// Activity of the process and its operators: start, stop, reloads, commands, health.
        Operation = "operation",
    }
}

impl LineClass {
    /// Returns up to how many queued bytes, of all lines together, another line of this class is accepted.
    fn capacity(self) -> usize {
        match self {
            Self::Request => MAX_BYTES - RESERVED,
            Self::Operation => MAX_BYTES,
        }
    }
}

/// Lines in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct LogQueue {
    queued: Mutex<QueuedLines>,
    /// Notified when a line is queued.
    filled: Condvar,
    /// Notified when lines were written.
    written: Condvar,
    dropped_lines: [AtomicU64; LineClass::ALL.len()],
}

#[derive(Debug, Default)]
struct QueuedLines {
    lines: VecDeque<(LineClass, Box<[u8]>)>,
    /// Memory of the lines in bytes, including those that are being written.
    bytes: usize,
}

/// Lines to be written with one call.
#[derive(Debug, Default)]
pub(super) struct LineBatch {
    pub(super) text: Vec<u8>,
    counts: [u64; LineClass::ALL.len()],
    cost: usize,
}

impl LogQueue {
    /// Queues a line, or drops and counts it if there is no space. Never blocks on a reader.
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

    /// Waits for lines and removes a batch. Its space stays taken until [`release`](Self::release).
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

    /// Frees the space of a batch. Counts its lines as dropped if they were not written.
    pub(super) fn release(&self, batch: &LineBatch, is_written: bool) {
        if !is_written {
            for class in LineClass::ALL {
                self.count_dropped(class, batch.counts[class as usize]);
            }
        }
        self.queued.lock().bytes -= batch.cost;
        self.written.notify_all();
    }

    /// Waits until every line is written, at most `time_limit`. Returns whether all are.
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

    /// Returns how many lines of this class were dropped.
    pub(super) fn dropped_lines(&self, class: LineClass) -> u64 {
        self.dropped_lines[class as usize].load(Ordering::Relaxed)
    }

    fn count_dropped(&self, class: LineClass, lines: u64) {
        self.dropped_lines[class as usize].fetch_add(lines, Ordering::Relaxed);
    }
}

/// Capacity in bytes: about 5,000 lines, so that a reader that paused for a moment still gets them all.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The part that request lines cannot fill: more than an hour of all other lines.
const RESERVED: usize = 256 * 1024;

/// Memory of a line besides its text: its slot in the queue, and its allocation.
const OVERHEAD: usize = 48;

/// Bytes written with one call: the capacity of a pipe.
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
