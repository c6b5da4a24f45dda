//! Reads pages of the partitions that one history reader serves.
//!
//! A partition stays started for a while after a page: the page that follows goes on with what was fetched ahead, so
//! that a replay fetches each byte once. While nobody reads on, a started partition fetches until its queue is full and
//! then costs memory only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    event::Record,
    kafka::{
        client::{PAGE_BYTES, PAGE_RECORDS},
        damage::{NEAR, is_astray, is_damage},
        history::mailbox::PageWant,
        reader::{Queue, Reader, What},
    },
    partition::{Page, PageBuilder, PartitionLog},
    position::Offset,
};

/// The started partitions of one reader.
pub(super) struct Streams {
    reader: Reader,
    open: Vec<Stream>,
    limit: Arc<WarmLimit>,
}

/// What a read gave.
#[derive(Debug)]
pub(super) struct Piece {
    /// The page; it covers up to where the next read goes on.
    pub(super) page: Page,
    /// The log ended behind it.
    pub(super) ends: bool,
    /// It ended early for its size.
    pub(super) cut: bool,
    /// Bytes of keys, headers and values in it.
    pub(super) bytes: usize,
    /// A record of this log bears its broker's time.
    pub(super) broker_clock: bool,
    /// What comes behind it in the queue is not to be believed.
    broken: bool,
}

/// Why a read gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The broker says that the first offset is out of range.
    OutOfRange,
    /// Nothing came in time.
    Silence,
    /// The broker has something there that cannot be read, says librdkafka.
    Damage(RDKafkaErrorCode),
    /// Something else is wrong with the partition.
    Fault(RDKafkaErrorCode),
}

/// How many partitions all readers of a cluster keep started beyond the one each reads.
#[derive(Debug)]
pub(super) struct WarmLimit {
    pub(super) open: AtomicUsize,
    most: usize,
    readers: AtomicUsize,
}

/// A started partition.
struct Stream {
    log: Arc<PartitionLog>,
    queue: Queue,
    /// All records from here on are still to come.
    position: Offset,
    used: Instant,
    /// What it has fetched ahead is large.
    is_heavy: bool,
    /// Bytes of the last page: the next is likely to have as many.
    room: usize,
    broker_clock: bool,
}

/// What the front item of a queue means for the page.
enum Step {
    Take,
    /// The page ends before this item, which stays.
    Leave {
        cut: bool,
    },
    End(Offset),
    /// What is at this offset cannot be read, and what the queue has behind it is rubbish.
    Break(Offset, RDKafkaErrorCode),
    Fail(Failure),
}

impl Streams {
    pub(super) fn new(reader: Reader, limit: Arc<WarmLimit>) -> Self {
        limit.readers.fetch_add(1, Ordering::Relaxed);
        Self {
            reader,
            open: Vec::new(),
            limit,
        }
    }

    /// Reads a page, waiting at most `wait`.
    ///
    /// # Errors
    /// When not a whole page came; the partition is then stopped, and the next read begins afresh.
    pub(super) fn read(&mut self, want: &PageWant, wait: Duration) -> Result<Piece, Failure> {
        let deadline = Instant::now() + wait;
        if let Some(mut stream) = self.resume(want) {
            match self.finish(stream.page(want, deadline), stream) {
                // An end that was noted before this read says nothing of now: read afresh, or let the caller.
                Ok(piece) if piece.page.range().is_empty() => {}
                result => return result.map(|piece| Piece { ends: false, ..piece }),
            }
        }
        let mut stream = self.start(want)?;
        self.finish(stream.page(want, deadline), stream)
    }

    /// Starts partitions that will be read next, as far as the memory for it goes: what they fetch meanwhile is there then, so
    /// that many short reads take as long as a few.
    pub(super) fn start_ahead(&mut self, wants: impl IntoIterator<Item = PageWant>) {
        for want in wants {
            let partition = want.log.partition();
            if self.open.iter().any(|stream| stream.log.partition() == partition) {
                continue;
            }
            if !self.admit_ahead() {
                return;
            }
            match self.open_queue(&want) {
                Ok(queue) => self.open.push(Stream::new(&want, queue)),
                Err(_) => self.limit.release(),
            }
        }
    }

    /// Makes room for one more, at the cost of one that nobody has read on for a moment.
    fn admit_ahead(&mut self) -> bool {
        if self.open.len() < self.limit.share() && self.limit.admit() {
            return true;
        }
        let now = Instant::now();
        let idle = |stream: &Stream| now.duration_since(stream.used) >= IDLE;
        let Some(at) = self.open.iter().position(idle) else {
            return false;
        };
        let stream = self.open.swap_remove(at);
        self.stop(stream);
        self.limit.admit()
    }

    /// Stops what nobody has read on for a while, and what may hold records that have been deleted.
    pub(super) fn tidy(&mut self) {
        let now = Instant::now();
        self.stop_all(|stream| {
            let most = if stream.is_heavy { HEAVY_FOR } else { WARM_FOR };
            now.duration_since(stream.used) >= most
                || stream.log.is_replaced()
                || stream.position < stream.log.start()
        });
    }

