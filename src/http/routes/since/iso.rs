//! The parser of ISO 8601, extended (`2018-06-14T12:00:00Z`) or, with a time, basic (`20180614T120000Z`).

use jiff::civil::Date;

use super::{TimeOfDay, instant, offset};
use crate::position::Timestamp;

/// Returns the time that `text` means. A year or a month alone means its beginning. Returns `None` if the text means no time.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut text = Scanner(text.as_bytes());
    let (day, is_whole) = date(&mut text)?;
    if text.0.is_empty() {
        return instant(day, TimeOfDay::MIDNIGHT, 0);
    }
    if !is_whole || !(text.skip(b"Tt") || text.skip(b" ")) {
        return None;
    }
    let clock = clock(&mut text)?;
    let ahead = zone(&mut text)?;
    text.0.is_empty().then(|| instant(day, clock, ahead))?
}

/// Returns the day, and whether all of it was given: year, month and day.
fn date(text: &mut Scanner<'_>) -> Option<(Date, bool)> {
    let year = year(text)?;
    let is_basic = text.digits_ahead() == 4;
    if !is_basic && !text.skip(b"-") {
        let first = Date::new(year, 1, 1).ok()?;
        return text.0.is_empty().then_some((first, false));
    }
    let month = i8::try_from(text.number(2)?).ok()?;
    if !is_basic && !text.skip(b"-") {
        let first = Date::new(year, month, 1).ok()?;
        return text.0.is_empty().then_some((first, false));
    }
    let day = i8::try_from(text.number(2)?).ok()?;
    Some((Date::new(year, month, day).ok()?, true))
}

/// Parses a year of four digits, or of a sign and six. The plus of `+002018` may have become a space, and been trimmed.
fn year(text: &mut Scanner<'_>) -> Option<i16> {
    let is_negative = text.skip(b"-");
    let is_expanded = is_negative || text.skip(b"+") || text.digits_ahead() == 6;
    let year = text.number(if is_expanded { 6 } else { 4 })?;
    if is_negative && year == 0 {
        return None;
    }
    i16::try_from(if is_negative { -year } else { year }).ok()
}

/// Parses `12`, `12:00`, `12:00:00` or `12:00:00.123`, also without colons or with a comma. Anything finer than milliseconds is
/// cut off.
fn clock(text: &mut Scanner<'_>) -> Option<TimeOfDay> {
    let hour = text.number(2)?;
    let is_basic = text.digits_ahead() > 0;
    let (mut minute, mut second, mut millis) = (0, 0, 0);
    if is_basic || text.skip(b":") {
        minute = text.number(2)?;
        if (is_basic && text.digits_ahead() > 0) || (!is_basic && text.skip(b":")) {
            second = text.number(2)?;
            if text.skip(b".,") {
                millis = text.thousandths()?;
            }
        }
    }
    TimeOfDay::new(hour, minute, second, millis)
}

/// Parses the zone. Returns how many minutes it is ahead of UTC. No zone means UTC, as `Z` does. A space is a plus that a form
/// decoder has replaced.
fn zone(text: &mut Scanner<'_>) -> Option<i64> {
    if text.0.is_empty() || (text.0.trim_ascii_start().eq_ignore_ascii_case(b"Z")) {
        text.0 = &[];
        return Some(0);
    }
    let has_space = text.skip(b" ");
    let is_behind = text.skip(b"-");
    if !is_behind && !text.skip(b"+") && !has_space {
        return None;
    }
    let hours = text.number(2)?;
    text.skip(b":");
    let minutes = if text.0.is_empty() { 0 } else { text.number(2)? };
    offset(hours, minutes, is_behind)
}

/// The rest of the text.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    /// Takes the next character if it is one of these. Returns whether it was.
    fn skip(&mut self, any: &[u8]) -> bool {
        let is_next = self.0.first().is_some_and(|next| any.contains(next));
        if is_next {
            self.0 = &self.0[1..];
        }
        is_next
    }

    /// Returns how many digits come next, up to [`MAX_DIGITS`].
    fn digits_ahead(&self) -> usize {
        digits(&self.0[..self.0.len().min(MAX_DIGITS)])
    }

    /// Takes exactly `digits` digits. Returns `None` if there are fewer.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        let digits = number.iter();
        Some(digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// Takes the digits of a fraction. Returns it in thousandths, cut off after three digits.
    fn thousandths(&mut self) -> Option<i64> {
        let (digits, rest) = self.0.split_at(digits(self.0));
        self.0 = rest;
        let three = digits.iter().chain(b"00").take(3);
        let sum = three.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        (!digits.is_empty()).then_some(sum)
    }
}

/// Returns how many digits a text begins with.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// More digits than any number here has.
const MAX_DIGITS: usize = 7;
