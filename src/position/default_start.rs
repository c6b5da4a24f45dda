//! Where a topic starts of which an id says nothing: at the time of what it says of others.

use super::{PartitionPosition, Timestamp};

impl PartitionPosition {
    /// Returns the time that leads to it in another log; `None` when there is none.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Since(time) => Some(*time),
            Self::At(mark) => mark.timestamp,
            Self::Earliest | Self::Latest => None,
        }
    }
}

/// Returns the place of a topic that an id with these places lacks: the newest of their times, or `None` if they have none.
///
/// A record's timestamp is what its producer wrote, and one of the year 2099 must not skip all that the topic has. So a time
/// that is ahead of `now`, by our clock, counts for less: an hour earlier if it is ahead by less than that, and else not at all.
/// If there is no other, the topic starts at its start. Whatever our clock says, too much comes rather than too little.
pub fn default_start_position(
    places: impl IntoIterator<Item = PartitionPosition>,
    now: Timestamp,
) -> Option<PartitionPosition> {
    let bounds =
        places
            .into_iter()
            .filter_map(|place| place.time())
            .map(|time| match time.saturating_sub(now) {
                ..=0 => Some(time),
                1..=MAX_AHEAD => Some(time - MAX_AHEAD),
                _ => None,
            });
    // Of no bound at all `max` says nothing, and "from the start" is below every time.
    Some(
        bounds
            .max()?
            .map_or(PartitionPosition::Earliest, PartitionPosition::Since),
    )
}

/// How far ahead of a broker's clock the timestamp of a record may be: `message.timestamp.after.max.ms`, by default since
/// Kafka 4.0. So a record was written at most this long before the time that it bears.
const MAX_AHEAD: Timestamp = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_790_000_000_000;

    fn elsewhere(times: &[Timestamp]) -> Option<PartitionPosition> {
        default_start_position(times.iter().map(|time| PartitionPosition::Since(*time)), NOW)
    }

    #[test]
    fn the_newest_time_that_is_not_ahead_leads_on() {
        assert_eq!(
            elsewhere(&[NOW - 5, NOW - 9]),
            Some(PartitionPosition::Since(NOW - 5))
        );
        assert_eq!(elsewhere(&[NOW]), Some(PartitionPosition::Since(NOW)));
        assert_eq!(elsewhere(&[]), None);
        assert_eq!(
            default_start_position([PartitionPosition::Latest, PartitionPosition::Earliest], NOW),
            None
        );
    }

    #[test]
    fn a_time_far_ahead_never_skips_anything() {
        let year_2099 = 4_100_000_000_000;
        assert_eq!(
            elsewhere(&[NOW - 9, year_2099]),
            Some(PartitionPosition::Since(NOW - 9))
        );
        assert_eq!(elsewhere(&[year_2099]), Some(PartitionPosition::Earliest));
        assert_eq!(elsewhere(&[Timestamp::MAX]), Some(PartitionPosition::Earliest));
    }

    #[test]
    fn a_producer_whose_clock_is_a_little_ahead_costs_an_hour_at_most() {
        let quiet_for_months = NOW - 90 * 86_400_000;
        let expected = Some(PartitionPosition::Since(NOW + 200 - MAX_AHEAD));
        assert_eq!(elsewhere(&[quiet_for_months, NOW + 200]), expected);
        assert_eq!(
            elsewhere(&[NOW - 5, NOW + 200]),
            Some(PartitionPosition::Since(NOW - 5))
        );
    }
}
