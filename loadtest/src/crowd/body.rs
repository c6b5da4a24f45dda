//! The body of a response of one of many clients.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use crate::chunked::Chunked;

/// Decodes chunk frames, and gzip if it was asked for.
#[derive(Debug)]
pub(super) struct BodyDecoder {
    frames: Chunked,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
}

impl BodyDecoder {
    /// Creates it for a body that is not in chunks.
    pub(super) fn new(is_gzip: bool) -> Self {
        Self {
            frames: Chunked::for_head(""),
            gzip: is_gzip.then(|| MultiGzDecoder::new(Vec::new())),
        }
    }

    /// Expects what a response head of HTTP/1.1 announces.
    pub(super) fn begin(&mut self, head: &str) {
        self.frames = Chunked::for_head(head);
    }

    /// Returns whether the last chunk has come.
    pub(super) fn has_ended(&self) -> bool {
        self.frames.ended()
    }

    pub(super) fn unpack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.frames.decode(bytes, &mut body)?;
        let Some(gzip) = &mut self.gzip else {
            return Ok(body);
        };
        gzip.write_all(&body)?;
        gzip.flush()?;
        Ok(std::mem::take(gzip.get_mut()))
    }
}
