//! Compressing the batches of bounded reads, each by itself.
//!
//! A lane compresses once for all its clients, and keeps a window for that. A bounded read has its batches for itself, and there may
//! be thousands of reads. So no read keeps a window: a batch, which is as long as an epoch of a lane while history is read, is
//! compressed without what was before it, by one of a few packers that all reads share. A read waits for its turn, as it does
//! for a socket that is slow.
//!
//! Not here: the gzip member (`http::delivery`).

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    thread,
};

use flate2::Compress;
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    budget::{Budget, MemoryCost},
    compressor::{COMPRESSOR_BYTES, MAX_PACKED_BATCH, compress, new_compress, whole},
};
use crate::subscription::{Batch, DeflateChunk};

/// A batch that is being compressed.
pub(super) type Packing = dyn Future<Output = Batch> + Send;

/// The packers of all bounded reads.
pub(super) struct Packers(Arc<PackersInner>);

struct PackersInner {
    budget: Arc<Budget>,
    /// A permit for each packer.
    permits: Arc<Semaphore>,
    /// Those at rest, with their memory.
    idle: Mutex<Vec<Compress>>,
    /// How many bytes came in, for tests.
    packed: AtomicU64,
}

impl Packers {
    /// Creates the packers, whose memory counts towards `budget` once they are used.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let most = budget.limit / BUDGET_DIVISOR / COMPRESSOR_BYTES;
        Self(Arc::new(PackersInner {
            budget: Arc::clone(budget),
            permits: Arc::new(Semaphore::new(processors.div_ceil(2).min(most))),
            idle: Mutex::default(),
            packed: AtomicU64::new(0),
        }))
    }

    /// Returns the batch with its compressed form, once it was this batch's turn. A batch that is large, or that comes while there is
    /// no memory for a packer, stays as it is.
    pub(super) fn pack(&self, batch: Batch) -> impl Future<Output = Batch> + Send + 'static {
        let packers = Arc::clone(&self.0);
        async move {
            let has_packer = packers.budget.limit / BUDGET_DIVISOR >= COMPRESSOR_BYTES;
            if !has_packer || batch.size() > MAX_PACKED_BATCH {
                return batch;
            }
            let Ok(permit) = Arc::clone(&packers.permits).acquire_owned().await else {
                return batch;
            };
            if batch.size() <= MAX_INLINE {
                return packers.packed(batch);
            }
            let plain = batch.clone();
            let own = Arc::clone(&packers);
            // Not on a thread of the runtime, where it would delay all streams by a millisecond.
            let pack = move || {
                let packed = own.packed(batch);
                // A read that is gone meanwhile frees no packer that still works.
                drop(permit);
                packed
            };
            spawn_blocking(pack).await.unwrap_or(plain)
        }
    }
}

impl PackersInner {
    fn packed(&self, batch: Batch) -> Batch {
        let mut packer = self.idle.lock().pop().unwrap_or_else(|| {
            self.budget
                .account(MemoryCost::overhead(COMPRESSOR_BYTES), MemoryCost::default());
            new_compress()
        });
        packer.reset();
        let bytes = compress(&mut packer, &whole(&batch));
        self.idle.lock().push(packer);
        self.packed.fetch_add(batch.size() as u64, Relaxed);
        let packed = bytes.map(|bytes| DeflateChunk {
            bytes: self.budget.tracker.track(bytes),
            // It refers to no chunk, and none refers to it.
            number: 0,
            starts_epoch: true,
        });
        Batch { packed, ..batch }
    }
}

impl Drop for PackersInner {
    fn drop(&mut self) {
        let packers = self.idle.get_mut().len();
        self.budget.free(MemoryCost::overhead(packers * COMPRESSOR_BYTES));
    }
}

/// Packers take at most the budget divided by this.
const BUDGET_DIVISOR: usize = 16;

/// The largest batch that is compressed where it is, in bytes: one or a few events, as they come live. That takes 50 us, which
/// another thread would not save.
const MAX_INLINE: usize = 4 * 1024;
