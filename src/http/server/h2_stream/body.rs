//! The body of a response, in pieces from whose polls it shows what the client takes.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::{H2Stream, PIECE, SEND_BUFFER};

/// A body that is given to hyper in pieces of at most [`PIECE`] bytes, so that a client that takes part of a large batch is not
/// taken for one that has stalled.
///
/// h2 holds less than [`SEND_BUFFER`] and a piece of a stream, also when the body is asked for more. If these were the end of a large
/// text that many clients share, they would keep all of it in memory, and nothing would count it. So they are copied.
pub(in crate::http) struct ChunkedBody {
    body: Body,
    h2_stream: Arc<H2Stream>,
    rest: Bytes,
}

impl ChunkedBody {
    pub(in crate::http) fn new(body: Body, h2_stream: Arc<H2Stream>) -> Self {
        Self {
            body,
            h2_stream,
            rest: Bytes::new(),
        }
    }

    fn next_piece(&mut self) -> Frame<Bytes> {
        self.h2_stream.pieces_sent.fetch_add(1, Ordering::Relaxed);
        self.h2_stream.is_blocked.store(true, Ordering::Relaxed);
        let is_end = self.rest.len() < SEND_BUFFER + 2 * PIECE;
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Frame::data(match is_end && self.h2_stream.is_large.load(Ordering::Relaxed) {
            true => Bytes::copy_from_slice(&piece),
            false => piece,
        })
    }
}

impl http_body::Body for ChunkedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.h2_stream.on_poll();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(self.next_piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
