//! Content negotiation (RFC 9110, section 12.5): between Server-Sent Events and JSON lines, with a rule of EventStreams, between a page
//! and a document, and whether a file may be compressed.

use http::{HeaderMap, header};

use crate::subscription::EventFormat;

/// Returns the format that the lines of `Accept` prefer. Returns events if they prefer neither, or accept none.
///
/// Between equals it returns the format that EventStreams would send. EventStreams checks whether the header *begins* with
/// `application/json`, so that `application/jsonl` means JSON lines too.
pub(super) fn format_of(headers: &HeaderMap) -> EventFormat {
    let ranges = media_ranges(headers);
    let events = quality(&ranges, "text", "event-stream");
    let lines = quality(&ranges, "application", "json");
    let begins_with_json = ranges.first().is_some_and(|first| first.text.starts_with(JSON));
    match lines.cmp(&events) {
        std::cmp::Ordering::Greater => EventFormat::Ndjson,
        // Neither is accepted, or both are preferred alike.
        std::cmp::Ordering::Equal if begins_with_json && ranges[0].quality > 0 => EventFormat::Ndjson,
        _ => EventFormat::Sse,
    }
}

/// Whether the lines of `Accept` prefer a page to a document: those of browsers do. Returns `false` if they accept both alike.
pub(super) fn prefers_page(headers: &HeaderMap) -> bool {
    let ranges = media_ranges(headers);
    quality(&ranges, "text", "html") > quality(&ranges, "application", "json")
}

/// Returns the ranges of all lines of `Accept`, as far as they are read.
fn media_ranges(headers: &HeaderMap) -> Vec<MediaRange<'_>> {
    let lines = headers.get_all(header::ACCEPT).iter();
    let starts = lines.scan(MAX_BYTES, |room, line| {
        let start = &line.as_bytes()[..line.len().min(*room)];
        *room -= start.len();
        Some(start)
    });
    starts
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|line| split(line, b','))
        .filter_map(MediaRange::read)
        .take(MAX_RANGES)
        .collect()
}

/// Whether the lines of `Accept-Encoding` accept gzip: by its name, or else by `*`. A client that sends no such line gets the bytes as
/// they are, although it would accept anything (RFC 9110, section 12.5.3): programs that do not send it mostly cannot unpack.
pub(in crate::http) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let texts = lines.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    let codings = texts.flat_map(|line| split(line, b',')).take(MAX_RANGES);
    let mut others = false;
    for coding in codings {
        let mut parts = split(coding, b';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_accepted = parts.find_map(quality_of).and_then(thousandths) != Some(0);
        match name {
            "*" => others = is_accepted,
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return is_accepted;
            }
            _ => (),
        }
    }
    others
}

/// Returns the text of the weight, if the parameter `part` is one: `0.5` of `q=0.5`.
fn quality_of(part: &str) -> Option<&str> {
    let (name, value) = split_once(part, b'=')?;
    let is_quality = name.trim_end().eq_ignore_ascii_case("q");
    is_quality.then(|| value.trim_start())
}

/// One media range: `text/*;q=0.5`.
struct MediaRange<'a> {
    /// The range without parameters.
    text: &'a str,
    /// The weight `q`, in thousandths.
    quality: u16,
}

impl<'a> MediaRange<'a> {
    /// Reads one element of the list. Returns `None` if it has no `/`.
    fn read(element: &'a str) -> Option<Self> {
        let mut parts = split(element, b';').map(str::trim);
        let text = parts.next().filter(|text| split_once(text, b'/').is_some())?;
        let quality = parts.find_map(quality_of).and_then(thousandths).unwrap_or(1000);
        Some(Self { text, quality })
    }

    /// Returns how closely the range describes a type: 0 not at all, 1 by `*/*`, 2 by `type/*`, 3 by name.
    fn specificity(&self, kind: &str, subtype: &str) -> u8 {
        let (own_kind, own_subtype) = split_once(self.text, b'/').unwrap_or_default();
        match (own_kind, own_subtype) {
            ("*", "*") => 1,
            (own, "*") if own.eq_ignore_ascii_case(kind) => 2,
            (own, sub) if own.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 3,
            _ => 0,
        }
    }
}

