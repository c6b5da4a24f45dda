//! Tries offsets of a partition on its leader, through a client that nobody else uses.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    DamageTracker,
    search::{Inconclusive, OffsetProbe, ProbeResult},
};
use crate::{
    kafka::client::raw::{ItemKind, KafkaQueue, KafkaReader, OffsetSpec},
    partition::TopicPartition,
    position::Offset,
};

/// Tries offsets of one partition.
pub(super) struct ClientProbe<'a> {
    pub(super) reader: &'a KafkaReader,
    pub(super) damage: &'a DamageTracker,
    pub(super) partition: &'a TopicPartition,
}

/// What a queue gave.
enum Fetched {
    Record(Offset),
    End,
    /// The batch at this offset cannot be read.
    Unreadable(Offset),
    Nothing,
}

/// Whether this error says that there is something at the place, and that it cannot be read.
pub(in crate::kafka) fn is_damage(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        // A failed checksum; a codec or a version that does not exist; what does not unpack.
        Code::BadMessage | Code::NotImplemented | Code::BadCompression | Code::Inconsistent | Code::Underflow
            // A broker that cannot make sense of its own segment.
            | Code::InvalidMessage | Code::InvalidMessageSize | Code::Unknown
            // A length that no answer can hold.
            | Code::MessageSizeTooLarge
            | Code::UnsupportedCompressionType
    )
}

impl ClientProbe<'_> {
    /// Runs `read` on the partition, started at `offset`.
    fn with_partition_started<T>(
        &self,
        offset: Offset,
        read: impl FnOnce(&mut KafkaQueue) -> Result<T, Inconclusive>,
    ) -> Result<T, Inconclusive> {
        let mut queue = self.reader.queue().map_err(|_| Inconclusive)?;
        let TopicPartition { topic, partition } = self.partition;
        self.reader
            .start(topic, *partition, offset, &queue)
            .map_err(|_| Inconclusive)?;
        let result = read(&mut queue);
        self.reader.stop(topic, *partition);
        result
    }

    fn next_item(
        &self,
        queue: &mut KafkaQueue,
        position: Offset,
        until: Instant,
    ) -> Result<Fetched, Inconclusive> {
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
                Some(ItemKind::Fault { code, offset, .. }) if is_damage(code) => {
                    Some(Fetched::Unreadable(offset))
                }
                Some(ItemKind::Fault { code, offset, .. })
                    if is_implausible_offset(code, offset, position) =>
                {
                    Some(Fetched::Nothing)
                }
                Some(ItemKind::Fault { code, .. }) if is_passing(code) => None,
                Some(ItemKind::Fault { .. }) => return Err(Inconclusive),
                None => None,
            };
            queue.advance();
            if let Some(fetched) = fetched {
                return Ok(fetched);
            }
        }
    }

    /// What comes first; before it says that nothing does, the leader has answered a question that was asked behind the fetch.
    /// A broker answers in the order of the questions.
    fn first_item(
        &self,
        queue: &mut KafkaQueue,
        offset: Offset,
        patience: Duration,
    ) -> Result<Fetched, Inconclusive> {
        match self.next_item(queue, offset, Instant::now() + patience)? {
            Fetched::Nothing => {}
            fetched => return Ok(fetched),
        }
        if self.log_end()? > offset {
            return self.next_item(queue, offset, Instant::now() + PARSE_WAIT);
        }
        // Only a fetch that was answered says so: a broker that refuses all of them for a while, which librdkafka keeps to itself,
        // would otherwise have unread records taken for damage up to the end of the log.
        match self.next_item(queue, offset, Instant::now() + THOROUGH_WAIT)? {
            Fetched::Nothing => Err(Inconclusive),
            fetched => Ok(fetched),
        }
    }

    fn log_end(&self) -> Result<Offset, Inconclusive> {
        let key = [(Arc::clone(&self.partition.topic), self.partition.partition)];
        let found = self
            .reader
            .query_offsets(&key, OffsetSpec::End, ANSWER_TIMEOUT)
            .map_err(|_| Inconclusive)?;
        let end = found
            .into_iter()
            .next()
            .ok_or(Inconclusive)?
            .map_err(|_| Inconclusive)?;
        end.offset.ok_or(Inconclusive)
    }
}

impl OffsetProbe for ClientProbe<'_> {
    fn scan(&mut self, from: Offset) -> Result<Option<Offset>, Inconclusive> {
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
                    // Where the batch begins is told by what does not parse, so it is believed only if it is near.
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

    fn try_offset(&mut self, offset: Offset, thorough: bool) -> Result<ProbeResult, Inconclusive> {
        let patience = if thorough { THOROUGH_WAIT } else { QUICK_WAIT };
        self.with_partition_started(offset, |queue| {
            Ok(match self.first_item(queue, offset, patience)? {
                Fetched::Record(_) | Fetched::End => ProbeResult::Readable,
                Fetched::Unreadable(batch) => ProbeResult::Unreadable(Some(batch)),
                Fetched::Nothing => ProbeResult::Unreadable(None),
            })
        })
    }

    fn end(&mut self) -> Result<Offset, Inconclusive> {
        self.log_end()
    }

    fn pause(&mut self, pause: Duration) -> Result<(), Inconclusive> {
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

/// Whether librdkafka has lost its way: where a batch is damaged it takes rubbish for the header of the next one, and goes on at
/// the offset that stands in it. The brokers then have nothing there, which says nothing of `position`, where reading began or
/// had got to.
pub(in crate::kafka) fn is_implausible_offset(code: RDKafkaErrorCode, at: Offset, position: Offset) -> bool {
    let out_of_range = matches!(
        code,
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
    );
    out_of_range && !(position..position.saturating_add(MAX_OFFSET_GAP)).contains(&at)
}

/// Whether librdkafka goes on by itself after this error, as after an election.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        code,
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::TopicAuthorizationFailed
    )
}

/// How long a look waits for the first record. A fetch goes out within 100 ms (`fetch.error.backoff.ms`) of the start.
const QUICK_WAIT: Duration = Duration::from_millis(250);

/// The same where a mistake would lose records.
const THOROUGH_WAIT: Duration = Duration::from_millis(500);

/// What an answer that has come needs to be parsed and queued.
const PARSE_WAIT: Duration = Duration::from_millis(50);

/// How long reading may go on before the place counts as readable.
const SCAN_FOR: Duration = Duration::from_secs(3);

/// What the first fetch of a new client gets.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// What a leader gets to say where its log ends.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How soon the end of the cluster is noticed.
const POLL_SLICE: Duration = Duration::from_millis(100);

/// How far behind the place where reading begins a batch that cannot be read is believed to be: offsets that compaction and
/// transactions may have left out before it.
pub(in crate::kafka) const MAX_OFFSET_GAP: Offset = 1 << 20;
