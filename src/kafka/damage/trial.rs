//! Tries single offsets of a partition on its leader, with a client that serves nothing else.
//!
//! Not here: which offsets are tried (`search`).

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    DamageTracker,
    search::{Inconclusive, OffsetTrial, Result, TrialResult},
};
use crate::{
    kafka::client::raw::{ItemKind, KafkaQueue, KafkaReader, OffsetSpec},
    partition::TopicPartition,
    position::Offset,
};

/// Tries offsets of one partition with a client.
pub(super) struct ClientTrial<'a> {
    pub(super) reader: &'a KafkaReader,
    pub(super) damage: &'a DamageTracker,
    pub(super) partition: &'a TopicPartition,
}

/// What a queue delivered.
enum Fetched {
    Record(Offset),
    End,
    /// The batch at this offset cannot be read.
    Unreadable(Offset),
    /// No item until the deadline, or an error that says nothing about the offset.
    Nothing,
}

/// Returns whether an error means that there is data at the offset, and that it cannot be read.
pub(in crate::kafka) fn is_damage(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        // Failed checksum, unknown codec or version, data that does not decompress.
        Code::BadMessage | Code::NotImplemented | Code::BadCompression | Code::Inconsistent | Code::Underflow
            // The broker cannot interpret its own segment.
            | Code::InvalidMessage | Code::InvalidMessageSize | Code::Unknown
            // A length that no response can hold.
            | Code::MessageSizeTooLarge
            | Code::UnsupportedCompressionType
    )
}

impl ClientTrial<'_> {
    /// Starts the partition at `offset`, runs `read`, and stops it.
    fn with_partition_started<T>(
        &self,
        offset: Offset,
        read: impl FnOnce(&mut KafkaQueue) -> Result<T>,
    ) -> Result<T> {
        let mut queue = self.reader.queue().map_err(|_| Inconclusive)?;
        let TopicPartition { topic, partition } = self.partition;
        self.reader
            .start(topic, *partition, offset, &queue)
            .map_err(|_| Inconclusive)?;
        let result = read(&mut queue);
        self.reader.stop(topic, *partition);
        result
    }

    /// Waits until `until` for the next item that says something about the partition.
    fn next_item(&self, queue: &mut KafkaQueue, position: Offset, until: Instant) -> Result<Fetched> {
        loop {
            self.reader.poll_events();
            if self.damage.is_closed() || self.reader.wrong_cluster().is_some() {
                return Err(Inconclusive);
            }
            let slice = until.min(Instant::now() + POLL_SLICE);
            if !queue.fill(slice) {
                if Instant::now() < until {
                    continue;
                }
                return Ok(Fetched::Nothing);
            }
            let fetched = match queue.front().map(|item| item.kind) {
                Some(ItemKind::Record(record)) => Some(Fetched::Record(record.offset)),
                Some(ItemKind::End(_)) => Some(Fetched::End),
                Some(ItemKind::Fault { code, offset, .. }) => judge_fault(code, offset, position)?,
                None => None,
            };
            queue.advance();
            if let Some(fetched) = fetched {
                return Ok(fetched);
            }
        }
    }

    /// Returns the first item. Before it returns `Nothing`, the leader has answered a query that was sent after the fetch: a
    /// broker answers requests in order.
    fn first_item(&self, queue: &mut KafkaQueue, offset: Offset, patience: Duration) -> Result<Fetched> {
        match self.next_item(queue, offset, Instant::now() + patience)? {
            Fetched::Nothing => {}
            fetched => return Ok(fetched),
        }
        if self.end()? > offset {
            return self.next_item(queue, offset, Instant::now() + PARSE_WAIT);
        }
        // Only an answered fetch counts. A broker may refuse all fetches for a while, and librdkafka does not report that. Unread
        // records up to the end of the log would then be taken for damage.
        match self.next_item(queue, offset, Instant::now() + THOROUGH_WAIT)? {
            Fetched::Nothing => Err(Inconclusive),
            fetched => Ok(fetched),
        }
    }
}

