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
        self, EndMark, LogPosition, OwnPartitions, PartitionPosition, Partitions, Position, PositionEntry,
        Restriction, Timestamp, TopicSet,
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
    let bounds = ReadBounds {
        limit,
        until,
        mark: EndMark::First,
    };
    Ok((bounds.limit.is_some() || bounds.until.is_some()).then_some(bounds))
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
    /// The mark that the id of the next end bears. It differs from that of `from`, so that the two ids differ.
    pub(super) next_mark: EndMark,
}

impl RequestIds<'_> {
    /// Returns the id that counts.
    ///
    /// `from` goes before the others, and begins behind the end whose id it is. The exception is an id that is ahead of it: a
    /// client of Server-Sent Events that was cut off sends the same URL again, with the last id that it was given. To begin at
    /// `from` again would repeat events, and at the end of a bounded read it would do so forever. `topics` and `restriction` are what
    /// is read.
    ///
    /// # Errors
    /// When an id that counts cannot be read.
    pub(super) fn start(
        &self,
        topics: &TopicSet,
        restriction: Option<&Restriction>,
    ) -> Result<StartId, Error> {
        let last = self.header.or(self.parameter).map(position::decode_marked);
        let Some(from) = self.from else {
            return Ok(match last.transpose()? {
                Some(last) => StartId::at(last, EndMark::First),
                None => StartId::default(),
            });
        };
        let (start, mark) = position::decode_marked(from)?;
        let ahead = last.and_then(Result::ok).filter(|(reached, reached_mark)| {
            // Another mark was given by a read that began here, if only by its end.
            let has_ended = reached_mark.is_some() && *reached_mark != mark;
            partitions::check_scope(reached.scope, restriction).is_ok()
                && has_come_from(&start, reached, topics, restriction).is_some_and(|moved| moved || has_ended)
        });
        let next_mark = mark.map_or(EndMark::First, EndMark::other);
        Ok(StartId::at(ahead.unwrap_or((start, None)), next_mark))
    }
}

impl StartId {
    fn at((position, mark): (Position, Option<EndMark>), next_mark: EndMark) -> Self {
        Self {
            position: Some(position),
            is_end: mark.is_some(),
            next_mark,
        }
    }
}

/// Returns whether a client that is at `reached` was given something since it began at `start`. Returns `None` if no client can come
/// from the one to the other.
fn has_come_from(
    start: &Position,
    reached: &Position,
    topics: &TopicSet,
    restriction: Option<&Restriction>,
) -> Option<bool> {
    let of_reached = topics.entries_of_each(&reached.entries);
    let of_start = topics.entries_of_each(&start.entries);
    let mut has_moved = false;
    for ((topic, reached_range), start_range) in topics.iter().zip(of_reached).zip(of_start) {
        let own = restriction.map_or(OwnPartitions::All, |restriction| restriction.of_topic(topic));
        let reached = &reached.entries[reached_range];
        for entry in &start.entries[start_range] {
            has_moved |= partitions::is_read(entry.partitions, own) && progress(reached, entry)?;
        }
    }
    Some(has_moved)
}

