//! One compressed stream for all in a lane.
//!
//! A window that is kept from batch to batch is what makes small events small, and it is why nobody can begin just anywhere. So
//! the stream is cut into epochs, each of which refers to nothing before it; who comes, or was sent something that the others were
//! not, goes on with the next one. Every batch ends on the edge of a byte.

use std::{borrow::Cow, sync::atomic::Ordering::Relaxed, time::Duration};

use flate2::{Compress, Compression, FlushCompress, Status};
use tokio::time::Instant;

use super::{budget::MemoryCost, state::Lane};
use crate::subscription::{Batch, ContentCoding, DeflateChunk};

/// Packs what a lane publishes, while its part of the memory allows it.
pub(super) struct LaneCompressor<'a> {
    lane: &'a Lane,
    compressor: Option<Compressor>,
    /// Of the next packed batch. It goes on when one compressor follows another.
    number: u64,
}

impl<'a> LaneCompressor<'a> {
    /// For `lane`, whose clients may want it or not.
    pub(super) fn of(lane: &'a Lane) -> Self {
        Self {
            lane,
            compressor: None,
            number: 0,
        }
    }

    /// Adds the packed form, if there is to be one.
    pub(super) fn pack(&mut self, batch: Batch) -> Batch {
        if self.lane.key.view.coding == ContentCoding::Identity {
            return batch;
        }
        self.adjust_to_share();
        let number = self.number;
        let packed = self
            .compressor
            .as_mut()
            .and_then(|compressor| compressor.pack(&batch));
        let packed = packed.map(|(bytes, starts_epoch)| DeflateChunk {
            bytes: self.lane.budget.tracker().track(bytes),
            number,
            starts_epoch,
        });
        self.number += u64::from(packed.is_some());
        if packed.as_ref().is_none_or(|packed| packed.starts_epoch) {
            // The window goes back to before the batch that begins it.
            let before = self.lane.head().map(|head| head.snapshot);
            *self.lane.epoch.lock() = before;
        }
        Batch { packed, ..batch }
    }

    /// Takes a compressor when the lane's share has room for one, and gives it back when it has shrunk far below that.
    fn adjust_to_share(&mut self) {
        let share = self.lane.share(0);
        if self.compressor.is_none() && share >= MIN_SHARE {
            self.lane.compressor_bytes.store(COMPRESSOR_BYTES, Relaxed);
            self.lane
                .budget
                .account(MemoryCost::overhead(COMPRESSOR_BYTES), MemoryCost::default());
            self.compressor = Some(Compressor::new());
        } else if share < MIN_SHARE / 2 {
            self.release();
        }
    }

    /// Drops the compressor, with what it remembers. It takes another when there is something to pack.
    pub(super) fn release(&mut self) {
        *self.lane.epoch.lock() = None;
        if self.compressor.take().is_some() {
            self.lane.compressor_bytes.store(0, Relaxed);
            self.lane.budget.free(MemoryCost::overhead(COMPRESSOR_BYTES));
        }
    }
}

impl Drop for LaneCompressor<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

struct Compressor {
    compress: Compress,
    /// Bytes of events in this epoch; `None` when the next batch begins one.
    epoch: Option<usize>,
    packed: Instant,
}

impl Compressor {
    fn new() -> Self {
        Self {
            compress: Compress::new(Compression::new(LEVEL), false),
            epoch: None,
            packed: Instant::now(),
        }
    }

    /// The packed form, and whether it begins an epoch.
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

/// The bytes of a batch in one piece.
fn whole(batch: &Batch) -> Cow<'_, [u8]> {
    match &batch.large {
        None => Cow::Borrowed(&batch.bytes),
        Some(large) => Cow::Owned([&batch.bytes, large, &b"\n"[..]].concat()),
    }
}

/// Goes on with the stream, up to the edge of a byte; `None` when the library refuses, after which the stream must begin anew.
fn compress(compress: &mut Compress, mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + SLACK);
    loop {
        let before = compress.total_in();
        let status = compress.compress_vec(bytes, &mut out, FlushCompress::Sync);
        if !matches!(status, Ok(Status::Ok | Status::BufError)) {
            return None;
        }
        bytes = &bytes[(compress.total_in() - before) as usize..];
        // With room to spare it has written all there was.
        if bytes.is_empty() && out.len() < out.capacity() {
            // It stays in a ring, where what it holds is what it costs.
            out.shrink_to_fit();
            return Some(out);
        }
        out.reserve(bytes.len() / 2 + SLACK);
    }
}

/// The level of zlib: for events of one stream 1 packs them a quarter worse, and 6 hardly better at twice the time.
const LEVEL: u32 = 3;

/// Bytes of events in an epoch. Who comes in the middle gets the rest of it unpacked; twice as much would save 3 %.
const EPOCH_BYTES: usize = 64 * 1024;

/// After such a silence a new epoch begins: clients may have been sent a heartbeat since.
const IDLE_RESET: Duration = Duration::from_secs(5);

/// A batch beyond this would hold up the thread it is packed on for milliseconds: it goes out as it is.
const MAX_PACKED_BATCH: usize = 512 * 1024;

/// What a compressor costs in memory: zlib's window, hash chains and output, in bytes.
const COMPRESSOR_BYTES: usize = 384 * 1024;

/// The share of the lanes' memory from which on a lane packs. Packing takes memory, and 50 us an event: it is worth it where many
/// listen, and strangers cannot have it for a thousand lanes of their own. Of the default budget it is a 64th.
const MIN_SHARE: usize = 2 * 1024 * 1024;

/// Room in an output beyond what half of the input takes.
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

    /// What a decoder makes of these, behind nothing.
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
