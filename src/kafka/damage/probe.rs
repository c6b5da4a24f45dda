//! Tries offsets of a partition on its leader, through a client that nobody else uses.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    Damage,
    search::{Probe, Seen, Unsure},
};
use crate::{
    kafka::reader::{Queue, Reader, What, When},
    partition::TopicPartition,
    position::Offset,
};

/// Tries offsets of one partition.
pub(super) struct ClientProbe<'a> {
    pub(super) reader: &'a Reader,
    pub(super) damage: &'a Damage,
    pub(super) partition: &'a TopicPartition,
}

/// What a queue gave.
enum Came {
    Record(Offset),
    End,
    /// The batch at this offset cannot be read.
    Damage(Offset),
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
    fn started<T>(
        &self,
        offset: Offset,
        read: impl FnOnce(&mut Queue) -> Result<T, Unsure>,
    ) -> Result<T, Unsure> {
        let mut queue = self.reader.queue().map_err(|_| Unsure)?;
        let TopicPartition { topic, partition } = self.partition;
        self.reader
            .start(topic, *partition, offset, &queue)
            .map_err(|_| Unsure)?;
        let result = read(&mut queue);
        self.reader.stop(topic, *partition);
        result
    }

    fn next(&self, queue: &mut Queue, position: Offset, until: Instant) -> Result<Came, Unsure> {
        loop {
            self.reader.serve();
            if self.damage.is_closed() || self.reader.foreign().is_some() {
                return Err(Unsure);
            }
            let slice = until.min(Instant::now() + SLICE);
            if !queue.fill(slice) {
                if Instant::now() < until {
                    continue;
                }
                return Ok(Came::Nothing);
            }
            let came = match queue.front().map(|item| item.what) {
                Some(What::Record(record)) => Some(Came::Record(record.offset)),
                Some(What::End(_)) => Some(Came::End),
                Some(What::Fault { code, offset, .. }) if is_damage(code) => Some(Came::Damage(offset)),
                Some(What::Fault { code, offset, .. }) if is_astray(code, offset, position) => {
                    Some(Came::Nothing)
                }
                Some(What::Fault { code, .. }) if is_passing(code) => None,
                Some(What::Fault { .. }) => return Err(Unsure),
                None => None,
            };
            queue.advance();
            if let Some(came) = came {
                return Ok(came);
            }
        }
    }

    /// What comes first; before it says that nothing does, the leader has answered a question that was asked behind the fetch.
    /// A broker answers in the order of the questions.
    fn first(&self, queue: &mut Queue, offset: Offset, patience: Duration) -> Result<Came, Unsure> {
        match self.next(queue, offset, Instant::now() + patience)? {
            Came::Nothing => {}
            came => return Ok(came),
        }
        if self.log_end()? > offset {
            return self.next(queue, offset, Instant::now() + PARSE);
        }
        // Only a fetch that was answered says so: a broker that refuses all of them for a while, which librdkafka keeps to itself,
        // would otherwise have unread records taken for damage up to the end of the log.
        match self.next(queue, offset, Instant::now() + THOROUGH)? {
            Came::Nothing => Err(Unsure),
            came => Ok(came),
        }
    }

    fn log_end(&self) -> Result<Offset, Unsure> {
        let key = [(Arc::clone(&self.partition.topic), self.partition.partition)];
        let found = self.reader.offsets(&key, When::End, ANSWER).map_err(|_| Unsure)?;
        let end = found.into_iter().next().ok_or(Unsure)?.map_err(|_| Unsure)?;
        end.offset.ok_or(Unsure)
    }
}

impl Probe for ClientProbe<'_> {
    fn scan(&mut self, from: Offset) -> Result<Option<Offset>, Unsure> {
        self.started(from, |queue| {
            let (mut position, enough) = (from, Instant::now() + SCAN);
            let mut patience = CONNECT;
            while Instant::now() < enough {
                match self.first(queue, position, patience)? {
                    Came::Record(offset) => {
                        position = position.max(offset.saturating_add(1));
                        patience = THOROUGH;
                    }
                    Came::End => return Ok(None),
                    // Where the batch begins is told by what does not parse, so it is believed only if it is near.
                    Came::Damage(batch) if (position..position.saturating_add(NEAR)).contains(&batch) => {
                        return Ok(Some(batch));
                    }
                    Came::Damage(_) | Came::Nothing => return Ok(Some(position)),
                }
            }
            Ok(None)
        })
    }

    fn look(&mut self, offset: Offset, thorough: bool) -> Result<Seen, Unsure> {
        let patience = if thorough { THOROUGH } else { GLANCE };
        self.started(offset, |queue| {
            Ok(match self.first(queue, offset, patience)? {
                Came::Record(_) | Came::End => Seen::Readable,
                Came::Damage(batch) => Seen::Unreadable(Some(batch)),
                Came::Nothing => Seen::Unreadable(None),
            })
        })
    }

    fn end(&mut self) -> Result<Offset, Unsure> {
        self.log_end()
    }

    fn rest(&mut self, pause: Duration) -> Result<(), Unsure> {
        let over = Instant::now() + pause;
        while Instant::now() < over {
            self.reader.serve();
            if self.damage.is_closed() {
                return Err(Unsure);
            }
            thread::sleep(SLICE.min(over.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

/// Whether librdkafka has lost its way: where a batch is damaged it takes rubbish for the header of the next one, and goes on at
/// the offset that stands in it. The brokers then have nothing there, which says nothing of `position`, where reading began or
/// had got to.
pub(in crate::kafka) fn is_astray(code: RDKafkaErrorCode, at: Offset, position: Offset) -> bool {
    let out_of_range = matches!(
        code,
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
    );
    out_of_range && !(position..position.saturating_add(NEAR)).contains(&at)
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
const GLANCE: Duration = Duration::from_millis(250);

/// The same where a mistake would lose records.
const THOROUGH: Duration = Duration::from_millis(500);

/// What an answer that has come needs to be parsed and queued.
const PARSE: Duration = Duration::from_millis(50);

/// How long reading may go on before the place counts as readable.
const SCAN: Duration = Duration::from_secs(3);

/// What the first fetch of a new client gets.
const CONNECT: Duration = Duration::from_secs(2);

/// What a leader gets to say where its log ends.
const ANSWER: Duration = Duration::from_secs(2);

/// How soon the end of the cluster is noticed.
const SLICE: Duration = Duration::from_millis(100);

/// How far behind the place where reading begins a batch that cannot be read is believed to be: offsets that compaction and
/// transactions may have left out before it.
pub(in crate::kafka) const NEAR: Offset = 1 << 20;
