//! Batches on their way into a socket, framed as chunks of HTTP/1.1.

use std::{io::IoSlice, iter};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    http::delivery::segments::Segments,
    subscription::{BatchLimit, UnwrittenBytes},
};

/// The queue of one client's batches that are not written yet, each of them one chunk (RFC 9112, section 7.1). Their bytes are
/// shared with all clients that get the same.
#[derive(Debug, Default)]
pub(super) struct ChunkQueue {
    /// Mostly there is one, which needs no allocation: thousands of clients wait at a time.
    queue: SmallVec<[Chunk; 1]>,
    /// How much of the first chunk is written, in bytes.
    written: usize,
    /// The length of the data of all chunks, in bytes.
    data_len: usize,
}

#[derive(Debug)]
struct Chunk {
    size: SizeLine,
    data: Segments,
}

impl ChunkQueue {
    /// Adds a batch.
    pub(in crate::http) fn push(&mut self, data: Segments) {
        // An empty chunk would end the body.
        if !data.is_empty() {
            self.add(data);
        }
    }

    /// Adds the end of the body.
    pub(in crate::http) fn end(&mut self) {
        self.add(Segments::default());
    }

    /// Whether everything is written.
    pub(in crate::http) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the length of the data of all chunks, in bytes.
    pub(super) fn data_len(&self) -> usize {
        self.data_len
    }

    /// Returns how much of the data the client shares with others, and how much is its own, judged by the largest chunk.
    pub(in crate::http) fn unwritten(&self) -> UnwrittenBytes {
        let largest = self.queue.iter().max_by_key(|chunk| chunk.data.len());
        let unwritten = largest.map(|chunk| chunk.data.unwritten()).unwrap_or_default();
        UnwrittenBytes {
            own: self.data_len - unwritten.shared,
            ..unwritten
        }
    }

    /// Whether another batch may share the next write.
    pub(super) fn has_capacity(&self) -> bool {
        self.queue.len() < WRITE_LIMIT.batches && self.data_len < WRITE_LIMIT.bytes
    }

    /// Calls `write` with everything that is not written yet: with one slice, of a copy, if that is little.
    pub(super) fn write_with<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut skip = self.written;
        let slices: SmallVec<[IoSlice<'_>; INLINE_CHUNKS * SLICES_PER_CHUNK]> = self
            .queue
            .iter()
            .flat_map(Chunk::parts)
            .filter_map(|part| {
                let rest = &part[skip.min(part.len())..];
                skip -= part.len() - rest.len();
                (!rest.is_empty()).then(|| IoSlice::new(rest))
            })
            .collect();
        if self.data_len > COPY_LIMIT {
            return write(&slices);
        }
        let mut whole = SmallVec::<[u8; COPY_LIMIT]>::new();
        slices.iter().for_each(|slice| whole.extend_from_slice(slice));
        write(&[IoSlice::new(&whole)])
    }

    /// Copies what is not written yet, as much of it as there is room for. Returns how many bytes these are.
    pub(super) fn copy_to(&self, room: &mut [u8]) -> usize {
        let (mut skip, mut length) = (self.written, 0);
        for part in self.queue.iter().flat_map(Chunk::parts) {
            let rest = &part[skip.min(part.len())..];
            skip -= part.len() - rest.len();
            let count = rest.len().min(room.len() - length);
            room[length..length + count].copy_from_slice(&rest[..count]);
            length += count;
            if length == room.len() {
                break;
            }
        }
        length
    }

    /// Records that `bytes` more bytes are written.
    pub(in crate::http) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        let mut done = 0;
        while let Some(first) = self.queue.get(done)
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.data_len -= first.data.len();
            done += 1;
        }
        self.queue.drain(..done);
        if self.queue.is_empty() {
            // A client that was behind once does not keep the memory for that.
            self.queue.shrink_to_fit();
        }
    }

    fn add(&mut self, data: Segments) {
        self.data_len += data.len();
        self.queue.push(Chunk::of(data));
    }
}

/// Batches framed as chunks in one buffer, for all clients that get them. A client that has had the first of them gets the rest.
#[derive(Debug, Default)]
pub(super) struct FramedBatches {
    bytes: Vec<u8>,
    /// The index in `bytes` at which each chunk begins.
    starts: Vec<usize>,
}

impl FramedBatches {
    /// Adds a batch.
    pub(in crate::http) fn push(&mut self, data: &Bytes) {
        self.starts.push(self.bytes.len());
        if !data.is_empty() {
            self.bytes.extend_from_slice(SizeLine::of(data.len()).as_bytes());
            self.bytes.extend_from_slice(data);
            self.bytes.extend_from_slice(CRLF);
        }
    }

    /// Drops the first `count` batches.
    pub(in crate::http) fn drop_first(&mut self, count: usize) {
        let bytes = self.bytes.len() - self.bytes_after(count).len();
        self.bytes.drain(..bytes);
        self.starts.drain(..count);
        self.starts.iter_mut().for_each(|start| *start -= bytes);
    }

    /// Returns the length of all chunks, in bytes.
    pub(in crate::http) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes of all but the first `already_sent` batches.
    pub(super) fn bytes_after(&self, already_sent: usize) -> &[u8] {
        let start = self.starts.get(already_sent).copied().unwrap_or(self.bytes.len());
        &self.bytes[start..]
    }
}

impl Chunk {
    fn of(data: Segments) -> Self {
        Self {
            size: SizeLine::of(data.len()),
            data,
        }
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let data = self.data.iter().map(|piece| &**piece);
        let line = iter::once(self.size.as_bytes());
        line.chain(data).chain(iter::once(CRLF))
    }

