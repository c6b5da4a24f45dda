//! The headers of a record, encoded as one run of bytes. They are read seldom, and then only a few of them.

use super::CANARY_HEADER;

/// The headers of one record, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// Wraps the bytes that [`as_bytes`](Self::as_bytes) returned.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the encoded headers.
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the value of the last header called `name`, as Kafka's own clients do when a record has several of that
    /// name. A value may be null.
    pub fn last(self, name: &str) -> Option<Option<&'a [u8]>> {
        let named = self.filter(|(own, _)| *own == name.as_bytes());
        named.last().map(|(_, value)| value)
    }

    /// Returns whether the headers were kept. False if together they were larger than [`MAX_HEADERS_BYTES`]; then none
    /// is here.
    pub fn are_kept(self) -> bool {
        self.0 != NOT_KEPT
    }

    fn length(&mut self) -> Option<u32> {
        let (length, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*length))
    }

    fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Iterates over names and values.
impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let length = self.length()?;
        let name = self.take(length)?;
        let value = match self.length()? {
            NULL => None,
            length => Some(self.take(length)?),
        };
        Some((name, value))
    }
}

/// A reusable buffer that encodes the headers of one record after another.
#[derive(Debug, Default)]
pub struct HeadersBuf {
    bytes: Vec<u8>,
    too_large: bool,
    is_canary: bool,
}

impl HeadersBuf {
    /// Forgets the headers of the last record.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.too_large = false;
        self.is_canary = false;
    }

    /// Forgets the headers of the last record, and overwrites what is left of all that were here.
    pub fn wipe(&mut self) {
        self.clear();
        self.bytes.resize(self.bytes.capacity(), 0);
        self.bytes.clear();
    }

    /// Adds one header.
    pub fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.is_canary |= name == CANARY_HEADER.to_bytes();
        let size = name.len() + value.map_or(0, <[u8]>::len);
        self.too_large |= self.bytes.len() + size > MAX_HEADERS_BYTES;
        if self.too_large {
            return;
        }
        // Neither cast truncates: both lengths are at most `MAX_HEADERS_BYTES`.
        self.put(name, name.len() as u32);
        let length = value.map_or(NULL, |value| value.len() as u32);
        self.put(value.unwrap_or_default(), length);
    }

    /// Returns all headers. If together they are larger than [`MAX_HEADERS_BYTES`], returns none, and
    /// [`Headers::are_kept`] says so.
    pub fn headers(&self) -> Headers<'_> {
        Headers(if self.too_large { &NOT_KEPT } else { &self.bytes })
    }

    /// Returns whether one of the headers marks a canary record, kept or not.
    pub fn is_canary(&self) -> bool {
        self.is_canary
    }

    fn put(&mut self, bytes: &[u8], length: u32) {
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

/// The most bytes of headers kept for one record. Headers stay in memory with every event, and filters ask them only
/// for things like a type or a source. A record with more is kept without its headers and marked, because what it had
/// cannot be told any more.
pub const MAX_HEADERS_BYTES: usize = 16 * 1024;

/// Encodes the length of a value that is null.
const NULL: u32 = u32::MAX;

/// The encoding of headers that were too large. It cannot be mistaken for a header, because a name never has the length
/// of null.
const NOT_KEPT: [u8; 4] = NULL.to_le_bytes();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_that_is_there_twice_the_last_counts_and_null_is_a_value() {
        let mut headers = HeadersBuf::default();
        headers.push(b"type", Some(b"edit"));
        headers.push(b"source", None);
        headers.push(b"type", Some(b""));
        let read = headers.headers();
        assert_eq!(read.last("type"), Some(Some(&b""[..])));
        assert_eq!(read.last("source"), Some(None));
        assert_eq!(read.last("typ"), None);
        headers.clear();
        assert_eq!(headers.headers(), Headers::default());
    }

    #[test]
    fn too_many_are_not_kept_which_shows_and_the_next_record_has_its_own() {
        let mut headers = HeadersBuf::default();
        headers.push(b"a", Some(&[0; MAX_HEADERS_BYTES - 1]));
        assert!(headers.headers().last("a").is_some());
        headers.push(b"b", None);
        headers.push(CANARY_HEADER.to_bytes(), None);
        assert_eq!(headers.headers().count(), 0);
        assert!(!headers.headers().are_kept() && headers.is_canary());
        assert!(!Headers::from_bytes(headers.headers().as_bytes()).are_kept());
        headers.clear();
        assert!(headers.headers().are_kept() && !headers.is_canary());
        headers.push(b"b", None);
        assert_eq!(headers.headers().last("b"), Some(None));
    }
}
