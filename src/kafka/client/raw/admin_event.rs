//! The results of admin requests, which come out of a queue as events.

use std::{ptr::NonNull, slice, time::Duration};

use rdkafka::{bindings::*, types::RDKafkaErrorCode};

use super::{KafkaQueue, millis};

/// The result of an admin request.
pub(super) struct AdminEvent(NonNull<rd_kafka_event_t>);

impl AdminEvent {
    /// Waits for an event in this queue. Returns `None` if none arrives within `wait`, or if the queue is woken.
    pub(super) fn poll(queue: &KafkaQueue, wait: Duration) -> Option<Self> {
        // SAFETY: the queue is alive.
        let event = unsafe { rd_kafka_queue_poll(queue.as_ptr(), millis(wait)) };
        NonNull::new(event).map(Self)
    }

    pub(super) fn as_ptr(&self) -> *mut rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// # Errors
    /// Returns the error of the request as a whole.
    pub(super) fn check(&self) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: a live event.
        match unsafe { rd_kafka_event_error(self.as_ptr()) }.into() {
            RDKafkaErrorCode::NoError => Ok(()),
            code => Err(code),
        }
    }
}

impl Drop for AdminEvent {
    fn drop(&mut self) {
        // SAFETY: it came from a poll, and is destroyed once.
        unsafe { rd_kafka_event_destroy(self.as_ptr()) };
    }
}

/// # Safety
/// `start` is null, or the start of `count` pointers that live as long as the caller uses the slice.
pub(super) unsafe fn array<'a, T>(start: *mut *const T, count: usize) -> &'a [*const T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { slice::from_raw_parts(start, count) }
}
