//! The compressed stream that all clients of a lane share.
//!
//! Small events compress well only with a window that is kept from batch to batch. But then a client cannot start at
//! any batch. So the stream is cut into epochs, which refer to nothing before them. A client that joins, or that was
//! sent something the others were not, continues with the next epoch. Every batch ends on a byte boundary.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use flate2::{Compress, Compression, FlushCompress, Status};
use tokio::time::Instant;

use super::{budget::MemoryCost, state::Lane};
use crate::subscription::{Batch, DeflateChunk};

/// Compresses the batches that a lane publishes, while the lane's share of the memory allows it.
pub(super) struct LaneCompressor {
    lane: Arc<Lane>,
    compressor: Option<Compressor>,
    /// The number of the next chunk. It continues when one compressor replaces another.
    number: u64,
}

impl LaneCompressor {
    /// Creates the compressor of `lane`, which does nothing if the lane's clients do not want compression.
    pub(super) fn of(lane: &Arc<Lane>) -> Self {
        Self {
            lane: Arc::clone(lane),
            compressor: None,
            number: 0,
        }
    }

    /// Adds the compressed form to a batch, if there is to be one.
    pub(super) fn pack(&mut self, batch: Batch) -> Batch {
        if !self.lane.is_compressed() {
            return batch;
        }
        self.adjust_to_share();
        let number = self.number;
        let compressor = self.compressor.as_mut();
        let packed = compressor.and_then(|compressor| compressor.pack(&batch));
        let packed = packed.map(|(bytes, starts_epoch)| DeflateChunk {
            bytes: self.lane.budget.tracker.track(bytes),
            number,
            starts_epoch,
        });
        self.number += u64::from(packed.is_some());
        if packed.as_ref().is_none_or(|packed| packed.starts_epoch) {
            // The window reaches back to before the batch that starts the epoch.
            let before = self.lane.head().map(|head| head.snapshot);
            *self.lane.epoch.lock() = before;
        }
        Batch { packed, ..batch }
    }

    /// Creates a compressor once the lane's share has room for one, and releases it once the share has shrunk to half
    /// of that.
    fn adjust_to_share(&mut self) {
        let share = self.lane.share(0);
        if self.compressor.is_none() && share >= MIN_SHARE {
            self.lane.compressor_bytes.store(COMPRESSOR_BYTES, Relaxed);
            let cost = MemoryCost::overhead(COMPRESSOR_BYTES);
            self.lane.budget.account(cost, MemoryCost::default());
            self.compressor = Some(Compressor::new());
        } else if share < MIN_SHARE / 2 {
            self.release();
        }
    }

    /// Drops the compressor, if its window may contain deleted records.
    pub(super) fn release_deleted(&mut self) {
        if self.lane.must_repack.swap(false, Relaxed) {
            self.release();
        }
    }

    /// Drops the compressor with its window. Another one is created when the next batch is compressed.
    fn release(&mut self) {
        *self.lane.epoch.lock() = None;
        if self.compressor.take().is_some() {
            self.lane.compressor_bytes.store(0, Relaxed);
            self.lane.budget.free(MemoryCost::overhead(COMPRESSOR_BYTES));
        }
    }
}

impl Drop for LaneCompressor {
    fn drop(&mut self) {
        self.release();
    }
}

struct Compressor {
    compress: Compress,
    /// The bytes of events in this epoch; `None` if the next batch starts one.
    epoch: Option<usize>,
    packed: Instant,
}

impl Compressor {
    fn new() -> Self {
        Self {
            compress: new_compress(),
            epoch: None,
            packed: Instant::now(),
        }
    }

    /// Returns the compressed form of a batch, and whether it starts an epoch.
    fn pack(&mut self, batch: &Batch) -> Option<(Vec<u8>, bool)> {
        if batch.size() > MAX_PACKED_BATCH {
            self.epoch = None;
            return None;
        }
        let bytes = &*whole(batch);
        let quiet = self.packed.elapsed() >= IDLE_RESET;
        let epoch = self.epoch.filter(|epoch| *epoch < EPOCH_BYTES && !quiet);
        if epoch.is_none() {
            self.compress.reset();
        }
        let packed = compress(&mut self.compress, bytes);
        self.epoch = packed.is_some().then_some(epoch.unwrap_or(0) + bytes.len());
        self.packed = Instant::now();
        Some((packed?, epoch.is_none()))
    }
}

/// Returns a compressor of raw deflate.
pub(super) fn new_compress() -> Compress {
    Compress::new(Compression::new(LEVEL), false)
}

/// Returns the bytes of a batch in one piece.
pub(super) fn whole(batch: &Batch) -> Cow<'_, [u8]> {
    match &batch.large {
        None => Cow::Borrowed(&batch.bytes),
        Some(large) => Cow::Owned([&batch.bytes, large, &b"\n"[..]].concat()),
    }
}

