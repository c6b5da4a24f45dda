//! The fast reader of JSON ids as we and EventStreams write them: fields in their usual order, no white space, no escapes.
//!
//! Any other id goes to the reader in `read`, which takes three times as long.

use super::{
    LOG, OFFSET, PARTITION, TIMESTAMP, TOPIC, fields::EntryFields, log_and_epoch, topic_name::TopicNameCache,
};
use crate::position::{PositionEntry, bounds::MAX_ENTRIES};

/// Parses an array of entries and topic names. Returns `None` if anything in it is wrong or not as we write it.
pub(super) fn read(text: &[u8]) -> Option<Vec<PositionEntry>> {
    let mut scanner = ByteScanner(text);
    let mut names = TopicNameCache::default();
    let mut entries = Vec::with_capacity((text.len() / USUAL_ENTRY_BYTES).min(MAX_ENTRIES));
    scanner.skip(b"[")?;
    while entries.len() < MAX_ENTRIES {
        entries.push(match scanner.skip(b"\"") {
            Some(()) => names.whole_topic(scanner.text()?).ok()?,
            None => scanner.fields(&mut names)?.entry().ok()?,
        });
        if scanner.skip(b",").is_none() {
            scanner.skip(b"]")?;
            return scanner.0.is_empty().then_some(entries);
        }
    }
    None
}

/// The usual least length of an entry, in bytes.
const USUAL_ENTRY_BYTES: usize = 32;

/// The rest of the text.
struct ByteScanner<'a>(&'a [u8]);

impl<'a> ByteScanner<'a> {
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn fields(&mut self, names: &mut TopicNameCache) -> Option<EntryFields> {
        self.skip(b"{\"")?;
        self.skip(TOPIC.as_bytes())?;
        self.skip(b"\":\"")?;
        let mut fields = EntryFields {
            topic: Some(names.topic(self.text()?)?),
            ..EntryFields::default()
        };
        fields.partition = Ok(Some(self.field(PARTITION, Self::integer)??));
        fields.offset = Ok(optional(self.field(OFFSET, Self::integer))?);
        fields.timestamp = Ok(optional(self.field(TIMESTAMP, Self::integer))?);
        let log = |scanner: &mut Self| {
            scanner.skip(b"\"")?;
            log_and_epoch(scanner.text()?)
        };
        fields.log = Ok(optional(self.field(LOG, log))?);
        self.skip(b"}")?;
        Some(fields)
    }

    /// Reads the field called `name`, with the comma before it. Returns `None` if another one comes next, and `Some(None)` if its
    /// value cannot be read.
    fn field<T>(&mut self, name: &str, value: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let named = self.0.strip_prefix(b",\"")?.strip_prefix(name.as_bytes())?;
        self.0 = named.strip_prefix(b"\":")?;
        Some(value(self))
    }

    /// Reads a string up to its closing quote.
    fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, scanner) = self.0.split_at(end);
        self.0 = scanner.strip_prefix(b"\"")?;
        str::from_utf8(text).ok()
    }

    fn integer(&mut self) -> Option<i64> {
        let is_negative = self.skip(b"-").is_some();
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, scanner) = self.0.split_at(digits);
        let has_zero_before = digits[..] != *b"0" && digits.first()? == &b'0';
        if has_zero_before || digits.len() > MAX_DIGITS || (is_negative && digits[0] == b'0') {
            return None;
        }
        self.0 = scanner;
        let number = digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(if is_negative { -number } else { number })
    }
}

/// The most digits that always fit into an `i64`.
const MAX_DIGITS: usize = 18;

/// Allows a field to be absent. A field that is there must have a value.
fn optional<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}
