//! The entries of a JSON id as we write them, and EventStreams does: fields in their order, nothing between them, no escapes.
//!
//! Whatever else is in an id is for the other reader, which takes three times as long for it.

use super::{
    LOG, OFFSET, PARTITION, TIMESTAMP, TOPIC, fields::EntryFields, log_and_epoch, topic_name::TopicNameCache,
};
use crate::position::{PositionEntry, bounds::MAX_ENTRIES};

/// Reads an array of entries and topic names; `None` when anything in it is not as we write it, or is wrong.
pub(super) fn read(text: &[u8]) -> Option<Vec<PositionEntry>> {
    let mut scanner = ByteScanner(text);
    let mut names = TopicNameCache::default();
    let mut entries = Vec::with_capacity((text.len() / ENTRY).min(MAX_ENTRIES));
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

/// As many bytes as most entries have at least.
const ENTRY: usize = 32;

/// What is left of the text.
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

    /// Reads the field called `name`, with the comma before it, if it comes next; its value may be none.
    fn field<T>(&mut self, name: &str, value: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let named = self.0.strip_prefix(b",\"")?.strip_prefix(name.as_bytes())?;
        self.0 = named.strip_prefix(b"\":")?;
        Some(value(self))
    }

    /// Reads a text to the quote behind it.
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

/// So many fit into an `i64`.
const MAX_DIGITS: usize = 18;

/// A field that may be absent, but if it is there must have a value.
fn optional<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}
