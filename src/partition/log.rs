//! The tail of one partition, in memory: one writer, many readers.

mod successor;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::{
    Page, SharedWaker, TopicPartition,
    occupancy::{Occupancy, OccupancyGuard, RingUsage},
    page_ring::PageRing,
    shared_waker::WakerSet,
};
use crate::{
    event::{Encoding, Transform},
    position::{Epoch, LogPosition, LogTag, Offset},
};

/// One incarnation of a partition's log, with its newest pages in memory.
///
/// If the log that the tail reads turns out to be another one (truncated, deleted and created again, or the tail fell
/// behind retention), a new `PartitionLog` takes its place in the directory, and this one [is
/// replaced](Self::is_replaced).
///
/// ```
/// use riverhead::{
///     event::{Encoding, Headers, Record},
///     partition::{LogRead, PageBuilder, PartitionLog, TopicPartition},
///     position::LogTag,
/// };
///
/// let partition = TopicPartition { topic: "edits".into(), partition: 0 };
/// let log = PartitionLog::new(partition, LogTag::new("cluster", &[1; 16]), Encoding::default(), 7);
///
/// let mut page = PageBuilder::of(&log, log.next());
/// page.push(&Record {
///     offset: 7,
///     timestamp: 0,
///     epoch: 0,
///     key: None,
///     headers: Headers::default(),
///     value: Some(b"{}"),
///     canary: false,
/// })?;
/// log.append(page.finish(8));
///
/// assert!(matches!(log.read(6), LogRead::Below));
/// assert!(matches!(log.read(7), LogRead::Page(page) if page.at(7).is_some()));
/// assert!(matches!(log.read(8), LogRead::Ahead));
/// # Ok::<(), riverhead::event::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct PartitionLog {
    partition: TopicPartition,
    tag: LogTag,
    encoding: Encoding,
    /// What is done to each record before it becomes an event.
    transform: Option<Arc<dyn Transform>>,
    /// The offset at which the tail began to read.
    tail_start: Offset,
    ring: RwLock<PageRing<Self>>,
    bytes: AtomicUsize,
    replaced: AtomicBool,
    /// In milliseconds.
    overlap: AtomicU64,
    leader_epoch: AtomicI32,
    log_start: RwLock<Arc<LogStart>>,
    /// Whether the log waits in the directory for its deleted records to be dropped from caches.
    is_pending_clear: AtomicBool,
    /// Where the events of its topic are counted, once the log is in a directory.
    appended: OnceLock<Arc<AtomicU64>>,
    wakers: WakerSet,
}

/// The log start offset. Successive incarnations of one log share it.
#[derive(Debug, Default)]
struct LogStart {
    start: AtomicI64,
    /// When the start was last found to have risen.
    deleted_at: Mutex<Option<Instant>>,
}

/// The result of reading a log at an offset.
#[derive(Clone, Debug)]
pub enum LogRead {
    /// This page covers the offset.
    Page(Arc<Page>),
    /// The tail has not reached the offset. Subscribed wakers are woken when it has.
    Ahead,
    /// The offset has left the ring, or never was in it: read history.
    Below,
    /// This log is no longer the current one. Look it up in the directory.
    Replaced,
}

impl PartitionLog {
    /// Creates an empty log whose tail begins at `next`.
    pub fn new(partition: TopicPartition, tag: LogTag, encoding: Encoding, next: Offset) -> Arc<Self> {
        Self::with_transform(partition, tag, encoding, None, next)
    }

    /// Creates an empty log whose tail begins at `next`, of a topic whose records are transformed before they become events.
    pub fn with_transform(
        partition: TopicPartition,
        tag: LogTag,
        encoding: Encoding,
        transform: Option<Arc<dyn Transform>>,
        next: Offset,
    ) -> Arc<Self> {
        let end = LogPosition {
            offset: next,
            timestamp: None,
            log: Some(tag),
            epoch: None,
        };
        Arc::new(Self {
            partition,
            tag,
            encoding,
            transform,
            tail_start: next,
            ring: RwLock::new(PageRing::new(end)),
            bytes: AtomicUsize::new(0),
            replaced: AtomicBool::new(false),
            overlap: AtomicU64::new(0),
            leader_epoch: AtomicI32::new(UNKNOWN),
            log_start: RwLock::default(),
            is_pending_clear: AtomicBool::new(false),
            appended: OnceLock::new(),
            wakers: WakerSet::default(),
        })
    }