/// Continues the stream with `bytes`, up to a byte boundary. Returns `None` if the library fails; the stream must then
/// start again.
pub(super) fn compress(compress: &mut Compress, mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + SLACK);
    loop {
        let before = compress.total_in();
        let status = compress.compress_vec(bytes, &mut out, FlushCompress::Sync);
        if !matches!(status, Ok(Status::Ok | Status::BufError)) {
            return None;
        }
        bytes = &bytes[(compress.total_in() - before) as usize..];
        // With room left in the buffer, everything has been written.
        if bytes.is_empty() && out.len() < out.capacity() {
            // The chunk stays in a ring, and its cost there is its capacity.
            out.shrink_to_fit();
            return Some(out);
        }
        out.reserve(bytes.len() / 2 + SLACK);
    }
}

/// The level of zlib. For the events of one stream level 1 compresses a quarter worse, and level 6 hardly better in
/// twice the time.
const LEVEL: u32 = 3;

/// The bytes of events in an epoch. A client that joins in the middle gets the rest of the epoch uncompressed. Twice
/// the length would save 3 %.
const EPOCH_BYTES: usize = 64 * 1024;

/// The idle time after which a new epoch starts, because clients may have been sent a heartbeat since.
const IDLE_RESET: Duration = Duration::from_secs(5);

/// The largest batch that is compressed, in bytes. A larger one would block its thread for milliseconds, and is sent as
/// it is.
pub(super) const MAX_PACKED_BATCH: usize = 512 * 1024;

/// The memory of a compressor, in bytes: zlib's window, hash chains and output.
pub(super) const COMPRESSOR_BYTES: usize = 384 * 1024;

/// The share of the lanes' memory, in bytes, from which a lane compresses. Compression takes memory, and 50 us an
/// event. It pays for lanes with many clients, and hostile clients cannot cause it for a thousand lanes of their own.
/// Of the default budget it is a 64th.
const MIN_SHARE: usize = 2 * 1024 * 1024;

/// The spare room in an output buffer beyond half of the input, in bytes.
const SLACK: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bytes::Bytes;
    use flate2::read::DeflateDecoder;

    use super::*;

    fn event(n: usize) -> Vec<u8> {
        let user = n * 7919 % 1000;
        format!(
            "event: message\nid: [{{\"topic\":\"edits\",\"partition\":0,\"offset\":{n}}}]\n\
             data: {{\"wiki\":\"enwiki\",\"title\":\"Page {n}\",\"user\":\"Editor {user}\",\"bot\":false}}\n\n"
        )
        .into_bytes()
    }

    fn pack(compressor: &mut Compressor, bytes: &[u8], number: u64) -> Option<DeflateChunk> {
        let batch = Batch {
            bytes: Bytes::copy_from_slice(bytes),
            large: None,
            events: 1,
            gaps: Vec::new(),
            packed: None,
        };
        let (packed, starts_epoch) = compressor.pack(&batch)?;
        Some(DeflateChunk {
            bytes: packed.into(),
            number,
            starts_epoch,
        })
    }

    /// Returns what a decoder without any history makes of these chunks.
    fn unpacked(batches: &[DeflateChunk]) -> Vec<u8> {
        let mut all: Vec<u8> = batches.iter().flat_map(|packed| packed.bytes.to_vec()).collect();
        // The last, empty block of a stream.
        all.extend([3, 0]);
        let mut out = Vec::new();
        DeflateDecoder::new(&*all)
            .read_to_end(&mut out)
            .expect("a stream");
        out
    }

    #[tokio::test(start_paused = true)]
    async fn every_epoch_can_be_read_without_what_was_before_it() {
        let mut compressor = Compressor::new();
        let events: Vec<_> = (0..2000).map(event).collect();
        let packed: Vec<_> = events
            .iter()
            .zip(0..)
            .map(|(event, number)| pack(&mut compressor, event, number).expect("a batch"))
            .collect();
        let starts: Vec<_> = (0..packed.len()).filter(|at| packed[*at].starts_epoch).collect();
        assert!(starts.len() > 3 && starts[0] == 0, "{starts:?}");
        for start in starts {
            assert_eq!(unpacked(&packed[start..]), events[start..].concat());
        }
        let (before, after) = (
            events.concat().len(),
            packed.iter().map(|it| it.bytes.len()).sum::<usize>(),
        );
        assert!(after * 3 < before, "{before} bytes became {after}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_silence_and_behind_what_is_too_large_an_epoch_begins() {
        let mut compressor = Compressor::new();
        let mut starts_epoch =
            |bytes: &[u8]| pack(&mut compressor, bytes, 0).map(|packed| packed.starts_epoch);
        assert_eq!(starts_epoch(&event(1)), Some(true));
        assert_eq!(starts_epoch(&event(2)), Some(false));
        tokio::time::advance(IDLE_RESET).await;
        assert_eq!(starts_epoch(&event(3)), Some(true));
        assert_eq!(starts_epoch(&vec![b'x'; MAX_PACKED_BATCH + 1]), None);
        assert_eq!(starts_epoch(&event(4)), Some(true));
        assert_eq!(starts_epoch(&event(5)), Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pack_comes_through() {
        let mut compressor = Compressor::new();
        let noise: Vec<_> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(200_000)
            .collect();
        let packed = pack(&mut compressor, &noise, 0).expect("a batch");
        assert_eq!(unpacked(&[packed]), noise);
    }
}
