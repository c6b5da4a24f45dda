//! The times that `?since=` accepts.

use std::borrow::Cow;

use jiff::{civil::DateTime, fmt::rfc2822, tz::TimeZone};

use crate::position::Timestamp;

/// The time that `text` means, in milliseconds since the Unix epoch; never negative. `None` when it means none.
///
/// Digits alone are milliseconds since the epoch. Else it is a date, a date and a time (UTC unless it says otherwise) with
/// `T`, `t` or a space between, or the form of RFC 2822.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    milliseconds(text)
        .or_else(|| iso(text))
        .or_else(|| mail(text))
        // Before the epoch is from the start. Negative numbers mean something else to Kafka.
        .map(|time| time.max(0))
}

fn milliseconds(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn iso(text: &str) -> Option<Timestamp> {
    let text = with_plus(text);
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let local: DateTime = text.parse().ok()?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// `2018-06-14T12:00:00 02:00` was `...+02:00` before a form decoder read its plus as a space.
fn with_plus(text: &str) -> Cow<'_, str> {
    match text.rsplit_once(' ') {
        // A space right behind the date is the one before the time.
        Some((time, offset)) if time.len() > DATE.len() => Cow::Owned(format!("{time}+{offset}")),
        _ => Cow::Borrowed(text),
    }
}

fn mail(text: &str) -> Option<Timestamp> {
    // The same lost plus: `12:00:00 +0000` has become `12:00:00  0000`.
    let text = text.replace("  ", " +");
    let zoned = rfc2822::parse(&text).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

const DATE: &str = "2018-06-14";

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = 1_528_977_600_000;

    #[test]
    fn the_forms_that_clients_send() {
        for text in [
            "2018-06-14T12:00:00Z",
            "2018-06-14t12:00:00z",
            "2018-06-14T12:00:00.000Z",
            "2018-06-14T12:00:00",
            "2018-06-14 12:00:00",
            "2018-06-14 12:00",
            "2018-06-14T12:00Z",
            "2018-06-14 12:00:00Z",
            "2018-06-14T14:00:00+02:00",
            "2018-06-14T14:00:00+0200",
            "2018-06-14T14:00:00 02:00",
            "2018-06-14 14:00:00 02:00",
            "2018-06-14T10:00:00-02:00",
            "Thu, 14 Jun 2018 12:00:00 GMT",
            "Thu, 14 Jun 2018 12:00:00 +0000",
            "Thu, 14 Jun 2018 12:00:00  0000",
            "14 Jun 2018 12:00:00 +0000",
            "1528977600000",
            " 1528977600000 ",
        ] {
            assert_eq!(parse(text), Some(NOON), "{text}");
        }
        assert_eq!(parse("2018-06-14"), Some(NOON - 12 * 3_600_000));
        assert_eq!(parse("2018-06-14T12:00:00.123456Z"), Some(NOON + 123));
    }

    #[test]
    fn digits_are_milliseconds_however_much_they_look_like_a_date() {
        assert_eq!(parse("20250107"), Some(20_250_107));
    }

    #[test]
    fn nothing_before_the_epoch_reaches_kafka_as_latest_or_earliest() {
        assert_eq!(parse("-1"), Some(0));
        assert_eq!(parse("1960-01-01"), Some(0));
    }

    #[test]
    fn rubbish_is_no_time() {
        for text in [
            "",
            "-",
            "yesterday",
            "2018-13-14",
            "2018-06-14T25:00:00Z",
            "99999999999999999999999",
            "NaN",
            "2018-06-14T12:00:00 xx",
            "+",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
