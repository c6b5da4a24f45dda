//! A parser of events in the one form that a gateway writes. It costs little more than finding the blank
//! lines.
//!
//! A load test reads tens of millions of events on the cores that also run the measured gateway. So this
//! parser allocates nothing per event, and accepts nothing of the standard that a gateway has no reason to
//! write: that is an error.

use std::io;

use memchr::{memchr, memmem};

/// Splits received bytes into whole events, wherever reads cut them.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    /// The start of the first event that has not been returned.
    start: usize,
    /// No event ends before this index.
    scanned: usize,
}

/// An event and its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) event: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) data: Option<&'a str>,
}

impl Blocks {
    /// Returns the buffer to which received bytes are appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        &mut self.bytes
    }

    /// Returns the next whole event.
    ///
    /// # Errors
    /// If it has a line that a gateway does not write.
    pub(crate) fn next(&mut self) -> io::Result<Option<Block<'_>>> {
        let Some(end) = memmem::find(&self.bytes[self.scanned..], b"\n\n") else {
            // The first of the two line ends may have arrived already.
            self.scanned = self.start.max(self.bytes.len().saturating_sub(1));
            return Ok(None);
        };
        let end = self.scanned + end;
        let lines = &self.bytes[self.start..end];
        (self.start, self.scanned) = (end + 2, end + 2);
        parse(lines).map(Some)
    }
}

fn parse(lines: &[u8]) -> io::Result<Block<'_>> {
    let mut lines = std::str::from_utf8(lines).map_err(|_| strange("not UTF-8"))?;
    let mut block = Block::default();
    while !lines.is_empty() {
        let end = memchr(b'\n', lines.as_bytes()).unwrap_or(lines.len());
        let line = &lines[..end];
        lines = lines.get(end + 1..).unwrap_or_default();
        if line.starts_with(':') {
            continue;
        }
        let (name, value) = line.split_once(": ").ok_or_else(|| strange(line))?;
        let field = match name {
            "event" => &mut block.event,
            "id" => &mut block.id,
            "data" => &mut block.data,
            _ => return Err(strange(line)),
        };
        if field.replace(value).is_some() {
            return Err(strange(line));
        }
    }
    Ok(block)
}

fn strange(line: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("an unexpected line: {line:.80}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &str =
        ":ok\n\nevent: message\nid: [1]\ndata: {\"n\":1}\n\n:\nevent: gap\ndata: {}\n\nevent: mess";

    fn read(parts: &[&[u8]]) -> Vec<String> {
        let mut blocks = Blocks::default();
        let mut all = Vec::new();
        for part in parts {
            blocks.tail().extend_from_slice(part);
            while let Some(block) = blocks.next().unwrap() {
                all.push(format!("{block:?}"));
            }
        }
        all
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let whole = read(&[WIRE.as_bytes()]);
        let message = Block {
            event: Some("message"),
            id: Some("[1]"),
            data: Some("{\"n\":1}"),
        };
        let gap = Block {
            event: Some("gap"),
            id: None,
            data: Some("{}"),
        };
        let expected = [Block::default(), message, gap].map(|block| format!("{block:?}"));
        assert_eq!(whole, expected);
        for cut in 0..WIRE.len() {
            let (head, tail) = WIRE.as_bytes().split_at(cut);
            assert_eq!(read(&[head, tail]), expected, "cut at {cut}");
        }
        assert_eq!(read(&WIRE.as_bytes().chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn what_a_gateway_does_not_write_is_an_error() {
        for strange in [
            "data: 1\ndata: 2\n\n",
            "retry: 5\n\n",
            "event:message\n\n",
            "id\n\n",
        ] {
            let mut blocks = Blocks::default();
            blocks.tail().extend_from_slice(strange.as_bytes());
            assert!(blocks.next().is_err(), "{strange:?}");
        }
    }
}
