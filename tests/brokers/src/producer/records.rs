//! The contents of records.

use rdkafka::producer::BaseRecord;

use super::ledger::Ticket;

/// A record as given: a bad value, a null, a certain key.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawRecord<'a> {
    /// The partition.
    pub partition: i32,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a null, a tombstone in a compacted log.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970; now, if `None`.
    pub timestamp: Option<i64>,
}

impl<'a> RawRecord<'a> {
    pub(super) fn to_base(self, topic: &'a str) -> BaseRecord<'a, [u8], [u8], Ticket> {
        self.with_ticket(topic, None)
    }

    fn with_ticket(self, topic: &'a str, number: Option<u64>) -> BaseRecord<'a, [u8], [u8], Ticket> {
        let mut base = BaseRecord::with_opaque_to(topic, Box::new(number)).partition(self.partition);
        base.key = self.key;
        base.payload = self.value;
        base.timestamp = self.timestamp;
        base
    }
}

/// Creates one numbered record after the other.
pub(super) struct Records {
    pub(super) bytes: usize,
    /// The partitions to write to, in turn.
    pub(super) partitions: Vec<i32>,
    pub(super) turn: usize,
    pub(super) key: Option<Box<dyn Fn(u64) -> String + Send>>,
    pub(super) fields: Option<Box<dyn Fn(u64) -> String + Send>>,
    pub(super) timestamp: Option<Box<dyn Fn(u64) -> i64 + Send>>,
}

/// A numbered record before it is written.
pub(super) struct Draft {
    number: u64,
    partition: i32,
    key: Option<String>,
    value: String,
    timestamp: Option<i64>,
}

impl Records {
    pub(super) fn draft(&mut self, number: u64) -> Draft {
        let partition = self.partitions[self.turn % self.partitions.len()];
        self.turn += 1;
        Draft {
            number,
            partition,
            key: self.key.as_ref().map(|key| key(number)),
            value: match &self.fields {
                None => value(number, self.bytes),
                Some(fields) => value_with(number, &fields(number), self.bytes),
            },
            timestamp: self.timestamp.as_ref().map(|timestamp| timestamp(number)),
        }
    }
}

impl Draft {
    pub(super) fn to_base<'a>(&'a self, topic: &'a str) -> BaseRecord<'a, [u8], [u8], Ticket> {
        let raw = RawRecord {
            partition: self.partition,
            key: self.key.as_deref().map(str::as_bytes),
            value: Some(self.value.as_bytes()),
            timestamp: self.timestamp,
        };
        raw.with_ticket(topic, Some(self.number))
    }
}

/// Returns the value of a numbered record, `{"n":17,"pad":"xxxx"}`, with this many bytes in all if that is
/// enough.
pub fn value(number: u64, bytes: usize) -> String {
    value_with(number, "", bytes)
}

/// Returns the same with these fields before `pad`, each followed by a comma.
fn value_with(number: u64, fields: &str, bytes: usize) -> String {
    let bare = format!(r#"{{"n":{number},{fields}"pad":""#);
    let pad = bytes.saturating_sub(bare.len() + 2);
    // Not as a width, because formats have 16 bits for a width.
    bare + &"x".repeat(pad) + "\"}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_size_asked_for() {
        assert_eq!(value(17, 30), r#"{"n":17,"pad":"xxxxxxxxxxxxx"}"#);
        assert_eq!(value(17, 30).len(), 30);
        assert_eq!(value(17, 100_000).len(), 100_000);
        assert_eq!(value(17, 0), r#"{"n":17,"pad":""}"#);
        assert_eq!(
            value_with(17, r#""tenant":"t7","#, 33),
            r#"{"n":17,"tenant":"t7","pad":"xx"}"#
        );
    }
}
