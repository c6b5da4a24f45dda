//! The queue of fetched records and errors of one or more partitions, item by item.

use std::{
    ptr::{self, NonNull},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    bindings::*,
    types::{RDKafkaErrorCode, RDKafkaMessage},
};

use super::{
    ClientHandle, last_error,
    message::{QueueItem, item},
    millis,
};
use crate::{event::HeadersBuf, position::Offset};

/// The queue into which the records of one or more partitions are fetched.
pub(in crate::kafka) struct KafkaQueue {
    raw: Arc<RawQueue>,
    batch: Vec<*mut RDKafkaMessage>,
    at: usize,
    /// Whether librdkafka's mark of the start is still to be taken out ([`take_start_mark`](Self::take_start_mark)).
    has_start_mark: bool,
    /// Whether the last item stays in librdkafka's queue for as long as possible ([`hold_back`](Self::hold_back)).
    holds_back: bool,
    /// The most items that are taken at once.
    max_batch: usize,
    /// Whether each item is taken by itself ([`set_one_by_one`](Self::set_one_by_one)).
    one_by_one: bool,
    /// How many more items [`refill`](Self::refill) takes.
    refills: usize,
    /// Bytes taken since [`take_counted`](Self::take_counted) was last called.
    counted: usize,
    /// Bytes taken of the last fetch.
    of_fetch: usize,
    /// Whether librdkafka's queue was empty after the last take, so that the next item is of another fetch.
    is_fetch_over: bool,
    /// The headers of the front item.
    headers: HeadersBuf,
}

/// Wakes the thread that waits on a queue.
#[derive(Clone)]
pub(in crate::kafka) struct QueueWaker(Arc<RawQueue>);

impl KafkaQueue {
    pub(super) fn new(handle: &Arc<ClientHandle>) -> Result<Self, RDKafkaErrorCode> {
        // SAFETY: the client is alive.
        let queue = unsafe { rd_kafka_queue_new(handle.client()) };
        Ok(Self {
            raw: Arc::new(RawQueue {
                queue: QueueHandle::new(queue).ok_or_else(last_error)?,
                _handle: Arc::clone(handle),
            }),
            batch: Vec::with_capacity(BATCH),
            at: 0,
            has_start_mark: false,
            holds_back: false,
            max_batch: BATCH,
            one_by_one: false,
            refills: 0,
            counted: 0,
            of_fetch: 0,
            is_fetch_over: false,
            headers: HeadersBuf::default(),
        })
    }

    /// Returns a waker that ends the waits on this queue.
    pub(in crate::kafka) fn waker(&self) -> QueueWaker {
        QueueWaker(Arc::clone(&self.raw))
    }

    /// Waits for an item, until `until` at the latest, or until the queue is woken. Returns whether there is an item.
    pub(in crate::kafka) fn fill(&mut self, until: Instant) -> bool {
        if self.at == self.batch.len() {
            self.batch.clear();
            self.at = 0;
            // They may be of a record of which they were removed, and a wait may be long.
            self.headers.wipe();
            // A batch call waits until all that it asks for is there. So wait for one item, then take those that are ready.
            let came = self.take(until.saturating_duration_since(Instant::now()), 1);
            self.has_start_mark = false;
            if self.one_by_one {
                self.refills = self.queued().min(self.max_batch - 1);
            } else if came == 1 && !self.is_large() {
                self.take_ready(self.max_batch - 1);
            }
        }
        self.at < self.batch.len()
    }

    /// Sets whether each item is taken by itself. librdkafka does not count what was taken, and fetches as much again, which matters with
    /// large records.
    pub(in crate::kafka) fn set_one_by_one(&mut self, one_by_one: bool) {
        self.one_by_one = one_by_one;
    }

    /// Takes the next item if items are taken one by one, and was ready when [`fill`](Self::fill) returned. Returns whether it did.
    pub(in crate::kafka) fn refill(&mut self) -> bool {
        if self.has_item() || self.refills == 0 {
            return false;
        }
        self.refills -= 1;
        self.batch.clear();
        self.at = 0;
        self.headers.wipe();
        self.take(Duration::ZERO, 1) == 1
    }

    /// Declares that one partition is about to be started with this queue.
    pub(in crate::kafka) fn expect_start_mark(&mut self) {
        self.has_start_mark = true;
    }

