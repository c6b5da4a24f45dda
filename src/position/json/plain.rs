//! The fast reader of JSON ids as we and EventStreams write them: fields in their usual order, no white space, no escapes.
//!
//! Any other id goes to the reader in `read`, which takes three times as long.

use std::sync::Arc;

use super::{
    fields::EntryFields,
    log_and_epoch,
    topic_name::{TopicNameCache, is_name_byte, whole},
};
use crate::position::{PositionEntry, bounds::MAX_ENTRIES, restriction::ScopeBuilder};

/// Parses an array of entries and topic names. Returns `None` if anything in it is wrong or not as we write it.
pub(super) fn read(text: &[u8]) -> Option<(Vec<PositionEntry>, ScopeBuilder)> {
    let text: Arc<str> = str::from_utf8(text).ok()?.into();
    let mut scanner = ByteScanner(&text);
    let mut names = TopicNameCache::of(&text);
    let mut entries = Vec::with_capacity((text.len() / USUAL_ENTRY_BYTES).min(MAX_ENTRIES));
    let mut scope = ScopeBuilder::default();
    scanner.skip("[")?;
    while entries.len() < MAX_ENTRIES {
        let (entry, tag) = match scanner.skip("\"") {
            Some(()) => (whole(names.topic_of(scanner.name()?)?), None),
            None => {
                let fields = scanner.fields(&mut names)?;
                let tag = fields.tag();
                (fields.entry().ok()?, tag)
            }
        };
        entries.push(entry);
        scope.add(tag);
        if scanner.skip(",").is_none() {
            scanner.skip("]")?;
            return scanner.0.is_empty().then_some((entries, scope));
        }
    }
    None
}

/// The usual least length of an entry, in bytes.
const USUAL_ENTRY_BYTES: usize = 32;

/// The rest of the text.
struct ByteScanner<'a>(&'a str);

impl<'a> ByteScanner<'a> {
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn fields(&mut self, names: &mut TopicNameCache) -> Option<EntryFields> {
        self.skip("{\"topic\":\"")?;
        let mut fields = EntryFields {
            topic: Some(names.topic_of(self.name()?)?),
            ..EntryFields::default()
        };
        fields.partition = Ok(Some(self.field(",\"partition\":", Self::integer)??));
        fields.offset = Ok(optional(self.field(",\"offset\":", Self::integer))?);
        fields.timestamp = Ok(optional(self.field(",\"timestamp\":", Self::integer))?);
        let log = |scanner: &mut Self| {
            scanner.skip("\"")?;
            log_and_epoch(scanner.text()?)
        };
        fields.log = Ok(optional(self.field(",\"log\":", log))?);
        let restriction = |scanner: &mut Self| {
            scanner.skip("\"")?;
            scanner.text()?.parse().ok()
        };
        fields.restriction = Ok(optional(self.field(",\"partitions\":", restriction))?);
        self.skip("}")?;
        Some(fields)
    }

    /// Reads the value of the field that `name` introduces. `name` is the text from the comma to the colon. Returns `None` if
    /// another field comes next, and `Some(None)` if the value cannot be read.
    fn field<T>(&mut self, name: &str, value: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        self.skip(name)?;
        Some(value(self))
    }

    /// Reads bytes that may be part of a topic name, up to the closing quote.
    fn name(&mut self) -> Option<&'a str> {
        let length = self.0.bytes().take_while(|byte| is_name_byte(*byte)).count();
        let (name, scanner) = self.0.split_at(length);
        self.0 = scanner.strip_prefix('"')?;
        Some(name)
    }

    /// Reads a string up to the next quote. An escape stays as it is, and makes the string invalid: we write none.
    fn text(&mut self) -> Option<&'a str> {
        let end = memchr::memchr(b'"', self.0.as_bytes())?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    fn integer(&mut self) -> Option<i64> {
        let is_negative = self.skip("-").is_some();
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, scanner) = self.0.split_at(digits);
        let digits = digits.as_bytes();
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
