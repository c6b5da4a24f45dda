//! The parameters that bound a read (`limit`, `until`), the one that goes on behind an end (`from`), and which of the ids of a
//! request counts with them.
//!
//! Not here: where each partition ends (`subscription`).

use std::num::NonZeroU64;

use super::{parameters::StreamParameters, partitions, resolve_position};
use crate::{
    catalog::{Parameter, Selection},
    http::{error::Error, routes::since},
    position::{
        self, LogPosition, PartitionPosition, Position, PositionEntry, Restriction, Timestamp, TopicSet,
    },
    subscription::{ReadBounds, ReadEnd},
};

/// Returns the bounds of a read, `None` if it has none. `part` is what is read: the topics, and which of their partitions if not all.
///
/// # Errors
/// When a bound is none that a read can come to.
pub(super) fn read(
    parameters: &StreamParameters<'_>,
    selection: &Selection,
    part: (&TopicSet, Option<&Restriction>),
    now: Timestamp,
) -> Result<Option<ReadBounds>, Error> {
    let (limit, until) = (limit(parameters)?, until(parameters, selection, part, now)?);
    Ok((limit.is_some() || until.is_some()).then_some(ReadBounds { limit, until }))
}

fn limit(parameters: &StreamParameters<'_>) -> Result<Option<NonZeroU64>, Error> {
    let Some(text) = parameters.single(Parameter::Limit)? else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    let why = || format!("'limit' must be a number of events from 1 to {}", u64::MAX);
    number.map(Some).ok_or_else(|| Error::BadParameter(why()))
}

fn until(
    parameters: &StreamParameters<'_>,
    selection: &Selection,
    (topics, restriction): (&TopicSet, Option<&Restriction>),
    now: Timestamp,
) -> Result<Option<ReadEnd>, Error> {
    let Some(text) = parameters.single(Parameter::Until)? else {
        return Ok(None);
    };
    let text = text.trim();
    if text == "now" {
        return Ok(Some(ReadEnd::Now));
    }
    if !text.starts_with(['~', '[', '"']) {
        let time = since::parse(text).ok_or_else(|| bad_until(text))?;
        return Ok(Some(ReadEnd::Time(time)));
    }
    // Refused as an id to resume from is: with the topics that the streams have.
    let id = position::decode(text.as_bytes())?;
    partitions::check_scope(id.scope, restriction)?;
    let mut admitted = resolve_position(id, None, selection, now)?;
    if let Some(restriction) = restriction {
        admitted = partitions::admit(admitted, topics, restriction, now);
    }
    match admitted {
        (Some(position), ranges, _) => Ok(Some(ReadEnd::Position { position, ranges })),
        (None, _, Some(time)) => Ok(Some(ReadEnd::Time(time))),
        (None, _, None) => Err(bad_until(text)),
    }
}

fn bad_until(text: &str) -> Error {
    Error::BadParameter(format!(
        "'until' must be a time as in 'since', 'now', or an id that names a position: '{text}'"
    ))
}

/// The ids of a request. A blank one counts as absent.
pub(super) struct RequestIds<'a> {
    /// The header `Last-Event-ID`.
    pub(super) header: Option<&'a [u8]>,
    /// The parameter that stands for the header.
    pub(super) parameter: Option<&'a [u8]>,
    /// The parameter `from`.
    pub(super) from: Option<&'a [u8]>,
}

/// The id at which a read begins.
#[derive(Default)]
pub(super) struct StartId {
    /// `None` if the request has no id.
    pub(super) position: Option<Position>,
    /// Whether it is the id of an end, with which a bounded read has nothing left to give.
    pub(super) is_end: bool,
}

impl RequestIds<'_> {
    /// Returns the id that counts.
    ///
    /// `from` goes before the others, and begins behind the end whose id it is. The exception is a header that is ahead of it: a
    /// client of Server-Sent Events that was cut off sends the same URL again, with the last id that it was given. To begin at
    /// `from` again would repeat events, and at the end of a bounded read it would do so forever.
    ///
    /// # Errors
    /// When an id that counts cannot be read.
    pub(super) fn start(&self, topics: &TopicSet) -> Result<StartId, Error> {
        let Some(from) = self.from else {
            let id = self.header.or(self.parameter).map(position::decode_marked);
            return Ok(id.transpose()?.map(StartId::at).unwrap_or_default());
        };
        let (start, is_end) = position::decode_marked(from)?;
        let header = self
            .header
            .and_then(|header| position::decode_marked(header).ok());
        let ahead =
            header.filter(|(reached, has_ended)| is_ahead(topics, (reached, *has_ended), (&start, is_end)));
        Ok(StartId::at(ahead.unwrap_or((start, false))))
    }
}

