//! The parser of dates with the name of a month: RFC 2822 (`Thu, 14 Jun 2018 12:00:00 GMT`), the form of C
//! (`Thu Jun 14 12:00:00 2018`), and what `Date` of JavaScript writes (`Thu Jun 14 2018 14:00:00 GMT+0200 (CEST)`).

use jiff::{
    civil::{Date, Weekday},
    fmt::strtime::BrokenDownTime,
};

use super::{TimeOfDay, instant, offset};
use crate::position::Timestamp;

/// Returns the time that `text` means. Returns `None` if any part of it is unknown, comes twice, or contradicts the rest.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut parts = DateParts::default();
    let text = text.split_once('(').map_or(
        text,
        |(text, comment)| {
            if comment.ends_with(')') { text } else { "" }
        },
    );
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        parts.take(word)?;
    }
    parts.instant()
}

/// The parts of a date that the words so far have given.
#[derive(Default)]
struct DateParts<'a> {
    weekday: Option<Weekday>,
    month: Option<i8>,
    /// The day and the year, which come in either order.
    numbers: Vec<&'a str>,
    clock: Option<TimeOfDay>,
    /// Minutes ahead of UTC.
    zone: Option<i64>,
    /// Whether an offset was given.
    has_offset: bool,
}

impl<'a> DateParts<'a> {
    /// Takes the next word. Returns `None` if it is unknown, or its part was given before.
    fn take(&mut self, word: &'a str) -> Option<()> {
        if word.contains(':') {
            return set_once(&mut self.clock, clock(word)?);
        }
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.take_number(word);
        }
        if let Some(ahead) = signed(word) {
            return self.take_offset(ahead);
        }
        if let Some(name) = named(word, ["%B", "%b"]) {
            return set_once(&mut self.month, name.month()?);
        }
        if let Some(name) = named(word, ["%A", "%a"]) {
            return set_once(&mut self.weekday, name.weekday()?);
        }
        self.take_zone(word)
    }

    /// Takes a number: a day or a year. After both and a time it is an offset whose plus has become a space.
    fn take_number(&mut self, word: &'a str) -> Option<()> {
        if self.numbers.len() == 2 && self.clock.is_some() {
            return self.take_offset(hours_and_minutes(word)?);
        }
        self.numbers.push(word);
        (self.numbers.len() <= 2).then_some(())
    }

    /// Takes an offset from UTC, which must follow a time, and no zone but a name of UTC.
    fn take_offset(&mut self, ahead: i64) -> Option<()> {
        let is_free = self.zone.is_none_or(|zone| zone == 0) && !self.has_offset;
        self.has_offset = true;
        self.zone = Some(ahead);
        (is_free && self.clock.is_some()).then_some(())
    }

    /// Takes the name of a zone, which must follow a time and may have an offset: `GMT+0200`.
    fn take_zone(&mut self, word: &'a str) -> Option<()> {
        let at = word.find(['+', '-']).unwrap_or(word.len());
        let (name, ahead) = word.split_at(at);
        let known = ZONES.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(name))?;
        set_once(&mut self.zone, known.1 * 60)?;
        match ahead {
            "" => self.clock.map(drop),
            ahead => self.take_offset(signed(ahead)?),
        }
    }

    /// Returns the instant of all parts. Returns `None` if one is missing, or the weekday is not that of the date.
    fn instant(self) -> Option<Timestamp> {
        let [first, second] = self.numbers.as_slice() else {
            return None;
        };
        // A day has at most two digits. It comes first if the year has two digits as well.
        let (day, year) = if first.len() > 2 {
            (second, first)
        } else {
            (first, second)
        };
        if day.len() > 2 {
            return None;
        }
        let date = Date::new(year_of(year)?, self.month?, day.parse().ok()?).ok()?;
        if self.weekday.is_some_and(|weekday| weekday != date.weekday()) {
            return None;
        }
        let clock = self.clock.unwrap_or(TimeOfDay::MIDNIGHT);
        instant(date, clock, self.zone.unwrap_or(0))
    }
}

/// Sets a part. Returns `None` if it was set before.
fn set_once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// Parses a year of four digits, or of the two of RFC 822, where numbers below 50 are in this century.
fn year_of(text: &str) -> Option<i16> {
    let year: i16 = text.parse().ok()?;
    match (text.len(), year) {
        (4, year) => Some(year),
        (2, 0..50) => Some(2000 + year),
        (2, year) => Some(1900 + year),
        _ => None,
    }
}

/// Parses `12:00`, `12:00:00` or `12:00:00.123`.
fn clock(word: &str) -> Option<TimeOfDay> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let numbers: Option<Vec<i64>> = whole.split(':').map(two_digits).collect();
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
    match numbers?.as_slice() {
        [hour, minute] if whole == word => TimeOfDay::new(*hour, *minute, 0, 0),
        [hour, minute, second] if is_fraction => {
            TimeOfDay::new(*hour, *minute, *second, millis.parse().ok()?)
        }
        _ => None,
    }
}

fn two_digits(text: &str) -> Option<i64> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Parses `+0200` or `-0200`, hours and minutes with a sign. Returns minutes ahead of UTC.
fn signed(word: &str) -> Option<i64> {
    match word.split_at_checked(1)? {
        ("+", digits) => hours_and_minutes(digits),
        ("-", digits) => hours_and_minutes(digits).map(|ahead| -ahead),
        _ => None,
    }
}

fn hours_and_minutes(digits: &str) -> Option<i64> {
    let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = is_number.then(|| digits.split_at(2))?;
    offset(hours.parse().ok()?, minutes.parse().ok()?, false)
}

/// Parses the name of a month or of a weekday, by these formats: written out, and its first three letters.
fn named(word: &str, formats: [&str; 2]) -> Option<BrokenDownTime> {
    let mut read = formats
        .iter()
        .filter_map(|format| BrokenDownTime::parse(format, word).ok());
    read.next()
}

/// The zones of RFC 2822, and how many hours they are ahead of UTC. RFC 2822 takes unknown zones for UTC; here they are refused.
const ZONES: [(&str, i64); 12] = [
    ("GMT", 0),
    ("UTC", 0),
    ("UT", 0),
    ("Z", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];
