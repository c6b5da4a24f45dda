//! Durations and sizes as people write them: one number and one unit.

use std::time::Duration;

/// Parses a duration of at most a week, such as `"500ms"`, `"15s"`, `"10m"` or `"1h"`.
///
/// # Errors
/// Says what is wrong with the text, for the user who wrote it.
///
/// # Examples
/// ```
/// use riverhead::config::duration;
/// use std::time::Duration;
///
/// assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
/// assert!(duration("15").is_err(), "the unit is missing");
/// assert!(duration("1h30m").is_err(), "more than one number");
/// ```
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        other => return Err(bad_unit(other, "ms, s, m or h")),
    };
    let whole = u32::try_from(number)
        .ok()
        .and_then(|number| unit.checked_mul(number));
    whole
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| "found more than a week".into())
}

/// Parses a size such as `"64MiB"`, `"64MB"`, `"512KiB"`, `"1GiB"` or `"4096B"`. Returns bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(bad_unit(unit, "B, KiB, MiB, GiB, KB, MB or GB")),
    };
    let bytes = number.checked_mul(unit);
    bytes
        .filter(|bytes| *bytes <= MAX_SIZE)
        .ok_or_else(|| "found more than 1024GiB".into())
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("found no whole number at the beginning".into());
    }
    let number = number.parse().map_err(|_| "found a number that is too large")?;
    Ok((number, unit.trim_start()))
}

fn bad_unit(unit: &str, units: &str) -> String {
    match unit {
        "" => format!("expected the unit {units}, found none"),
        _ => format!("expected the unit {units}, found another"),
    }
}

/// No setting is meant to be longer. A longer one has the wrong unit.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3600);

/// 1 TiB, more than the machines that riverhead runs on have. A larger size has the wrong unit.
pub(super) const MAX_SIZE: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        let cases = [
            ("500ms", 500),
            ("15s", 15_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("0s", 0),
            ("2 s", 2000),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "15",
            "s",
            "15sec",
            "1h30m",
            "-1s",
            "1.5s",
            "15S",
            "8d",
            "169h",
            "99999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal_as_written() {
        let cases = [
            ("64MiB", 64 << 20),
            ("64MB", 64_000_000),
            ("1kib", 1024),
            ("3KB", 3000),
            ("1GiB", 1 << 30),
            ("7B", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        // Different tools read 64M and 64Mi as different sizes.
        for text in [
            "",
            "64",
            "64M",
            "64Mi",
            "MiB",
            "-1MiB",
            "1.5GiB",
            "1025GiB",
            "18446744073709551615GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_and_nothing_more(text in ".{0,40}") {
            _ = duration(&text);
            _ = size(&text);
        }
    }
}