impl StartId {
    fn at((position, is_end): (Position, bool)) -> Self {
        Self {
            position: Some(position),
            is_end,
        }
    }
}

/// Returns whether a client that began at `start` can have come to `reached`, and is further on there: in a later position, or
/// at the end of a read. With each goes whether it is the id of an end.
fn is_ahead(
    topics: &TopicSet,
    (reached, is_end): (&Position, bool),
    (start, was_end): (&Position, bool),
) -> bool {
    let of_reached = topics.entries_of_each(&reached.entries);
    let of_start = topics.entries_of_each(&start.entries);
    let mut is_later = is_end && !was_end;
    for (reached_range, start_range) in of_reached.into_iter().zip(of_start) {
        let reached = &reached.entries[reached_range];
        for entry in &start.entries[start_range] {
            match progress(reached, entry) {
                Some(moved) => is_later |= moved,
                None => return false,
            }
        }
    }
    is_later
}

/// Returns whether the entries of a topic that a client has reached are behind this one at which it began. Returns `None` if a
/// client cannot come from the one to the other.
fn progress(reached: &[PositionEntry], start: &PositionEntry) -> Option<bool> {
    let PartitionPosition::At(from) = start.place else {
        // A time, or an end of the log: any position in the log is behind it.
        let is_reached = |entry: &PositionEntry| matches!(entry.place, PartitionPosition::At(_));
        return Some(reached.iter().any(is_reached));
    };
    let found = reached.binary_search_by_key(&start.partitions, |entry| entry.partitions);
    match reached[found.ok()?].place {
        PartitionPosition::At(to) if is_same_log(&from, &to) && to.offset >= from.offset => {
            Some(to.offset > from.offset)
        }
        _ => None,
    }
}

