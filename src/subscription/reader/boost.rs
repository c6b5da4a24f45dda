//! Boosting partitions in a merge by time, so that no partition waits for ever because of its timestamps.
//!
//! A partition with timestamps of 1970 comes before all others, and one with timestamps of 2099 after all. A client
//! that is slower than the producers would never see the later ones.

use super::head::MergeHead;
use crate::{position::Timestamp, subscription::PartitionReader};

/// A partition that goes before all others, for a number of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriorityBoost {
    index: usize,
    left: u32,
}

/// Returns a boost for the partition that has waited longest, if it has waited for `MAX_WAIT` events or more and its time is
/// more than `MIN_TIME_GAP` after the oldest. `passed` is the number of events that the subscription has passed. Updates the
/// start of each wait in `readers`.
pub(super) fn boost(
    passed: u64,
    readers: &mut [PartitionReader],
    heads: &[Option<MergeHead>],
) -> Option<PriorityBoost> {
    let times = || heads.iter().flatten().filter_map(MergeHead::event_time);
    let oldest = times().min()?;
    let mut longest: Option<(u64, usize)> = None;
    for (index, (reader, head)) in readers.iter_mut().zip(heads).enumerate() {
        let Some(time) = head.as_ref().and_then(MergeHead::event_time) else {
            reader.waits_since = None;
            continue;
        };
        let since = *reader.waits_since.get_or_insert(passed);
        let is_due = passed - since >= MAX_WAIT && time.saturating_sub(oldest) > MIN_TIME_GAP;
        if is_due && longest.is_none_or(|(longest, _)| since < longest) {
            longest = Some((since, index));
        }
    }
    longest.map(|(_, index)| PriorityBoost {
        index,
        left: BOOST_EVENTS,
    })
}

impl PriorityBoost {
    /// Counts an event, if it is of the boosted partition.
    pub(super) fn count(&mut self, index: usize) {
        if self.index == index {
            self.left = self.left.saturating_sub(1);
        }
    }
}

/// Returns the time by which the merge orders the head of the partition with this index. A boosted partition comes first, and so
/// does a hole, because passing it costs nothing.
pub(super) fn merge_time(boost: Option<PriorityBoost>, index: usize, head: &MergeHead) -> Timestamp {
    match boost {
        Some(boost) if boost.index == index && boost.left > 0 => Timestamp::MIN,
        _ => head.event_time().unwrap_or(Timestamp::MIN),
    }
}

/// How much newer than the oldest head a record must be to be boosted, in milliseconds: a year. Anything nearer has a
/// plausible time and is merged in order, also over months of history.
const MIN_TIME_GAP: Timestamp = 365 * 86_400_000;

/// How many events of other partitions a partition waits for.
const MAX_WAIT: u64 = 4096;

/// How many events a boosted partition may give: one in 64 of what a client gets while others have more.
const BOOST_EVENTS: u32 = 64;