    /// Returns the leader's epoch at the time it reported where this log's tail begins; `None` if it reported none, or if
    /// records of earlier epochs follow. A record of a later epoch may belong to a log that was truncated before that offset
    /// and has grown past it again.
    pub fn leader_epoch(&self) -> Option<Epoch> {
        Some(self.leader_epoch.load(Ordering::Relaxed)).filter(|epoch| *epoch > UNKNOWN)
    }

    /// Sets the leader's epoch. To be called before the tail starts.
    pub fn set_leader_epoch(&self, epoch: Option<Epoch>) {
        self.leader_epoch
            .store(epoch.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Returns the partition that this is a log of.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Returns the tag that identifies this log in ids.
    pub fn tag(&self) -> LogTag {
        self.tag
    }

    /// Returns whether both are incarnations of the same log of Kafka.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.tag == other.tag
            && self.partition.partition == other.partition.partition
            && self.partition.topic == other.partition.topic
    }

    /// Returns how this partition's records are encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns what is done to each record before it becomes an event.
    pub fn transform(&self) -> Option<&Arc<dyn Transform>> {
        self.transform.as_ref()
    }

    /// Returns how far a position of another cluster goes back before its timestamp: zero, unless brokers set the
    /// timestamps.
    pub fn overlap(&self) -> Duration {
        Duration::from_millis(self.overlap.load(Ordering::Relaxed))
    }

    /// Sets the overlap for positions of other clusters.
    pub fn set_overlap(&self, overlap: Duration) {
        let millis = overlap.as_millis().try_into().unwrap_or(u64::MAX);
        self.overlap.store(millis, Ordering::Relaxed);
    }

    /// Returns the log start offset that a broker reported last; 0 before the first report. Records below it have been
    /// deleted, and are never served.
    pub fn start(&self) -> Offset {
        self.log_start.read().start.load(Ordering::Acquire)
    }

    /// Returns when it last became known that records were deleted.
    pub fn deleted_at(&self) -> Option<Instant> {
        *self.log_start.read().deleted_at.lock()
    }

    /// Sets the log start offset, and drops what the ring holds below it. Returns whether the start has risen. It may
    /// also fall: another replica became the leader and has deleted less. Call it through
    /// [`LogDirectory::set_start`](super::LogDirectory::set_start), which also wakes the caches.
    pub(super) fn set_start(&self, start: Offset) -> bool {
        if start == self.start() || self.is_withdrawn() {
            return false;
        }
        let mut ring = self.ring.write();
        let log_start = self.log_start.read();
        if log_start.start.swap(start, Ordering::AcqRel) > start {
            return false;
        }
        *log_start.deleted_at.lock() = Some(Instant::now());
        drop(log_start);
        let until = start.min(ring.next);
        let is_cut = ring.start < until;
        if is_cut {
            let bytes = ring.cut(until);
            self.account(&mut ring, bytes);
        }
        drop(ring);
        if is_cut {
            self.wakers.wake_all();
        }
        true
    }

    /// Shares the log start of `old`, which this log replaces, if both are incarnations of the same log: records
    /// deleted from one are deleted from both.
    pub(super) fn inherit_start(&self, old: &Self) {
        if old.tag == self.tag {
            let log_start = Arc::clone(&old.log_start.read());
            *self.log_start.write() = log_start;
        }
    }

    /// Sets whether the log's deleted records are still to be dropped from caches. Returns the previous value.
    pub(super) fn set_pending_clear(&self, is_pending: bool) -> bool {
        self.is_pending_clear.swap(is_pending, Ordering::AcqRel)
    }

    /// Returns whether `offset` can only be read from history.
    pub fn is_history(&self, offset: Offset) -> bool {
        matches!(self.read(offset), LogRead::Below)
    }

    /// Returns what is in memory at `offset`.
    pub fn read(&self, offset: Offset) -> LogRead {
        if self.is_replaced() {
            return LogRead::Replaced;
        }
        let ring = self.ring.read();
        if offset >= ring.next {
            return LogRead::Ahead;
        }
        ring.page_at(offset).map_or(LogRead::Below, LogRead::Page)
    }

    /// Returns the position at the end of the log, as far as the tail has read it.
    pub fn end(&self) -> LogPosition {
        self.ring.read().end
    }

    /// Returns the memory taken by the ring, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Wakes `shared_waker` whenever a page is appended, records are deleted, or the log is replaced.
    pub fn subscribe(&self, shared_waker: &Arc<SharedWaker>) {
        self.wakers.add(shared_waker);
    }

    /// Returns the offset at which the tail began to read. Every record from there on was written after the end of the
    /// log was looked up, and so after the arrival of every client that was connected before this log existed.
    pub fn tail_start(&self) -> Offset {
        self.tail_start
    }

    /// Returns the offset at which the tail continues. The next page must be built from here.
    pub fn next(&self) -> Offset {
        self.ring.read().next
    }

    /// Appends a page read by the tail. There must be one writer only.
    ///
    /// A page that ends at or below the end of the ring is ignored, because readers find pages by their ends. This is
    /// the one place where pages that two Kafka clients both read during a handover are deduplicated.
    pub fn append(&self, page: Page) {
        let mut ring = self.ring.write();
        if page.next() <= ring.next || self.is_replaced() {
            return;
        }
        let page = match page.without_deleted(self.start()) {
            Some(rest) => rest,
            None => page,
        };
        if page.range().start > ring.next {
            // The tail skipped offsets; what lies between is left to history.
            ring.start = page.range().start;
            ring.pages.clear();
            self.bytes.store(0, Ordering::Relaxed);
        }
        if let Some(appended) = self.appended.get() {
            appended.fetch_add(page.events().len() as u64, Ordering::Relaxed);
        }
        ring.push(page, self.tag);
        let bytes = self.bytes() + ring.newest_bytes() - ring.merge_small();
        self.account(&mut ring, bytes);
        drop(ring);
        self.wakers.wake_all();
    }

    /// Drops the oldest page of the ring, even if it is the only one, and returns how many bytes that freed. The page's
    /// records are read from history from then on.
    pub fn evict_oldest(&self) -> usize {
        let mut ring = self.ring.write();
        let Some(page) = ring.pages.pop_front() else {
            return 0;
        };
        ring.start = page.next();
        let bytes = self.bytes().saturating_sub(page.bytes());
        self.account(&mut ring, bytes);
        page.bytes()
    }

    /// Adds the events of every page that is appended from now on to this count. Only the first call has an effect.
    pub(super) fn count_events(&self, appended: &Arc<AtomicU64>) {
        _ = self.appended.set(Arc::clone(appended));
    }

    /// Adds the ring's bytes to the total over all rings from now on.
    pub(super) fn join_occupancy(self: &Arc<Self>, occupancy: &Arc<Occupancy<Self>>) {
        let mut ring = self.ring.write();
        ring.occupancy_guard = Some(OccupancyGuard::new(occupancy, self));
        let bytes = self.bytes();
        self.account(&mut ring, bytes);
    }

    fn account(&self, ring: &mut PageRing<Self>, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
        let newest = ring.newest_bytes();
        if let Some(occupancy_guard) = &mut ring.occupancy_guard {
            occupancy_guard.set(RingUsage { bytes, newest });
        }
    }

    /// Returns whether another log has replaced this one.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    /// Marks the log as replaced, drops its pages, and wakes every reader to look into the directory. Called by the
    /// directory only.
    pub(super) fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        let mut ring = self.ring.write();
        ring.pages.clear();
        ring.start = ring.next;
        self.account(&mut ring, 0);
        // Removes the ring from the total for good.
        ring.occupancy_guard = None;
        drop(ring);
        self.wakers.wake_all();
    }
}

/// Stands for an epoch that no leader has reported.
const UNKNOWN: Epoch = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_from_the_end_begins_behind_what_cannot_be_read() {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let log = PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 10);
        log.append(Page::unreadable(10..20));
        assert_eq!((log.end().offset, log.next()), (20, 20));
        assert!(matches!(log.read(15), LogRead::Page(page) if page.is_unreadable()));
        assert!(matches!(log.read(20), LogRead::Ahead));
    }
}
