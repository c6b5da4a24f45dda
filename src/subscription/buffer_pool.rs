//! Buffers of catch-up batches, which are used again instead of being freed.
//!
//! A client that catches up takes hundreds of batches of 64 KiB a second. Each lives for moments, among small blocks that
//! live for minutes. Freed and allocated anew, they leave holes between those blocks: after half an hour of a hundred
//! such clients, 40 MB of a process of 140 MB were free memory in such holes.

use parking_lot::Mutex;

/// Free buffers of [`BUFFER_BYTES`] each. The last one that was returned is used first, because its memory is in the
/// processor's cache.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// Returns an empty buffer with a capacity of [`BUFFER_BYTES`].
    pub(super) fn take(&self) -> Vec<u8> {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes a buffer back. It is freed if its capacity is another one, because its content did not fit, or if there are
    /// [`MAX_FREE`] free ones already.
    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() != BUFFER_BYTES {
            return;
        }
        // What was deleted from Kafka must not stay here (docs/erasure.md). Behind the text it wrote nothing.
        buffer.fill(0);
        buffer.clear();
        let mut free = self.free.lock();
        if free.len() < MAX_FREE {
            free.push(buffer);
        }
    }
}

/// The capacity of a buffer in bytes.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// The fewest bytes of text for which a buffer is taken or kept. Less text gets memory of its own size.
pub(super) const MIN_TEXT_BYTES: usize = BUFFER_BYTES / 4 * 3;

/// The most free buffers: 4 MiB.
const MAX_FREE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_returned_is_used_again_and_is_empty() {
        let pool = BufferPool::default();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"id: x");
        let address = buffer.as_ptr();
        pool.put(buffer);
        let buffer = pool.take();
        assert_eq!((buffer.as_ptr(), buffer.len()), (address, 0));
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept_and_neither_are_more_than_the_most() {
        let pool = BufferPool::default();
        let mut grown = pool.take();
        grown.resize(BUFFER_BYTES + 1, 0);
        pool.put(grown);
        pool.put(Vec::new());
        assert!(pool.free.lock().is_empty());
        for buffer in (0..=MAX_FREE).map(|_| Vec::with_capacity(BUFFER_BYTES)) {
            pool.put(buffer);
        }
        assert_eq!(pool.free.lock().len(), MAX_FREE);
    }
}