/// Returns whether the entries of a topic that a client has reached are behind this one at which it began. Returns `None` if a
/// client cannot come from the one to the other.
fn progress(reached: &[PositionEntry], start: &PositionEntry) -> Option<bool> {
    let found = match start.partitions {
        Partitions::All => reached,
        one => match reached.binary_search_by_key(&one, |entry| entry.partitions) {
            Ok(index) => &reached[index..=index],
            Err(_) => &[],
        },
    };
    let PartitionPosition::At(from) = start.place else {
        // A time, or an end of the log: any position in the log is behind it.
        let is_reached = |entry: &PositionEntry| matches!(entry.place, PartitionPosition::At(_));
        return Some(found.iter().any(is_reached));
    };
    match found {
        // There is no such partition. An id without the topic is of another read.
        [] => (!reached.is_empty()).then_some(false),
        [entry] => match entry.place {
            PartitionPosition::At(to) if is_same_log(&from, &to) && to.offset >= from.offset => {
                Some(to.offset > from.offset)
            }
            _ => None,
        },
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
    use crate::{metrics::StartPoint, position::TaggedTopic};

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
        assert_eq!(ask(&again(7), Some(&again(7))), (7, false, StartPoint::Id));
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
        assert_eq!(ask(&marked(7), &again(7)), (7, true), "nor had the next one");
        assert_eq!(
            ask(&again(7), &marked(7)),
            (7, true),
            "nor had the one behind that"
        );
        // No client of this read has these.
        assert_eq!(ask(&id(7), &id(3)), (7, false));
        let of_log = |log: &str, offset| id(offset).replace('}', &format!(",\"log\":\"{log}\"}}"));
        let (own, other) = (of_log("q7Zk.1wPx9A.4", 7), of_log("q7Zk.AwPx9A.4", 9));
        assert_eq!(ask(&own, &other), (7, false));
        let time = r#"[{"topic":"eqiad.changes","partition":0,"timestamp":5}]"#;
        assert_eq!(ask(time, &id(9)), (9, false));
        assert_eq!(ask(r#"["eqiad.changes"]"#, &id(9)), (9, false), "all partitions");
        let gone = id(7).replace(']', r#",{"topic":"eqiad.changes","partition":99,"offset":1}]"#);
        assert_eq!(ask(&gone, &id(9)), (9, false), "a partition that does not exist");
    }

    /// The mark of the id of an end behind an end.
    fn again(offset: i64) -> String {
        id(offset).replace('}', ",\"end\":true,\"again\":true}")
    }

    #[test]
    fn an_end_behind_an_end_has_another_id() {
        let mark = |query: &str| {
            let bounds = ask(&format!("/?until=now{query}"), None).unwrap().bounds;
            bounds.unwrap().mark
        };
        let from = |id: &str| mark(&format!("&from={}", escaped(id)));
        assert_eq!(mark(""), EndMark::First);
        assert_eq!(from(&id(7)), EndMark::First);
        assert_eq!(from(&marked(7)), EndMark::Second);
        assert_eq!(from(&again(7)), EndMark::First);
    }

    #[test]
    fn the_id_in_the_url_of_a_client_that_comes_back_counts_as_its_header_does() {
        let query = format!(
            "/?limit=5&from={}&lastEventId={}",
            escaped(&id(7)),
            escaped(&id(9))
        );
        assert_eq!(offset(&ask(&query, None).unwrap()), 9);
    }

    #[test]
    fn a_share_goes_on_from_the_id_of_all_once() {
        let entry = |partition: i32, offset: i64, share: &str| {
            format!(r#"{{"topic":"eqiad.changes","partition":{partition},"offset":{offset}{share}}}"#)
        };
        let all: Vec<_> = (0..2).map(|partition| entry(partition, 7, "")).collect();
        for number in 1..=2 {
            let partitions = format!("{number}/2");
            let share = format!(r#","partitions":"{partitions}""#);
            let own = Restriction::parse(&partitions).unwrap();
            let topic = TaggedTopic::from("eqiad.changes");
            let own = (0..2).filter(|partition| own.of_topic(&topic).contains(*partition));
            let reached: Vec<_> = own.map(|partition| entry(partition, 9, &share)).collect();
            let header = |mark: &str| format!("[{}]", reached.join(",")).replace('}', &format!("{mark}}}"));
            let url = format!(
                "/?limit=5&partitions={partitions}&from={}",
                escaped(&format!("[{}]", all.join(",")))
            );
            let first = ask(&url, None).unwrap();
            assert_eq!((offset(&first), first.is_over), (7, false));
            let cut = ask(&url, Some(&header(""))).unwrap();
            assert_eq!((offset(&cut), cut.is_over), (9, false));
            let ended = ask(&url, Some(&header(r#","end":true"#))).unwrap();
            assert!(ended.is_over);
            // Of another share: refused without `from`, and no place that this read has come to.
            let other = header("").replace(&share, &format!(r#","partitions":"{}/2""#, 3 - number));
            assert_eq!(offset(&ask(&url, Some(&other)).unwrap()), 7);
        }
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