    /// Takes out the mark that librdkafka puts into the queue of a partition soon after it is started (`RD_KAFKA_OP_BARRIER`). The mark
    /// counts as a message, and a client with `queued.min.messages=1` would fetch nothing until somebody waits for an item. Returns
    /// `false` while it is still to come.
    pub(in crate::kafka) fn take_start_mark(&mut self) -> bool {
        if self.has_start_mark && self.queued() > 0 {
            self.take(Duration::ZERO, 1);
            self.has_start_mark = false;
        }
        !self.has_start_mark
    }

    /// Takes what is ready behind the items that are buffered already, unless these are many. librdkafka fetches on as soon as its
    /// queue is empty, and not only once the buffered items are used up.
    pub(in crate::kafka) fn top_up(&mut self) {
        if !self.has_item() || self.buffered() > BATCH || self.is_large() {
            return;
        }
        self.batch.drain(..self.at);
        self.at = 0;
        self.take_ready(self.max_batch);
    }

    /// Takes all that is ready but what is held back, so that the partition can be stopped without losing it. Returns the offset of
    /// the last item.
    pub(in crate::kafka) fn take_all(&mut self) -> Option<Offset> {
        self.batch.drain(..self.at);
        self.at = 0;
        self.take_ready(self.queued());
        // SAFETY: as in `front`.
        self.batch.last().map(|message| unsafe { (**message).offset })
    }

    /// Returns the bytes that were taken of the last fetch.
    pub(in crate::kafka) fn of_fetch(&self) -> usize {
        self.of_fetch
    }

    /// Returns how many items are buffered.
    pub(in crate::kafka) fn buffered(&self) -> usize {
        self.batch.len() - self.at
    }

    /// Takes whole fetches at once from now on, however many records they have.
    pub(in crate::kafka) fn take_whole_fetches(&mut self) {
        self.max_batch = WHOLE_FETCH;
    }

    /// Sets whether the last item of each fetch is left in librdkafka's queue until nothing else is there. A client with
    /// `queued.min.messages=1` fetches a partition only while its queue is empty. So it fetches no more than was asked for.
    pub(in crate::kafka) fn hold_back(&mut self, holds_back: bool) {
        self.holds_back = holds_back;
    }

    /// Returns whether all items of a fetch of at least `bytes` were handed out but the one that is held back.
    pub(in crate::kafka) fn is_at_end_of_fetch(&self, bytes: usize) -> bool {
        self.holds_back && !self.has_item() && self.of_fetch >= bytes && self.queued() == 1
    }

    /// Returns the bytes of the records taken out of librdkafka's queue since the last call.
    pub(in crate::kafka) fn take_counted(&mut self) -> usize {
        std::mem::take(&mut self.counted)
    }

    /// Returns whether an item is buffered, so that taking it needs no wait.
    pub(in crate::kafka) fn has_item(&self) -> bool {
        self.at < self.batch.len()
    }

    /// Returns how many items are ready without another fetch.
    pub(in crate::kafka) fn ready_items(&self) -> usize {
        self.buffered() + self.queued()
    }

    /// Returns how many items librdkafka's queue holds.
    fn queued(&self) -> usize {
        self.handle().len()
    }

