//! The numbers of filters and of documents.

use std::cmp::Ordering;

/// A number. A whole number is kept as an integer, so that offsets and ids beyond 2^53 stay distinct.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    /// Not whole, or beyond the range of [`Number::Integer`]. So no number has two forms.
    Float(f64),
}

impl Number {
    pub(super) fn of_f64(value: f64) -> Self {
        if value.fract() == 0.0 && value.abs() <= LARGEST_WHOLE {
            return Self::Integer(value as i128);
        }
        Self::Float(value)
    }

    /// Parses a number as JSON writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(whole) = short_whole(text) {
            return Some(Self::Integer(whole));
        }
        let number: serde_json::Number = text.parse().ok()?;
        let whole = number.as_i128();
        whole
            .map(Self::Integer)
            .or_else(|| number.as_f64().map(Self::of_f64))
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(whole) => whole as f64,
            Self::Float(real) => real,
        }
    }
}

/// Parses a whole number of the usual kind: with few digits, and without a leading zero.
fn short_whole(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits.as_bytes()),
        None => (false, text.as_bytes()),
    };
    if !(1..=MAX_SHORT_DIGITS).contains(&digits.len()) || digits[0] == b'0' {
        return None;
    }
    let mut whole = 0_i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        whole = whole * 10 + i64::from(digit - b'0');
    }
    Some(if is_negative { -whole } else { whole }.into())
}

/// How many digits always fit into an `i64`.
const MAX_SHORT_DIGITS: usize = 18;

/// Below 2^127, so that a float up to here is exactly one `i128`.
const LARGEST_WHOLE: f64 = 1e38;

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            // -0.0 is whole, and NaN is not finite, so that the total order is the usual one.
            _ => self.as_f64().total_cmp(&other.as_f64()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl Number {
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Integer(whole) => out.push_str(itoa::Buffer::new().format(*whole)),
            // With an exponent it reads back as the same float, whole or not.
            Self::Float(real) => out.push_str(&format!("{real:e}")),
        }
    }
}