fn is_same_log(a: &LogPosition, b: &LogPosition) -> bool {
    a.log.is_none() || b.log.is_none() || a.log == b.log
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ask, escaped, id, offset},
        *,
    };
    use crate::metrics::StartPoint;

    fn bounds(query: &str) -> Result<Option<ReadBounds>, Error> {
        ask(&format!("/?{query}"), None).map(|query| query.bounds)
    }

    fn end(until: &str) -> String {
        let bounds = bounds(&format!("until={}", escaped(until))).expect(until);
        format!("{:?}", bounds.expect("bounds").until.expect("an end"))
    }

    #[test]
    fn a_limit_is_a_number_of_events_and_zero_is_none() {
        let limit = |text: &str| bounds(&format!("limit={text}")).map(|it| it.unwrap().limit.unwrap().get());
        for number in [1, 7, 1_000_000, u64::MAX] {
            assert_eq!(limit(&number.to_string()).unwrap(), number);
        }
        for text in [
            "",
            "0",
            "00",
            "-1",
            "%2B1",
            "1.5",
            "1e3",
            "ten",
            "18446744073709551616",
            "1,2",
            "%20",
        ] {
            let error = limit(text).unwrap_err();
            assert!(matches!(error, Error::BadParameter(_)), "{text}: {error}");
            assert!(error.to_string().starts_with("'limit' must be"), "{error}");
        }
        assert!(bounds("limit=1&limit=1").is_err());
        assert!(bounds("").unwrap().is_none());
    }

    #[test]
    fn an_end_is_a_time_the_present_or_an_id() {
        assert_eq!(end("now"), "Now");
        assert_eq!(end("1000"), "Time(1000)");
        assert_eq!(end("1970-01-01T00:00:01Z"), "Time(1000)");
        assert_eq!(end("-5"), "Time(0)");
        assert!(end(&id(7)).starts_with("Position"), "{}", end(&id(7)));
        let marked = id(7).replace("7}", "7,\"end\":true}");
        assert_eq!(end(&marked), end(&id(7)), "the mark says nothing here");
        // The successors of a topic that the stream has no longer end at the same time.
        let former = r#"[{"topic":"old.changes","partition":0,"offset":1,"timestamp":500}]"#;
        assert_eq!(end(former), "Time(500)");
    }

    #[test]
    fn what_is_no_end_is_refused_with_what_is() {
        for text in ["", "tomorrow", "Now", "[]", "0x10"] {
            let error = bounds(&format!("until={}", escaped(text))).unwrap_err();
            assert!(
                error.to_string().starts_with("'until' must be"),
                "{text}: {error}"
            );
        }
        for text in ["~1", "[{}]", "[7]"] {
            let error = bounds(&format!("until={}", escaped(text))).unwrap_err();
            assert!(matches!(error, Error::BadId(_)), "{text}: {error}");
        }
        let foreign = escaped(r#"[{"topic":"secret","partition":0,"offset":1}]"#);
        let error = bounds(&format!("until={foreign}")).unwrap_err();
        assert!(matches!(error, Error::TopicNotAvailable { .. }), "{error}");
    }

    fn marked(offset: i64) -> String {
        id(offset).replace('}', ",\"end\":true}")
    }

    #[test]
    fn a_read_is_over_when_it_has_a_bound_and_the_id_of_an_end() {
        for bound in ["limit=5", "until=now"] {
            let is_over = |query: String, header: Option<&str>| {
                ask(&format!("/?{bound}{query}"), header).unwrap().is_over
            };
            assert!(is_over(String::new(), Some(&marked(7))));
            assert!(is_over(format!("&lastEventId={}", escaped(&marked(7))), None));
            assert!(!is_over(String::new(), Some(&id(7))));
            assert!(!is_over(String::new(), None));
            // The header has priority, whatever the other is.
            assert!(!is_over(
                format!("&lastEventId={}", escaped(&marked(7))),
                Some(&id(8))
            ));
        }
        let query = ask("/", Some(&marked(7))).unwrap();
        assert_eq!((query.is_over, offset(&query)), (false, 7), "an ordinary id");
    }

    #[test]
    fn from_goes_on_behind_an_end_and_before_the_other_ids() {
        let ask = |from: &str, header: Option<&str>| {
            let target = format!(
                "/?limit=5&lastEventId={}&from={}",
                escaped(&marked(3)),
                escaped(from)
            );
            let query = ask(&target, header).unwrap();
            (offset(&query), query.is_over, query.start())
        };
        for header in [
            None,
            Some(marked(7)),
            Some(id(7)),
            Some(marked(6)),
            Some("rubbish".into()),
        ] {
            let read = ask(&marked(7), header.as_deref());
            assert_eq!(read, (7, false, StartPoint::Id), "{header:?}");
        }
        assert_eq!(ask(&id(7), None), (7, false, StartPoint::Id));
    }

    #[test]
    fn a_client_that_comes_back_to_a_url_with_from_goes_on_where_it_was() {
        let ask = |from: &str, header: &str| {
            let query = ask(&format!("/?limit=5&from={}", escaped(from)), Some(header)).unwrap();
            (offset(&query), query.is_over)
        };
        assert_eq!(ask(&marked(7), &id(9)), (9, false));
        assert_eq!(ask(&marked(7), &marked(9)), (9, true));
        assert_eq!(ask(&id(7), &marked(7)), (7, true), "it had nothing to give");
        // No client of this read has these.
        assert_eq!(ask(&id(7), &id(3)), (7, false));
        let of_log = |log: &str, offset| id(offset).replace('}', &format!(",\"log\":\"{log}\"}}"));
        let (own, other) = (of_log("q7Zk.1wPx9A.4", 7), of_log("q7Zk.AwPx9A.4", 9));
        assert_eq!(ask(&own, &other), (7, false));
        let time = r#"[{"topic":"eqiad.changes","partition":0,"timestamp":5}]"#;
        assert_eq!(ask(time, &id(9)), (9, false));
    }

    #[test]
    fn an_empty_from_is_no_id_and_a_wrong_one_is_refused() {
        let query = ask("/?from=&since=5", None).unwrap();
        assert_eq!((query.position, query.since), (None, Some(5)));
        assert!(matches!(ask("/?from=x", None), Err(Error::BadId(_))));
        let foreign = escaped(r#"[{"topic":"secret","partition":0,"offset":1}]"#);
        assert!(matches!(
            ask(&format!("/?from={foreign}"), None),
            Err(Error::TopicNotAvailable { .. })
        ));
    }
}