    fn stop_all(&mut self, which: impl Fn(&Stream) -> bool) {
        let stopped: Vec<_> = self.open.extract_if(.., |stream| which(stream)).collect();
        for stream in stopped {
            self.stop(stream);
        }
    }

    /// The started stream, when the page lies at or shortly behind its position.
    fn resume(&mut self, want: &PageWant) -> Option<Stream> {
        let partition = want.log.partition();
        let at = self
            .open
            .iter()
            .position(|stream| stream.log.partition() == partition)?;
        let stream = self.open.swap_remove(at);
        let ahead = want.from - stream.position;
        if Arc::ptr_eq(&stream.log, &want.log) && (0..=SKIP).contains(&ahead) {
            return Some(stream);
        }
        self.stop(stream);
        None
    }

    fn start(&mut self, want: &PageWant) -> Result<Stream, Failure> {
        while !self.limit.admit() {
            let Some(oldest) = (0..self.open.len()).min_by_key(|at| self.open[*at].used) else {
                self.limit.force();
                break;
            };
            let oldest = self.open.swap_remove(oldest);
            self.stop(oldest);
        }
        let queue = self.open_queue(want);
        if queue.is_err() {
            self.limit.release();
        }
        Ok(Stream::new(want, queue.map_err(Failure::Fault)?))
    }

    fn open_queue(&self, want: &PageWant) -> Result<Queue, RDKafkaErrorCode> {
        let queue = self.reader.queue()?;
        let partition = want.log.partition();
        self.reader
            .start(&partition.topic, partition.partition, want.from, &queue)?;
        Ok(queue)
    }

    /// Keeps the stream for the page that follows, if there is one to come.
    fn finish(&mut self, result: Result<Piece, Failure>, mut stream: Stream) -> Result<Piece, Failure> {
        let broker_clock = stream.broker_clock;
        match &result {
            // The end is told once: whoever waits for it again would wait in vain.
            Ok(piece) if !piece.ends && !piece.broken && stream.is_worth_keeping(piece.page.next()) => {
                stream.position = piece.page.next();
                stream.used = Instant::now();
                stream.room = piece.page.bytes().min(PAGE_BYTES);
                // Records of a page come to more than that only when one alone does; what the page costs in memory may.
                stream.is_heavy = piece.bytes > PAGE_BYTES || stream.front_size() > PAGE_BYTES;
                if stream.is_heavy {
                    // One is the most that a reader keeps.
                    self.stop_all(|stream| stream.is_heavy);
                }
                self.open.push(stream);
            }
            Err(Failure::Fault(code) | Failure::Damage(code)) => {
                self.reader.count(*code);
                self.stop(stream);
            }
            _ => self.stop(stream),
        }
        result.map(|piece| Piece {
            broker_clock,
            ..piece
        })
    }

