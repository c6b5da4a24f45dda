//! The tail of one partition, in memory: one writer, many readers.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::{
    Page, SharedWaker, TopicPartition,
    occupancy::{Occupancy, OccupancyGuard, RingUsage},
    shared_waker::WakerSet,
};
use crate::{
    event::Encoding,
    position::{Epoch, LogPosition, LogTag, Offset, Timestamp},
};

/// One incarnation of a partition, with its newest pages in memory.
///
/// When the log under the tail turns out to be another one (truncated, deleted and created again, or the tail fell behind
/// what is retained), a new `PartitionLog` takes its place in the directory and this one is [`replaced`](Self::replace).
#[derive(Debug)]
pub struct PartitionLog {
    partition: TopicPartition,
    tag: LogTag,
    encoding: Encoding,
    /// The offset that its tail began at.
    tail_start: Offset,
    ring: RwLock<PageRing>,
    bytes: AtomicUsize,
    replaced: AtomicBool,
    /// In ms.
    overlap: AtomicU64,
    leader_epoch: AtomicI32,
    log_start: RwLock<Arc<LogStart>>,
    /// Whether it is among the logs whose deleted records somebody is to drop.
    is_pending_clear: AtomicBool,
    wakers: WakerSet,
}

/// Where a log starts. All that stand for one log after another share it.
#[derive(Debug, Default)]
struct LogStart {
    start: AtomicI64,
    /// When it was last found to be higher than before.
    deleted_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct PageRing {
    pages: VecDeque<Arc<Page>>,
    /// The first offset the ring speaks for.
    start: Offset,
    /// The first offset behind the ring.
    next: Offset,
    /// What is known of the record before `next`; the timestamp is that of the last one that had one.
    mark: LogPosition,
    /// Where its bytes are added up with those of the other rings; `None` before the log is in a directory.
    occupancy_guard: Option<OccupancyGuard<PartitionLog>>,
}

/// What a log has at an offset.
#[derive(Clone, Debug)]
pub enum LogRead {
    /// This page covers it.
    Page(Arc<Page>),
    /// The tail has not come this far; the waker rings when it has.
    Ahead,
    /// It has left the ring, or never was in it: read history.
    Below,
    /// This log is not the current one any more; look into the directory.
    Replaced,
}

impl PartitionLog {
    /// An empty log whose tail begins at `next`.
    pub fn new(partition: TopicPartition, tag: LogTag, encoding: Encoding, next: Offset) -> Arc<Self> {
        let mark = LogPosition {
            offset: next,
            timestamp: None,
            log: Some(tag),
            epoch: None,
        };
        Arc::new(Self {
            partition,
            tag,
            encoding,
            tail_start: next,
            ring: RwLock::new(PageRing {
                pages: VecDeque::new(),
                start: next,
                next,
                mark,
                occupancy_guard: None,
            }),
            bytes: AtomicUsize::new(0),
            replaced: AtomicBool::new(false),
            overlap: AtomicU64::new(0),
            leader_epoch: AtomicI32::new(UNKNOWN),
            log_start: RwLock::default(),
            is_pending_clear: AtomicBool::new(false),
            wakers: WakerSet::default(),
        })
    }

    /// The leader's epoch when it said where this log's tail begins; `None` when it did not say. Whatever has a later one may
    /// stand in a log that was cut off before that place and grew past it again.
    pub fn leader_epoch(&self) -> Option<Epoch> {
        Some(self.leader_epoch.load(Ordering::Relaxed)).filter(|epoch| *epoch > UNKNOWN)
    }

