//! What a client is still to be written, and the writing of it: plain, or sealed for a connection with TLS.

use std::{
    cell::RefCell,
    hint::black_box,
    io,
    os::fd::AsRawFd,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;

use super::chunks::ChunkQueue;
use crate::{
    http::{
        delivery::segments::Segments,
        server::{conn::ConnState, writer::SocketWriter},
    },
    subscription::UnwrittenBytes,
    tls::{RecordBuffer, TlsRecords},
};

/// The queue of one client's chunks, and its socket.
///
/// With TLS a chunk counts as written once it is sealed. What was sealed and the socket did not take, at most one record, is kept
/// sealed. Everything behind it stays in the queue, where it is shared with other clients.
pub(super) struct ClientOutput {
    writer: SocketWriter,
    chunks: ChunkQueue,
    /// The records of a connection with TLS.
    records: Option<Box<TlsRecords>>,
    /// Whether the queue ends with the end of the body.
    has_end: bool,
}

impl ClientOutput {
    pub(in crate::http) fn new(
        conn: Arc<ConnState>,
        records: Option<Box<TlsRecords>>,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            writer: SocketWriter::new(conn, stall_timeout),
            chunks: ChunkQueue::default(),
            records,
            has_end: false,
        }
    }

    pub(super) fn conn(&self) -> &Arc<ConnState> {
        self.writer.conn()
    }

    /// Adds a batch.
    pub(super) fn push(&mut self, data: Segments) {
        self.chunks.push(data);
    }

    /// Adds the end of the body.
    pub(super) fn end(&mut self) {
        self.chunks.end();
        self.has_end = true;
    }

    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        let is_sent =
            |records: &TlsRecords| records.unsent().is_empty() && (!self.has_end || records.is_closed());
        self.chunks.is_empty() && self.records.as_deref().is_none_or(is_sent)
    }

    /// Whether another batch may share the next write.
    pub(super) fn has_capacity(&self) -> bool {
        self.chunks.has_capacity()
    }

    /// Returns the length of all data that is not written, in bytes.
    pub(super) fn unwritten_len(&self) -> usize {
        self.chunks.data_len() + self.unsent().len()
    }

    /// Lets `count` count the bytes that are this client's own, because they are sealed.
    pub(super) fn count_sealed(&mut self, count: impl FnOnce(Vec<u8>) -> Bytes) {
        if let Some(records) = &mut self.records {
            records.count_unsent(count);
        }
    }

    /// Returns how much of that the client shares with others, and how much is its own.
    pub(super) fn unwritten(&self) -> UnwrittenBytes {
        let unsent = self.unsent();
        if self.chunks.is_empty() {
            return UnwrittenBytes {
                text: unsent.as_ptr().addr(),
                shared: unsent.len(),
                own: 0,
            };
        }
        let mut unwritten = self.chunks.unwritten();
        unwritten.own += unsent.len();
        unwritten
    }

    /// Writes shared bytes behind all others, as much as the socket takes at once. Nothing else may wait. Returns how many of them
    /// need not be [pushed](Self::push), because they are written, or sealed.
    pub(super) fn send_now(&mut self, bytes: &[u8]) -> usize {
        let Self { writer, records, .. } = self;
        let conn = writer.conn();
        let Some(records) = records else {
            return conn.send_now(bytes);
        };
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            // A failure is met again by the next write, which ends the connection.
            match send_record(records, conn, |room| copy_to(room, rest)) {
                Ok(more @ 1..) => sent += more,
                _ => break,
            }
        }
        sent
    }

    /// Records that the first bytes of the queue need not be written: see [`send_now`](Self::send_now).
    pub(super) fn advance(&mut self, bytes: usize) {
        self.chunks.advance(bytes);
    }

    /// Writes some of what there is. Ready when the socket has taken something.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            writer,
            chunks,
            records,
            has_end,
        } = self;
        let Some(records) = records else {
            let taken = ready!(poll_write_plain(writer, chunks, context))?;
            chunks.advance(taken);
            return Poll::Ready(Ok(()));
        };
        if records.unsent().is_empty() && !chunks.is_empty() {
            // Nothing is sealed before the socket takes it.
            ready!(writer.poll_write_with(context, |_| Ok(0)))?;
            let sealed = send_record(records, writer.conn(), |room| chunks.copy_to(room))?;
            chunks.advance(sealed);
        }
        if *has_end && chunks.is_empty() {
            records.close().map_err(io::Error::other)?;
        }
        if !records.unsent().is_empty() {
            let write = |conn: &ConnState| conn.socket().try_write(records.unsent());
            let taken = ready!(writer.poll_write_with(context, write))?;
            records.advance(taken);
        }
        Poll::Ready(Ok(()))
    }

    /// Discards what the client sends. Ready when the client is gone, or has sent more than `budget` bytes. See
    /// [`ConnState::poll_closed`].
    pub(super) fn poll_closed(&mut self, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        let conn = self.writer.conn();
        match &mut self.records {
            None => conn.poll_closed(context, budget),
            Some(records) => conn.poll_received(context, |bytes| {
                let received = records.receive(bytes, budget);
                received
                    .inspect_err(|error| tracing::debug!(%error, "a stream over TLS ends"))
                    .is_ok()
            }),
        }
    }

    /// Reads the memory that [`send_now`](Self::send_now) will need, so that it is in the processor's cache then.
    pub(super) fn prefetch(&self) {
        black_box(self.chunks.is_empty());
        black_box(self.conn().socket().as_raw_fd());
        if let Some(records) = &self.records {
            records.prefetch();
        }
    }

    /// Returns what is sealed and not written.
    fn unsent(&self) -> &[u8] {
        self.records.as_deref().map_or(&[], TlsRecords::unsent)
    }
}

fn poll_write_plain(
    writer: &mut SocketWriter,
    chunks: &ChunkQueue,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    writer.poll_write_with(context, |conn| {
        chunks.write_with(|slices| match slices {
            [whole] => conn.socket().try_write(whole),
            parts => conn.socket().try_write_vectored(parts),
        })
    })
}

/// Seals one record of what `fill` copies, and writes as much of it as the socket takes at once. Returns how many bytes were sealed.
fn send_record(
    records: &mut TlsRecords,
    conn: &ConnState,
    fill: impl FnOnce(&mut [u8]) -> usize,
) -> io::Result<usize> {
    let sent =
        RECORD_BUFFER.with_borrow_mut(|buffer| records.send(buffer, fill, |record| conn.send_now(record)));
    sent.map_err(io::Error::other)
}

/// Copies as many bytes as there is room for. Returns how many these are.
fn copy_to(room: &mut [u8], bytes: &[u8]) -> usize {
    let length = room.len().min(bytes.len());
    room[..length].copy_from_slice(&bytes[..length]);
    length
}

thread_local! {
    /// A write task seals for one client after the other, so that one buffer does for all of them, and stays in the processor's cache.
    static RECORD_BUFFER: RefCell<RecordBuffer> = RefCell::default();
}