    fn stop(&self, stream: Stream) {
        let partition = stream.log.partition();
        self.reader.stop(&partition.topic, partition.partition);
        self.limit.release();
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        while let Some(stream) = self.open.pop() {
            self.stop(stream);
        }
        self.limit.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    fn new(want: &PageWant, queue: Queue) -> Self {
        Self {
            log: Arc::clone(&want.log),
            queue,
            position: want.from,
            used: Instant::now(),
            is_heavy: false,
            room: 0,
            broker_clock: false,
        }
    }

    fn page(&mut self, want: &PageWant, deadline: Instant) -> Result<Piece, Failure> {
        let records = (want.to - want.from).clamp(0, PAGE_RECORDS) as usize;
        let mut page = PageBuilder::with_capacity(want.from, want.log.encoding(), records, self.room);
        let mut bytes = 0;
        while page.next() < want.to {
            let until = || match page.is_empty() {
                true => deadline,
                false => deadline.min(Instant::now() + LULL),
            };
            if !self.queue.has_item() && !self.queue.fill(until()) {
                // Whatever came is of use: the next read goes on behind it.
                return match page.is_empty() {
                    true => Err(Failure::Silence),
                    false => Ok(Piece::of(page, bytes)),
                };
            }
            match self.step(want, &mut page, &mut bytes) {
                Step::Take => self.queue.advance(),
                Step::Leave { cut: true } => return Ok(Piece::new(page, want.from, bytes).cut()),
                Step::Leave { cut: false } => break,
                Step::End(offset) => return Ok(Piece::new(page, offset, bytes).ending()),
                Step::Break(..) if !page.is_empty() => return Ok(Piece::of(page, bytes).broken()),
                // Of what lies before it nothing is left.
                Step::Break(at, _) if (want.to..want.from.saturating_add(NEAR)).contains(&at) => {
                    return Ok(Piece::new(page, want.to, bytes).broken());
                }
                Step::Break(_, code) => return Err(Failure::Damage(code)),
                Step::Fail(failure) => return Err(failure),
            }
        }
        // What lies between the last record and `to`, or the record that comes behind it, is a hole.
        Ok(Piece::new(page, want.to.max(self.front_offset()), bytes))
    }

    fn step(&mut self, want: &PageWant, page: &mut PageBuilder, bytes: &mut usize) -> Step {
        let Some(item) = self.queue.front() else {
            return Step::Fail(Failure::Silence);
        };
        self.broker_clock |= item.broker_clock;
        match item.what {
            What::Record(record) if record.offset >= want.to => Step::Leave { cut: false },
            What::Record(record) if record.offset < page.next() => Step::Take,
            What::Record(record) => {
                let size = size(&record);
                if !page.is_empty() && page.bytes() + size > PAGE_BYTES {
                    return Step::Leave { cut: true };
                }
                *bytes += size;
                if let Err(reject) = page.push(&record) {
                    // The tail counts those; here the same one may come by again and again.
                    tracing::debug!(partition = %want.log.partition(), offset = record.offset, "skipped: {reject}");
                }
                Step::Take
            }
            What::End(offset) => Step::End(offset),
            What::Fault { code, offset, .. } if is_damage(code) => Step::Break(offset, code),
            What::Fault { code, offset, .. } if is_astray(code, offset, page.next()) => {
                Step::Break(page.next(), code)
            }
            What::Fault { code, .. } => Step::Fail(Failure::of(code)),
        }
    }

    /// Whether it is to stay started behind a page that ends at `next`.
    ///
    /// Where the tail has taken over, a partition that stays started is fetched twice. But one fetch of small records brings many
    /// pages: thrown away at the edge of the ring, they were fetched once more for each page by which the edge moves on. As long as
    /// so many are ready, librdkafka fetches no more of them.
    fn is_worth_keeping(&self, next: Offset) -> bool {
        self.log.is_history(next) || self.queue.ready() as Offset >= PAGE_RECORDS
    }

    /// The size of the record that is known to come next, in bytes; 0 when none is known.
    fn front_size(&mut self) -> usize {
        match self.queue.front().map(|item| item.what) {
            Some(What::Record(record)) => size(&record),
            _ => 0,
        }
    }

    /// The offset of the record that is known to come next; -1 when none is known.
    fn front_offset(&mut self) -> Offset {
        match self.queue.front().map(|item| item.what) {
            Some(What::Record(record)) => record.offset,
            _ => -1,
        }
    }
}

impl Piece {
    fn new(page: PageBuilder, next: Offset, bytes: usize) -> Self {
        Self {
            page: page.finish(next),
            ends: false,
            cut: false,
            bytes,
            broker_clock: false,
            broken: false,
        }
    }

    /// One that covers nothing behind its last record.
    fn of(page: PageBuilder, bytes: usize) -> Self {
        let next = page.next();
        Self::new(page, next, bytes)
    }

    fn broken(self) -> Self {
        Self { broken: true, ..self }
    }

    fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    fn ending(self) -> Self {
        Self { ends: true, ..self }
    }
}

impl Failure {
    fn of(code: RDKafkaErrorCode) -> Self {
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Self::OutOfRange,
            code => Self::Fault(code),
        }
    }
}

impl WarmLimit {
    /// One that takes at most half of `budget` bytes, but lets each reader read.
    pub(super) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            most: budget / 2 / WARM_BYTES,
            readers: AtomicUsize::new(0),
        })
    }

    fn admit(&self) -> bool {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.most).then_some(open + 1)
            })
            .is_ok()
    }

    /// What may have been fetched ahead for those that are open, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.open.load(Ordering::Relaxed).min(self.most) * WARM_BYTES
    }

    /// What one reader may start ahead, so that one with many partitions does not take it all from the others.
    fn share(&self) -> usize {
        self.most / self.readers.load(Ordering::Relaxed).max(1)
    }

    /// A reader that has nothing to give up still needs the one partition it reads.
    fn force(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn release(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn size(record: &Record<'_>) -> usize {
    let parts = [record.key, record.value, Some(record.headers.as_bytes())];
    parts.into_iter().flatten().map(<[u8]>::len).sum()
}

/// What a started partition may hold that was fetched ahead: a full queue, and a fetch or one record more.
const WARM_BYTES: usize = 2 << 20;

/// How long a partition stays started without a page read of it. Clients that replay come back for the next page when
/// their sockets have taken this one, which takes seconds when hundreds replay at once; each stop in between throws away
/// what was fetched ahead, up to 2 MiB.
const WARM_FOR: Duration = Duration::from_secs(30);

/// How long a page that has records already waits for more: the next read goes on behind them.
const LULL: Duration = Duration::from_millis(500);

/// The same where records are large: they are many megabytes, in no budget.
const HEAVY_FOR: Duration = Duration::from_millis(500);

/// How long a started partition is not taken for one that is to be read next: clients that replay one by one are back sooner.
const IDLE: Duration = Duration::from_secs(1);

/// Records it is cheaper to read over than to begin afresh for: what a reader keeps ready anyway.
const SKIP: Offset = 1024;