    /// Sets it, before the tail starts.
    pub fn set_leader_epoch(&self, epoch: Option<Epoch>) {
        self.leader_epoch
            .store(epoch.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Which partition this is the log of.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Names this log in ids.
    pub fn tag(&self) -> LogTag {
        self.tag
    }

    /// Whether both stand for one log, the one after the other.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.tag == other.tag
            && self.partition.partition == other.partition.partition
            && self.partition.topic == other.partition.topic
    }

    /// How this partition's records become lines.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// How far a position of another cluster goes back beyond its timestamp: nothing, unless brokers set the timestamps.
    pub fn overlap(&self) -> Duration {
        Duration::from_millis(self.overlap.load(Ordering::Relaxed))
    }

    /// Says so.
    pub fn set_overlap(&self, overlap: Duration) {
        let millis = overlap.as_millis().try_into().unwrap_or(u64::MAX);
        self.overlap.store(millis, Ordering::Relaxed);
    }

    /// Returns the offset of the log's start, as a broker told last; 0 before any did. What lies below it has been deleted, and
    /// is served from nowhere.
    pub fn start(&self) -> Offset {
        self.log_start.read().start.load(Ordering::Acquire)
    }

    /// Returns when it last became known that records were deleted.
    pub fn deleted_at(&self) -> Option<Instant> {
        *self.log_start.read().deleted_at.lock()
    }

    /// Notes where the log starts, and drops what the ring has below that; whether the start is higher than before. It may also be
    /// lower: another replica leads, and has deleted less. Through [`LogDirectory::set_start`](super::LogDirectory::set_start), which
    /// tells those who keep copies.
    pub(super) fn set_start(&self, start: Offset) -> bool {
        if start == self.start() {
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

    /// Goes on for `old`, which it replaces: of one log what is deleted is deleted for both.
    pub(super) fn inherit_start(&self, old: &Self) {
        if old.tag == self.tag {
            let log_start = Arc::clone(&old.log_start.read());
            *self.log_start.write() = log_start;
        }
    }

    /// Marks it as one whose deleted records are to be dropped, or as one that is seen to; whether it was marked.
    pub(super) fn set_pending_clear(&self, mark: bool) -> bool {
        self.is_pending_clear.swap(mark, Ordering::AcqRel)
    }

    /// Whether only history has what is at `offset`.
    pub fn is_history(&self, offset: Offset) -> bool {
        matches!(self.read(offset), LogRead::Below)
    }

    /// What is in memory at `offset`.
    pub fn read(&self, offset: Offset) -> LogRead {
        if self.is_replaced() {
            return LogRead::Replaced;
        }
        let ring = self.ring.read();
        if offset >= ring.next {
            LogRead::Ahead
        } else if offset < ring.start {
            LogRead::Below
        } else {
            let index = ring.pages.partition_point(|page| page.next() <= offset);
            ring.pages
                .get(index)
                .cloned()
                .map_or(LogRead::Below, LogRead::Page)
        }
    }

    /// The end of the log as the tail knows it, with what is known of the record before it.
    pub fn end(&self) -> LogPosition {
        self.ring.read().mark
    }

    /// What the ring costs in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Wakes `shared_waker` whenever there is something new, or when the log is replaced.
    pub fn subscribe(&self, shared_waker: &Arc<SharedWaker>) {
        self.wakers.add(shared_waker);
    }

    /// Returns the offset that the tail began at. Whatever is at or behind it came after the end of the log was asked for, and
    /// so after every client that was there before this log.
    pub fn tail_start(&self) -> Offset {
        self.tail_start
    }

    /// The offset the tail goes on at: build the next page from here on.
    pub fn next(&self) -> Offset {
        self.ring.read().next
    }

    /// Adds what the tail has read; one writer only.
    ///
    /// What the ring has already is not there twice: a reader finds a page by its end. So this is the one place where
    /// a hand-over between clients of Kafka is deduplicated.
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
            // The tail went on elsewhere; what lies between is history.
            ring.start = page.range().start;
            ring.pages.clear();
            self.bytes.store(0, Ordering::Relaxed);
        }
        if let Some(last) = page.events().last() {
            ring.mark = LogPosition {
                offset: last.offset.saturating_add(1),
                timestamp: newest_timestamp(&page).or(ring.mark.timestamp),
                log: Some(self.tag),
                epoch: Some(last.epoch).filter(|epoch| *epoch >= 0),
            };
        } else if page.is_unreadable() {
            // Whoever goes on from the end must not begin before what nobody can read.
            ring.mark.offset = page.next();
        }
        ring.next = page.next();
        ring.pages.push_back(Arc::new(page));
        let bytes = self.bytes() + newest_page_bytes(&ring);
        self.account(&mut ring, bytes);
        drop(ring);
        self.wakers.wake_all();
    }

    /// Drops the oldest page of the ring, also when it is the newest; how many bytes that freed. What is dropped is read as
    /// history from then on.
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

    /// Adds its bytes to those of the other rings from now on.
    pub(super) fn join_occupancy(self: &Arc<Self>, occupancy: &Arc<Occupancy<Self>>) {
        let mut ring = self.ring.write();
        ring.occupancy_guard = Some(OccupancyGuard::new(occupancy, self));
        let bytes = self.bytes();
        self.account(&mut ring, bytes);
    }

    fn account(&self, ring: &mut PageRing, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
        let newest = newest_page_bytes(ring);
        if let Some(occupancy_guard) = &mut ring.occupancy_guard {
            occupancy_guard.set(RingUsage { bytes, newest });
        }
    }

    /// Whether another log has taken this one's place.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    /// Drops the pages and tells every reader to look into the directory. Called by the directory only.
    pub(super) fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        let mut ring = self.ring.write();
        ring.pages.clear();
        ring.start = ring.next;
        self.account(&mut ring, 0);
        // Out of the total for good.
        ring.occupancy_guard = None;
        drop(ring);
        self.wakers.wake_all();
    }
}

impl PageRing {
    /// Drops what lies below `start`, which is within the ring; what is left, in bytes.
    fn cut(&mut self, start: Offset) -> usize {
        self.start = start;
        while self.pages.front().is_some_and(|page| page.next() <= start) {
            self.pages.pop_front();
        }
        if let Some(page) = self.pages.front_mut()
            && let Some(rest) = page.without_deleted(start)
        {
            *page = Arc::new(rest);
        }
        self.pages.iter().map(|page| page.bytes()).sum()
    }
}

fn newest_page_bytes(ring: &PageRing) -> usize {
    ring.pages.back().map_or(0, |page| page.bytes())
}

/// Returns the timestamp of the last record of `page` that has one.
fn newest_timestamp(page: &Page) -> Option<Timestamp> {
    let mut times = page.events().iter().rev().map(|event| event.timestamp);
    times.find(|time| *time >= 0)
}

/// Stands for an epoch that nobody told.
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
