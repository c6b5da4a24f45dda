//! The gzip member of one client (RFC 1952): the chunks that its lane has compressed for all, and everything else in stored
//! blocks.
//!
//! Not here: the compression itself, which is done once a lane (`subscription`).
//!
//! A chunk of a lane refers by distance to what the lane has compressed before. So a client that was sent anything else in
//! between, even a heartbeat, gets its events in stored blocks until the lane begins an epoch.

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Crc;

use super::segments::Segments;
use crate::subscription::{Batch, DeflateChunk};

/// A gzip member, from its header to its end.
#[derive(Default)]
pub(super) struct GzipStream {
    is_started: bool,
    is_finished: bool,
    /// The checksum and length of everything written, before compression.
    crc: Crc,
    /// The number of the lane's chunk that continues this member. `None` until the lane begins an epoch.
    next: Option<u64>,
}

impl GzipStream {
    /// Returns the bytes to be written for a batch.
    pub(super) fn encode(&mut self, batch: &Batch) -> Segments {
        batch.pieces().for_each(|piece| self.crc.update(&piece));
        let continues_epoch =
            |packed: &&DeflateChunk| packed.starts_epoch || self.next == Some(packed.number);
        let packed = batch.packed.as_ref().filter(continues_epoch);
        self.next = packed.map(|packed| packed.number + 1);
        let mut out = Segments::default();
        if !std::mem::replace(&mut self.is_started, true) {
            out.push(Bytes::from_static(HEADER));
        }
        match packed {
            Some(packed) => out.push(packed.bytes.clone()),
            None => batch.pieces().for_each(|piece| push_stored(&piece, &mut out)),
        }
        out
    }

    /// Returns the last block and the trailer, without which a decoder reports a truncated stream. Returns `None` for a member
    /// that was not begun, or if they were returned before.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        if !self.is_started || std::mem::replace(&mut self.is_finished, true) {
            return None;
        }
        let mut end = BytesMut::with_capacity(LAST_BLOCK.len() + 8);
        end.put_slice(LAST_BLOCK);
        end.put_u32_le(self.crc.sum());
        end.put_u32_le(self.crc.amount());
        Some(end.freeze())
    }
}

/// Appends stored blocks of deflate (RFC 1951, section 3.2.4), which share `bytes`: otherwise a client that does not read would
/// hold a copy of its own.
fn push_stored(bytes: &Bytes, out: &mut Segments) {
    for start in (0..bytes.len()).step_by(STORED_MAX) {
        let block = bytes.slice(start..bytes.len().min(start + STORED_MAX));
        let length = block.len() as u16;
        let mut head =
            BytesMut::with_capacity(STORED_HEAD + if block.len() <= MAX_COPIED { block.len() } else { 0 });
        head.put_u8(0);
        head.put_u16_le(length);
        head.put_u16_le(!length);
        if block.len() <= MAX_COPIED {
            head.put_slice(&block);
            out.push(head.freeze());
        } else {
            out.push(head.freeze());
            out.push(block);
        }
    }
}

/// The length up to which a copy costs less than one more piece, in bytes.
const MAX_COPIED: usize = 2048;

/// The header of a member: deflate, no name, no time, system unknown.
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty block that is marked as the last.
const LAST_BLOCK: &[u8] = &[3, 0];

/// The most bytes in a stored block, whose length has 16 bits.
const STORED_MAX: usize = 65_535;

/// The bytes before the data of a stored block: its type, its length, and the complement of its length.
const STORED_HEAD: usize = 5;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::{Compress, Compression, FlushCompress, read::GzDecoder};

    use super::*;

    fn plain(bytes: &[u8]) -> Batch {
        Batch {
            bytes: Bytes::copy_from_slice(bytes),
            large: None,
            events: 1,
            gaps: Vec::new(),
            packed: None,
        }
    }

    /// Returns the compressed stream of a lane: batches of one event each, every fourth of which begins an epoch.
    fn lane(events: u64) -> Vec<Batch> {
        let mut compress = Compress::new(Compression::fast(), false);
        let pack = |number| {
            let starts_epoch = number % 4 == 0;
            if starts_epoch {
                compress.reset();
            }
            let bytes = format!("data: {{\"n\":{number},\"text\":\"the same in each\"}}\n\n");
            let mut packed = Vec::with_capacity(1024);
            compress
                .compress_vec(bytes.as_bytes(), &mut packed, FlushCompress::Sync)
                .unwrap();
            let packed = DeflateChunk {
                bytes: packed.into(),
                number,
                starts_epoch,
            };
            Batch {
                packed: Some(packed),
                ..plain(bytes.as_bytes())
            }
        };
        (0..events).map(pack).collect()
    }

    /// Returns what a client decodes of these batches, what it should decode, and the length on the wire in bytes.
    fn exchange(batches: impl IntoIterator<Item = Batch>) -> (Vec<u8>, Vec<u8>, usize) {
        let mut encoder = GzipStream::default();
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for batch in batches {
            batch.pieces().for_each(|piece| sent.extend_from_slice(&piece));
            wire.extend_from_slice(&encoder.encode(&batch).whole(Bytes::from));
        }
        wire.extend_from_slice(&encoder.finish().expect("an end"));
        assert_eq!(encoder.finish(), None);
        let mut read = Vec::new();
        // The decoder checks the checksum too.
        GzDecoder::new(&*wire).read_to_end(&mut read).unwrap();
        (read, sent, wire.len())
    }

    #[test]
    fn who_comes_in_the_middle_reads_from_there() {
        let lane = lane(40);
        for start in 0..8 {
            let batches = [plain(b":ok\n\n")].into_iter().chain(lane[start..].to_vec());
            let (read, sent, length) = exchange(batches);
            assert_eq!(read, sent, "from {start}");
            assert!(length < sent.len(), "{length} of {}", sent.len());
        }
    }

    #[test]
    fn a_heartbeat_a_gap_and_a_missed_batch_anywhere_do_no_harm() {
        let lane = lane(12);
        for at in 0..12 {
            let mut batches = lane.clone();
            batches.insert(at, plain(b":\n"));
            let (read, sent, _) = exchange(batches);
            assert_eq!(read, sent, "a heartbeat before {at}");
            let mut batches = lane.clone();
            batches.remove(at);
            let (read, sent, _) = exchange(batches);
            assert_eq!(read, sent, "without {at}");
        }
    }

    #[test]
    fn what_is_longer_than_a_block_takes_several() {
        let long = vec![b'x'; 3 * STORED_MAX + 1];
        let (read, sent, _) = exchange([plain(&long), plain(b"")]);
        assert_eq!(read, sent);
    }

    #[test]
    fn what_is_stored_is_shared_with_all_who_get_it_and_a_large_event_too() {
        let large = Batch {
            large: Some(vec![b'y'; 600_000].into()),
            ..plain(b"id: 7\n")
        };
        let mut encoder = GzipStream::default();
        let written = encoder.encode(&large);
        let within = |piece: &Bytes| {
            let all = large.large.as_ref().unwrap().as_ptr_range();
            all.contains(&piece.as_ptr())
        };
        let own: usize = written
            .iter()
            .filter(|piece| !within(piece))
            .map(Bytes::len)
            .sum();
        assert!(own < 200 && written.len() > 600_000, "{own} bytes of its own");
        let (read, ..) = exchange([large.clone(), plain(b":\n")]);
        let expected = [b"id: 7\n", large.large.as_deref().unwrap(), b"\n:\n"].concat();
        assert!(read == expected);
    }

    #[test]
    fn what_was_not_begun_has_no_end() {
        assert_eq!(GzipStream::default().finish(), None);
    }
}
