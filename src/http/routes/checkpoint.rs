//! The parameter `checkpoint`: when a client that has had no id yet gets its position, as `event: checkpoint`.
//!
//! A client that starts live has no id until its first event. If it is cut before that, it starts live again, and loses what came
//! meanwhile. A checkpoint gives it an id. No client gets this type of event unless it can ignore it: either it asked for it
//! (`?checkpoint=10s`), or it is the `EventSource` of a browser, which dispatches an event only to listeners for its type.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::{http::error::Error, subscription::EventFormat};

/// Parses the parameter: a whole number of seconds, minutes or hours, such as `10s`. Returns `None` if it is none, or is not
/// from [`MIN_WAIT`] to [`MAX_WAIT`].
pub(in crate::http) fn parse(text: &str) -> Option<Duration> {
    let (number, seconds) = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let is_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_digits.then(|| number.parse().ok())??;
    let wait = Duration::from_secs(number.checked_mul(seconds)?);
    (MIN_WAIT..=MAX_WAIT).contains(&wait).then_some(wait)
}

/// Returns after how long without an event a client that starts live gets a checkpoint. Returns `None` for a client that gets
/// none.
///
/// # Errors
/// When the client asked for a checkpoint and for JSON lines, which have no ids.
pub(in crate::http) fn wait(
    requested: Option<Duration>,
    headers: &HeaderMap,
    format: EventFormat,
) -> Result<Option<Duration>, Error> {
    match (requested, format) {
        (Some(_), EventFormat::Ndjson) => Err(Error::BadParameter(
            "'checkpoint' requires Server-Sent Events, because JSON lines have no ids".to_owned(),
        )),
        (None, EventFormat::Ndjson) => Ok(None),
        (Some(wait), EventFormat::Sse) => Ok(Some(wait)),
        (None, EventFormat::Sse) => Ok(is_browser(headers).then_some(BROWSER_WAIT)),
    }
}

/// Whether a client with these headers ignores events of types that it does not listen to.
pub(in crate::http) fn ignores_types(headers: &HeaderMap, format: EventFormat) -> bool {
    format == EventFormat::Sse && is_browser(headers)
}

/// Whether these are the headers that the `EventSource` of a browser sends. No page can set `Sec-Fetch-*` (Fetch standard,
/// forbidden request-header), and programs do not.
fn is_browser(headers: &HeaderMap) -> bool {
    let is = |name: &str, expected: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == expected) && values.next().is_none()
    };
    is("sec-fetch-dest", "empty")
        && is("sec-fetch-mode", "cors")
        && is(header::ACCEPT.as_str(), "text/event-stream")
}

/// The detail of the error for any other value.
pub(super) const EXPECTED: &str = "'checkpoint' must be a duration from 1s to 1h, such as '10s' or '1m'";

const MIN_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// The wait for browsers, which is the interval between two checkpoints of a filtered stream.
const BROWSER_WAIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_from_a_second_to_an_hour_is_read_and_nothing_else() {
        let read = |text| parse(text).map(|wait| wait.as_secs());
        for (text, seconds) in [("1s", 1), ("10s", 10), ("2m", 120), ("60m", 3600), ("1h", 3600)] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "s",
            "0s",
            "10",
            "+10s",
            "-1s",
            "1.5s",
            " 1s",
            "3601s",
            "61m",
            "2h",
            "1d",
            "10ms",
            "99999999999999999999s",
            "18446744073709551615h",
            "1 s",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_browser_is_told_unasked_and_nobody_else_is() {
        let told = |lines: &[(&'static str, &'static str)], format| {
            let headers = lines.iter().map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            });
            let mut all = HeaderMap::new();
            for (name, value) in headers {
                all.append(name, value);
            }
            wait(None, &all, format).unwrap()
        };
        let browser = [
            ("accept", "text/event-stream"),
            ("sec-fetch-dest", "empty"),
            ("sec-fetch-mode", "cors"),
        ];
        assert_eq!(told(&browser, EventFormat::Sse), Some(BROWSER_WAIT));
        assert_eq!(told(&browser, EventFormat::Ndjson), None);
        for at in 0..3 {
            let mut without = browser.to_vec();
            let (name, _) = without.remove(at);
            assert_eq!(told(&without, EventFormat::Sse), None, "without {name}");
            for other in ["*/*", "navigate", "text/event-stream, */*", ""] {
                let mut changed = browser;
                changed[at].1 = other;
                assert_eq!(told(&changed, EventFormat::Sse), None, "{name}: {other}");
            }
            let twice = [&browser[..], &browser[at..=at]].concat();
            assert_eq!(told(&twice, EventFormat::Sse), None, "{name} twice");
        }
    }

    #[test]
    fn json_lines_have_no_checkpoints_and_say_so() {
        let requested = Some(Duration::from_secs(10));
        assert!(matches!(
            wait(requested, &HeaderMap::new(), EventFormat::Ndjson),
            Err(Error::BadParameter(_))
        ));
        assert_eq!(
            wait(requested, &HeaderMap::new(), EventFormat::Sse).unwrap(),
            requested
        );
    }
}