impl OffsetTrial for ClientTrial<'_> {
    fn scan(&mut self, from: Offset) -> Result<Option<Offset>> {
        self.with_partition_started(from, |queue| {
            let (mut position, enough) = (from, Instant::now() + SCAN_FOR);
            let mut patience = CONNECT_WAIT;
            while Instant::now() < enough {
                match self.first_item(queue, position, patience)? {
                    Fetched::Record(offset) => {
                        position = position.max(offset.saturating_add(1));
                        patience = THOROUGH_WAIT;
                    }
                    Fetched::End => return Ok(None),
                    // The start of the batch comes from data that does not parse, so it is trusted only if it is near.
                    Fetched::Unreadable(batch)
                        if (position..position.saturating_add(MAX_OFFSET_GAP)).contains(&batch) =>
                    {
                        return Ok(Some(batch));
                    }
                    Fetched::Unreadable(_) | Fetched::Nothing => return Ok(Some(position)),
                }
            }
            Ok(None)
        })
    }

    fn try_offset(&mut self, offset: Offset, thorough: bool) -> Result<TrialResult> {
        let patience = if thorough { THOROUGH_WAIT } else { QUICK_WAIT };
        self.with_partition_started(offset, |queue| {
            Ok(match self.first_item(queue, offset, patience)? {
                Fetched::Record(_) | Fetched::End => TrialResult::Readable,
                Fetched::Unreadable(batch) => TrialResult::Unreadable(Some(batch)),
                Fetched::Nothing => TrialResult::Unreadable(None),
            })
        })
    }

    fn end(&self) -> Result<Offset> {
        let key = [(Arc::clone(&self.partition.topic), self.partition.partition)];
        let found = self.reader.query_offsets(&key, OffsetSpec::End, ANSWER_TIMEOUT);
        let end = found.ok().and_then(|mut found| found.pop()?.ok()?.offset);
        end.ok_or(Inconclusive)
    }

    fn pause(&mut self, pause: Duration) -> Result<()> {
        let over = Instant::now() + pause;
        while Instant::now() < over {
            self.reader.poll_events();
            if self.damage.is_closed() {
                return Err(Inconclusive);
            }
            thread::sleep(POLL_SLICE.min(over.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

/// Returns whether librdkafka has lost its position. At a damaged batch it takes garbage for the header of the next one, and
/// continues at the offset found there. The broker's error for that offset says nothing about `position`, where the read started
/// or had got to.
pub(in crate::kafka) fn is_implausible_offset(code: RDKafkaErrorCode, at: Offset, position: Offset) -> bool {
    is_out_of_range(code) && !(position..position.saturating_add(MAX_OFFSET_GAP)).contains(&at)
}

/// Returns whether the offset of a fetch is not in the log. librdkafka stops the partition, and reports that only once.
pub(in crate::kafka) fn is_out_of_range(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange)
}

/// Returns what an error at the offset `at` says about `position`. Returns `None` if librdkafka continues by itself, for example
/// after an election.
fn judge_fault(code: RDKafkaErrorCode, at: Offset, position: Offset) -> Result<Option<Fetched>> {
    match code {
        _ if is_damage(code) => Ok(Some(Fetched::Unreadable(at))),
        _ if is_implausible_offset(code, at, position) => Ok(Some(Fetched::Nothing)),
        _ if is_out_of_range(code) => Err(Inconclusive),
        RDKafkaErrorCode::TopicAuthorizationFailed => Err(Inconclusive),
        _ => Ok(None),
    }
}

/// How long a trial waits for the first record. A fetch is sent within 100 ms (`fetch.error.backoff.ms`) of the start.
const QUICK_WAIT: Duration = Duration::from_millis(250);

/// As [`QUICK_WAIT`], where a mistake would lose records.
const THOROUGH_WAIT: Duration = Duration::from_millis(500);

/// Time to parse and queue an answer that has arrived.
const PARSE_WAIT: Duration = Duration::from_millis(50);

/// How long a scan reads before the offset counts as readable.
const SCAN_FOR: Duration = Duration::from_secs(3);

/// Time for the first fetch of a new client.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// Time that a leader has to answer where its log ends.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time until a closed cluster is noticed.
const POLL_SLICE: Duration = Duration::from_millis(100);

/// How far behind the start of a read a damaged batch is believed to be: offsets that compaction and transactions may have left
/// out before it.
pub(in crate::kafka) const MAX_OFFSET_GAP: Offset = 1 << 20;