    /// Returns the next of the items that [`fill`](Self::fill) has buffered.
    pub(in crate::kafka) fn front(&mut self) -> Option<QueueItem<'_>> {
        let message = *self.batch.get(self.at)?;
        // SAFETY: messages in the batch from `at` on are alive until `advance`, which needs `&mut self`.
        Some(unsafe { item(&*message, &mut self.headers) })
    }

    /// Drops the front item.
    pub(in crate::kafka) fn advance(&mut self) {
        if let Some(message) = self.batch.get(self.at) {
            // SAFETY: it came from this queue, is destroyed once, and never accessed again.
            unsafe { rd_kafka_message_destroy(*message) };
            self.at += 1;
        }
    }

    /// Returns whether the first item is a large record. An item that is taken out of librdkafka's queue does not count there
    /// any more, and librdkafka would fetch as much again.
    pub(in crate::kafka) fn is_large(&self) -> bool {
        // SAFETY: as in `front`.
        let length = |message: &*mut RDKafkaMessage| unsafe { (**message).len };
        self.batch.get(self.at).map_or(0, length) > LARGE
    }

    pub(super) fn as_ptr(&self) -> *mut rd_kafka_queue_t {
        self.handle().as_ptr()
    }

    pub(super) fn handle(&self) -> &QueueHandle {
        &self.raw.queue
    }

    /// Takes up to `max` of the messages that are ready, without the last one if it is held back.
    fn take_ready(&mut self, max: usize) {
        let max = match self.holds_back {
            true => max.min(self.queued().saturating_sub(1)),
            false => max,
        };
        if max > 0 {
            self.take(Duration::ZERO, max);
        }
    }

    /// Takes up to `max` messages into the batch, waiting for at most `wait`. Returns how many came.
    fn take(&mut self, wait: Duration, max: usize) -> usize {
        let old = self.batch.len();
        self.batch.resize(old + max, ptr::null_mut());
        let (wait, start) = (millis(wait), self.batch[old..].as_mut_ptr());
        // SAFETY: the queue is alive, and there is space for `max` pointers behind `old`.
        let taken = unsafe { rd_kafka_consume_batch_queue(self.as_ptr(), wait, start, max) };
        let taken = usize::try_from(taken).unwrap_or(0);
        self.batch.truncate(old + taken);
        // SAFETY: as in `front`.
        let size = |message: &*mut RDKafkaMessage| unsafe { (**message).len + (**message).key_len };
        let bytes: usize = self.batch[old..]
            .iter()
            .map(|it| size(it) + RECORD_OVERHEAD)
            .sum();
        self.counted += bytes;
        if taken > 0 {
            self.of_fetch = bytes + if self.is_fetch_over { 0 } else { self.of_fetch };
            self.is_fetch_over = self.queued() == 0;
        }
        taken
    }
}

// SAFETY: messages and queues of librdkafka are bound to no thread, and `KafkaQueue` shares nothing without a lock.
unsafe impl Send for KafkaQueue {}

impl Drop for KafkaQueue {
    fn drop(&mut self) {
        while self.at < self.batch.len() {
            self.advance();
        }
    }
}

impl QueueWaker {
    /// Ends the wait under way, or else the next one.
    pub(in crate::kafka) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd_kafka_queue_yield(self.0.queue.as_ptr()) };
    }
}

/// A queue of librdkafka, which keeps its client alive.
struct RawQueue {
    queue: QueueHandle,
    _handle: Arc<ClientHandle>,
}

/// A handle on a queue of librdkafka. Must be dropped before its client.
pub(super) struct QueueHandle(NonNull<rd_kafka_queue_t>);

impl QueueHandle {
    pub(super) fn new(queue: *mut rd_kafka_queue_t) -> Option<Self> {
        NonNull::new(queue).map(Self)
    }

    pub(super) fn as_ptr(&self) -> *mut rd_kafka_queue_t {
        self.0.as_ptr()
    }

    /// Forwards what this queue holds, and what still comes into it, to another one.
    pub(super) fn forward(&self, to: &Self) {
        // SAFETY: both queues are alive. librdkafka itself keeps the one to which another is forwarded.
        unsafe { rd_kafka_queue_forward(self.as_ptr(), to.as_ptr()) };
    }

    /// Returns how many items it holds, or the queue to which it is forwarded.
    pub(super) fn len(&self) -> usize {
        // SAFETY: the queue is alive.
        unsafe { rd_kafka_queue_length(self.as_ptr()) }
    }
}

// SAFETY: librdkafka's queues have locks of their own.
unsafe impl Send for QueueHandle {}
// SAFETY: as above.
unsafe impl Sync for QueueHandle {}

impl Drop for QueueHandle {
    fn drop(&mut self) {
        // SAFETY: each handle was made once, and the client outlives it.
        unsafe { rd_kafka_queue_destroy(self.as_ptr()) };
    }
}

/// Records longer than this, in bytes, are taken one by one.
const LARGE: usize = 256 * 1024;

/// Items of a whole fetch: more than a fetch of 1 MiB has of records of 100 bytes. The rest of smaller ones is taken later.
const WHOLE_FETCH: usize = 16 * BATCH;

/// Bytes of a record in a fetch response beside its key and value.
const RECORD_OVERHEAD: usize = 12;

/// Items taken at once: enough to make the queue's lock cheap, few enough that a batch is soon flushed.
const BATCH: usize = 1024;
