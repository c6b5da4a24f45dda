//! Which part goes out of its turn in a merge by time, so that no timestamps keep a part waiting for ever.
//!
//! A partition whose records bear times of 1970 comes before all others, and one of the year 2099 behind all: a client that is
//! slower than what is produced would never see the ones behind.

use super::head::MergeHead;
use crate::{position::Timestamp, subscription::partition_reader::PartitionReader};

/// How many events a subscription has passed.
#[derive(Debug, Default)]
pub(super) struct PassedEvents(u64);

/// A part that goes first, for so many events.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriorityBoost {
    part: usize,
    left: u32,
}

impl PassedEvents {
    /// Counts one event.
    pub(super) fn count(&mut self) {
        self.0 += 1;
    }

    /// Returns the part that has waited for longest, if that is too long and its time far behind the oldest. Which part
    /// waits since when is noted in `parts`.
    pub(super) fn boost(
        &self,
        parts: &mut [PartitionReader],
        heads: &[Option<MergeHead>],
    ) -> Option<PriorityBoost> {
        let times = || heads.iter().flatten().filter_map(MergeHead::event_time);
        let oldest = times().min()?;
        let mut longest: Option<(u64, usize)> = None;
        for (index, (part, head)) in parts.iter_mut().zip(heads).enumerate() {
            let Some(time) = head.as_ref().and_then(MergeHead::event_time) else {
                part.waits_since = None;
                continue;
            };
            let since = *part.waits_since.get_or_insert(self.0);
            let is_due = self.0 - since >= MAX_WAIT && time.saturating_sub(oldest) > MIN_TIME_GAP;
            if is_due && longest.is_none_or(|(longest, _)| since < longest) {
                longest = Some((since, index));
            }
        }
        longest.map(|(_, part)| PriorityBoost {
            part,
            left: BOOST_EVENTS,
        })
    }
}

impl PriorityBoost {
    /// Whether it is this part's.
    fn is_of(&self, part: usize) -> bool {
        self.part == part && self.left > 0
    }

    /// Counts an event of this part.
    pub(super) fn count(&mut self, part: usize) {
        if self.part == part {
            self.left = self.left.saturating_sub(1);
        }
    }
}

/// Returns the time by which the merge orders the head of `part`: before all others while the part is boosted.
pub(super) fn merge_time(boost: Option<PriorityBoost>, part: usize, head: &MergeHead) -> Timestamp {
    match boost {
        Some(boost) if boost.is_of(part) => Timestamp::MIN,
        _ => head.timestamp(),
    }
}

/// How much newer than the oldest a record must be to go out of turn, in milliseconds: a year. What is nearer is in time, and is
/// merged in order, also over months of history.
const MIN_TIME_GAP: Timestamp = 365 * 86_400_000;

/// How many events of others a part waits for.
const MAX_WAIT: u64 = 4096;

/// How many events a part may give out of turn: one in 64 of what a client gets while others have more.
const BOOST_EVENTS: u32 = 64;
