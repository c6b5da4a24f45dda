//! Events in the one form in which a gateway writes them, at the cost of finding the blank line.
//!
//! A load test reads tens of millions of events beside the gateway it measures, on the same cores. It allocates nothing
//! for one, and takes no liberties of the standard: whatever a gateway has no reason to write is an error.

use std::io;

use memchr::{memchr, memmem};

/// Bytes in, whole events out, however the bytes are cut.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    /// Where the first event that has not been taken begins.
    start: usize,
    /// No event ends before here.
    scanned: usize,
}

/// An event, with the lines it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) event: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) data: Option<&'a str>,
}

impl Blocks {
    /// Where the next bytes are to be appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        &mut self.bytes
    }

    /// The next whole event.
    ///
    /// # Errors
    /// If it has a line that a gateway does not write.
    pub(crate) fn next(&mut self) -> io::Result<Option<Block<'_>>> {
        let Some(end) = memmem::find(&self.bytes[self.scanned..], b"\n\n") else {
            // The first line end of the two may have come.
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
    io::Error::new(io::ErrorKind::InvalidData, format!("an unexpected line: {line:.80}"))
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
