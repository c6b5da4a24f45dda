//! The default start of a topic that an id does not mention: the newest time that the id has for other topics.

use super::{PartitionPosition, Timestamp};

impl PartitionPosition {
    /// Returns the time that finds this position in another log. Returns `None` if it has no time.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Since(time) => Some(*time),
            Self::At(log_position) => log_position.timestamp,
            Self::Earliest | Self::Latest => None,
        }
    }
}

/// Returns the start position of a topic that an id with these `positions` lacks: the newest of their times. Returns
/// `None` if they have no times.
///
/// A record's timestamp comes from its producer, and one of the year 2099 must not skip everything that the topic has. So a
/// time ahead of `now`, our clock in ms, counts for less: it counts as an hour earlier if it is ahead by at most an hour, and
/// not at all otherwise. If no other time is left, the topic starts at its beginning. A wrong clock on our side delivers too
/// much rather than too little.
pub fn default_start_position(
    positions: impl IntoIterator<Item = PartitionPosition>,
    now: Timestamp,
) -> Option<PartitionPosition> {
    let bounds = positions
        .into_iter()
        .filter_map(|position| position.time())
        .map(|time| match time.saturating_sub(now) {
            ..=0 => Some(time),
            1..=MAX_AHEAD => Some(time - MAX_AHEAD),
            _ => None,
        });
    // `max` returns `None` if there is no time at all. `Some(None)`, from the beginning, is below every time.
    Some(
        bounds
            .max()?
            .map_or(PartitionPosition::Earliest, PartitionPosition::Since),
    )
}

/// How far ahead of a broker's clock the timestamp of a record may be, in ms: the default of `message.timestamp.after.max.ms`
/// since Kafka 4.0. So a record was written at most this long before the time in its timestamp.
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
