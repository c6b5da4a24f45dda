//! The parser of the times that `?since=` accepts.
//!
//! They are the times that EventStreams accepts, which parses them by `Date` of JavaScript on a host in UTC. Texts that `Date`
//! takes for a time although they are none are refused here.

mod iso;
mod words;

use crate::position::Timestamp;

/// Returns the time that `text` means, in milliseconds since the Unix epoch, never negative. Returns `None` if it means none.
///
/// Digits alone are milliseconds since the epoch. Any other text is ISO 8601 (a year, a month or a day, or a day and a time,
/// with `T`, `t` or a space between), or a day with the name of its month (RFC 2822, and what `Date` of JavaScript writes). The
/// time is UTC if the text names no zone.
pub(in crate::http) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    milliseconds(text)
        .or_else(|| iso::parse(text))
        .or_else(|| words::parse(text))
        // A time before the epoch means the start of the log. Negative times have other meanings in Kafka (earliest, latest).
        .map(|time| time.max(0))
}

/// Parses digits as milliseconds since the Unix epoch.
fn milliseconds(text: &str) -> Option<Timestamp> {
    // The first digit that overflows ends the parse, however many digits follow.
    let time = text.parse().ok()?;
    (!text.starts_with('+')).then_some(time)
}

/// A time of day, in milliseconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeOfDay(i64);

impl TimeOfDay {
    const MIDNIGHT: Self = Self(0);

    /// Returns the time with these parts. `24:00` is the end of the day. A leap second is no time, because the clocks that Kafka
    /// counts by have none.
    fn new(hour: i64, minute: i64, second: i64, millis: i64) -> Option<Self> {
        let is_end = hour == 24 && (minute, second, millis) == (0, 0, 0);
        let is_valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        (is_end || is_valid).then_some(Self(((hour * 60 + minute) * 60 + second) * 1000 + millis))
    }
}

/// Returns the instant of a time of day, on a clock that is `ahead` minutes ahead of UTC.
fn instant(day: jiff::civil::Date, clock: TimeOfDay, ahead: i64) -> Option<Timestamp> {
    let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let local = midnight.as_millisecond().checked_add(clock.0)?;
    local.checked_sub(ahead * 60_000)
}

/// Returns an offset from UTC in minutes. Those in use are within 14 hours, but ISO 8601 and `Date` allow up to 24.
fn offset(hours: i64, minutes: i64, is_behind: bool) -> Option<i64> {
    let is_valid = (0..24).contains(&hours) && (0..60).contains(&minutes);
    let ahead = hours * 60 + minutes;
    is_valid.then_some(if is_behind { -ahead } else { ahead })
}

#[cfg(test)]
mod tests;