    fn len(&self) -> usize {
        self.size.as_bytes().len() + self.data.len() + CRLF.len()
    }
}

/// The size line of a chunk: the size in hexadecimal digits, as hyper writes it, and the line end.
#[derive(Debug)]
struct SizeLine {
    text: [u8; SizeLine::MAX_LEN],
    start: u8,
}

impl SizeLine {
    const DIGITS: usize = size_of::<usize>() * 2;
    const MAX_LEN: usize = Self::DIGITS + CRLF.len();

    fn of(mut size: usize) -> Self {
        let mut text = [0; Self::MAX_LEN];
        text[Self::DIGITS..].copy_from_slice(CRLF);
        let mut start = Self::DIGITS;
        loop {
            start -= 1;
            text[start] = b"0123456789ABCDEF"[size % 16];
            size /= 16;
            if size == 0 {
                break;
            }
        }
        Self {
            text,
            start: start as u8,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[usize::from(self.start)..]
    }
}

const CRLF: &[u8] = b"\r\n";

/// The slices of a chunk whose data is in one piece: size line, data, and the chunk's end.
const SLICES_PER_CHUNK: usize = 3;

/// How many batches, and how many bytes of them, share a write.
///
/// Live batches are small. When more events come than can be written one by one, many wait for a client by its turn: with 16 in a
/// write, 10,000 clients fall behind at 200 records/s. The limit in bytes lets a client that reads slowly hold one batch of a
/// replay, not several.
pub(super) const WRITE_LIMIT: BatchLimit = BatchLimit {
    batches: 128,
    bytes: 32 * 1024,
};

/// How many chunks can be written without allocating the list of their slices.
const INLINE_CHUNKS: usize = 4;

/// The length of data, in bytes, up to which it is cheaper to copy it into one piece, from the processor's cache, than to let
/// the kernel walk the slices: a live event, or a few.
const COPY_LIMIT: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn bytes(chunks: &ChunkQueue) -> Vec<u8> {
        chunks.write_with(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }

    #[test]
    fn a_batch_is_a_chunk_and_the_last_is_empty() {
        let mut chunks = ChunkQueue::default();
        chunks.push(Bytes::from_static(b":ok\n\n").into());
        chunks.push(Bytes::from_static(b"").into());
        chunks.push(
            [b"xx", &[b'x'; 0x1AD][..]]
                .map(Bytes::copy_from_slice)
                .into_iter()
                .collect(),
        );
        chunks.end();
        let expected = format!("5\r\n:ok\n\n\r\n1AF\r\n{}\r\n0\r\n\r\n", "x".repeat(0x1AF));
        assert_eq!(String::from_utf8(bytes(&chunks)).unwrap(), expected);
        chunks.advance(expected.len());
        assert!(chunks.is_empty() && bytes(&chunks).is_empty());
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut chunks = ChunkQueue::default();
        while chunks.has_capacity() {
            chunks.push(Bytes::from_static(b"x").into());
        }
        assert_eq!(chunks.queue.len(), WRITE_LIMIT.batches);
        chunks.advance(bytes(&chunks).len());
        assert!(!chunks.queue.spilled());
        chunks.push(Bytes::from(vec![0; WRITE_LIMIT.bytes]).into());
        assert!(!chunks.has_capacity());
    }

    #[test]
    fn who_has_had_the_first_of_framed_batches_gets_the_rest() {
        let mut framed = FramedBatches::default();
        for data in ["one", "", "three"] {
            framed.push(&data.into());
        }
        assert_eq!(framed.bytes_after(0), b"3\r\none\r\n5\r\nthree\r\n");
        assert_eq!(
            [1, 2].map(|already_sent| framed.bytes_after(already_sent)),
            [b"5\r\nthree\r\n"; 2]
        );
        assert_eq!(
            [3, 4].map(|already_sent| framed.bytes_after(already_sent)),
            [b""; 2]
        );
        framed.drop_first(1);
        framed.push(&"four".into());
        assert_eq!(framed.bytes_after(0), b"5\r\nthree\r\n4\r\nfour\r\n");
        assert_eq!(framed.bytes_after(2), b"4\r\nfour\r\n");
        framed.drop_first(3);
        assert_eq!((framed.bytes_after(0), framed.len()), (&b""[..], 0));
    }

    proptest! {
        #[test]
        fn however_the_socket_takes_them_all_bytes_come_once_and_in_order(
            batches in vec(vec(any::<u8>(), 1..600), 1..WRITE_LIMIT.batches),
            takes in vec(1usize..700, 1..400),
        ) {
            let mut chunks = ChunkQueue::default();
            let mut expected = Vec::new();
            for batch in &batches {
                chunks.push(Bytes::from(batch.clone()).into());
                expected.extend(format!("{:X}\r\n", batch.len()).into_bytes());
                expected.extend(batch);
                expected.extend(CRLF);
            }
            let (mut taken, mut sizes) = (Vec::<u8>::new(), takes.iter().cycle());
            while !chunks.is_empty() {
                let next = bytes(&chunks);
                let mut room = vec![0; sizes.clone().next().unwrap() * 2];
                let copied = chunks.copy_to(&mut room);
                prop_assert_eq!(&room[..copied], &next[..next.len().min(room.len())]);
                let some = sizes.next().unwrap().min(&next.len()).to_owned();
                taken.extend(&next[..some]);
                chunks.advance(some);
            }
            prop_assert_eq!(taken, expected);
            prop_assert_eq!((chunks.written, chunks.data_len), (0, 0));
        }
    }
}