/// Returns the quality that the closest range gives a type. Returns zero if none describes it.
fn quality(ranges: &[MediaRange<'_>], kind: &str, subtype: &str) -> u16 {
    let described = ranges
        .iter()
        .map(|range| (range.specificity(kind, subtype), range.quality));
    let closest = described.filter(|(specificity, _)| *specificity > 0).max();
    closest.map_or(0, |(_, quality)| quality)
}

/// Parses a quality into thousandths, so `0.5` into 500 (RFC 9110, section 12.4.2). Returns `None` if it is none.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = split_once(text, b'.').unwrap_or((text, ""));
    let is_digits = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "0" if is_digits => {
            let digits = rest.bytes().chain([b'0'; 3]).take(3);
            Some(digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        "1" if is_digits && rest.bytes().all(|digit| digit == b'0') => Some(1000),
        _ => None,
    }
}

/// Splits at each `separator`, which must be ASCII.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((part, behind)) = split_once(text, separator) else {
            return Some(text);
        };
        rest = Some(behind);
        Some(part)
    })
}

/// Splits at the first `separator`, which must be ASCII. Most texts here have a few bytes, where a loop costs less than the search of
/// the standard library.
fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

const JSON: &str = "application/json";

/// How many ranges are read: more than any client sends.
const MAX_RANGES: usize = 32;

/// How much of all lines is read, in bytes, from the start: several times what browsers send.
const MAX_BYTES: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(lines: &[&str]) -> EventFormat {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        format_of(&headers)
    }

    #[test]
    fn what_clients_of_eventstreams_send_means_what_it_did() {
        for (accept, format) in [
            ("application/json", EventFormat::Ndjson),
            ("application/json, */*", EventFormat::Ndjson),
            ("application/json, text/plain, */*", EventFormat::Ndjson),
            ("application/json, text/event-stream", EventFormat::Ndjson),
            ("application/jsonl", EventFormat::Ndjson),
            ("text/event-stream, application/json", EventFormat::Sse),
            ("text/event-stream", EventFormat::Sse),
            ("application/x-ndjson", EventFormat::Sse),
            ("text/html,application/xhtml+xml,*/*;q=0.8", EventFormat::Sse),
            ("*/*", EventFormat::Sse),
            ("", EventFormat::Sse),
        ] {
            assert_eq!(wants(&[accept]), format, "{accept}");
        }
        assert_eq!(wants(&[]), EventFormat::Sse);
    }

    #[test]
    fn all_else_is_negotiated() {
        for (accept, format) in [
            ("Application/JSON", EventFormat::Ndjson),
            ("application/json;charset=utf-8", EventFormat::Ndjson),
            ("application/*", EventFormat::Ndjson),
            ("text/event-stream;q=0.5, application/json", EventFormat::Ndjson),
            ("text/event-stream;q=0, */*", EventFormat::Ndjson),
            (
                "text/html, application/json;q=0.9, */*;q=0.8",
                EventFormat::Ndjson,
            ),
            ("application/json;q=0.5, text/event-stream", EventFormat::Sse),
            ("application/json;q=0, text/event-stream", EventFormat::Sse),
            ("application/json;Q=0.2, text/*;q=0.3", EventFormat::Sse),
            ("application/json;q=0", EventFormat::Sse),
            ("application/json;q=0.001, */*;q=0.002", EventFormat::Sse),
            ("text/html", EventFormat::Sse),
        ] {
            assert_eq!(wants(&[accept]), format, "{accept}");
        }
        let lines = ["text/html", "application/json"];
        assert_eq!(wants(&lines), EventFormat::Ndjson, "lines are one list");
    }

    #[test]
    fn browsers_get_a_page_and_programs_get_what_they_got() {
        let chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, prefers) in [
            (chrome, true),
            (firefox, true),
            ("text/html", true),
            ("text/*, application/json;q=0.9", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9, */*;q=0.8", false),
            ("text/event-stream", false),
            ("text/html;q=0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(prefers_page(&headers), prefers, "{accept}");
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }

    #[test]
    fn a_file_is_compressed_for_those_who_say_that_they_unpack_it() {
        for (accept_encoding, accepts) in [
            ("gzip, deflate, br, zstd", true),
            ("GZIP;q=0.5", true),
            ("x-gzip", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("*;q=0, gzip", true),
            ("gzip;q=0, *", false),
            ("gzip; Q = 0.000", false),
            ("*;q=0", false),
            ("br", false),
            ("identity", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept_encoding.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), accepts, "{accept_encoding}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_quality_has_three_digits() {
        let cases = [
            ("0", 0),
            ("0.", 0),
            ("0.5", 500),
            ("0.123", 123),
            ("1", 1000),
            ("1.000", 1000),
        ];
        for (text, quality) in cases {
            assert_eq!(thousandths(text), Some(quality), "{text}");
        }
        for text in ["", "2", "1.1", "0.1234", "-1", ".5", "0.x", "\u{e9}"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }
}
