use std::sync::Arc;

use http::HeaderValue;

use super::*;
use crate::{
    catalog::{Catalog, Parameter, Stream},
    position::{self, IdForm, LogPosition, PartitionPosition},
};

const NOW: Timestamp = 1_790_487_705_415;

fn selection() -> Selection {
    let mut stream = Stream::new("changes", ["eqiad.changes"]);
    stream.former_topics.push("old.changes".into());
    Catalog::new(vec![stream]).unwrap().select("changes").unwrap()
}

pub(super) fn ask(target: &str, header: Option<&str>) -> Result<StreamQuery, Error> {
    let mut headers = HeaderMap::new();
    if let Some(id) = header {
        headers.insert("last-event-id", HeaderValue::from_str(id).unwrap());
    }
    StreamQuery::read(
        &headers,
        &target.parse().unwrap(),
        &selection(),
        FilterBuilder::default(),
        NOW,
    )
}

/// Returns the offset of the position's only entry.
pub(super) fn offset(query: &StreamQuery) -> i64 {
    match query
        .position
        .as_ref()
        .map(|position| position.entries.as_slice())
    {
        Some(
            [
                PositionEntry {
                    place: PartitionPosition::At(LogPosition { offset, .. }),
                    ..
                },
            ],
        ) => *offset,
        other => panic!("{other:?}"),
    }
}

pub(super) fn id(offset: i64) -> String {
    format!(r#"[{{"topic":"eqiad.changes","partition":0,"offset":{offset}}}]"#)
}

pub(super) fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn the_header_wins_over_the_query_and_both_over_since() {
    let target = format!("/?since=2018-06-14&lastEventId={}", escaped(&id(7)));
    let query = ask(&target, Some(&id(8))).unwrap();
    assert_eq!((offset(&query), query.since), (8, None));
    let query = ask(&target, None).unwrap();
    assert_eq!((offset(&query), query.since), (7, None));
    assert_eq!(query.start(), StartPoint::Id);
}

#[test]
fn the_topics_of_a_compact_id_are_found_by_their_tags() {
    let compact = |topics: &[&str]| {
        let entries = topics
            .iter()
            .map(|topic| ((*topic).into(), 0, PartitionPosition::Since(5)));
        let mut id = Vec::new();
        position::IdWriter::new(IdForm::Compact, entries).write(&mut id);
        String::from_utf8(id).unwrap()
    };
    let entries = |topics: &[&str]| {
        let query = ask("/", Some(&compact(topics)))?;
        Ok::<_, Error>(query.position.map(|position| position.entries.len()))
    };
    assert_eq!(entries(&["eqiad.changes"]).unwrap(), Some(1));
    assert_eq!(entries(&["eqiad.changes", "old.changes"]).unwrap(), Some(1));
    assert_eq!(entries(&["old.changes"]).unwrap(), None);
    let many: Vec<_> = (0..1000).map(|topic| format!("foreign-{topic}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    match entries(&many) {
        Err(Error::TopicNotAvailable { requested, .. }) => assert_eq!(requested.len(), MAX_LISTED),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_blank_header_is_what_a_client_sends_that_has_seen_nothing_yet() {
    let target = format!("/?last_event_id={}", escaped(&id(7)));
    for blank in ["", " ", "\t"] {
        assert_eq!(offset(&ask(&target, Some(blank)).unwrap()), 7);
        let query = ask("/", Some(blank)).unwrap();
        assert_eq!((query.position.as_ref(), query.start()), (None, StartPoint::Live));
    }
}

#[test]
fn an_id_without_entries_is_no_position() {
    let query = ask("/?since=1000", Some("[]")).unwrap();
    assert_eq!((query.position.as_ref(), query.since), (None, Some(1000)));
    assert_eq!(query.start(), StartPoint::Since);
}

#[test]
fn a_time_to_come_is_asked_of_the_log_too() {
    let at = |time: Timestamp| ask(&format!("/?since={time}"), None).unwrap().since;
    assert_eq!(at(NOW), Some(NOW));
    assert_eq!(at(NOW + 1), Some(NOW + 1));
}

#[test]
fn a_stream_that_changed_its_topics_goes_on_at_the_time_where_they_ended() {
    let both = r#"[{"topic":"eqiad.changes","partition":0,"offset":7},{"topic":"old.changes","partition":0,"offset":1}]"#;
    assert_eq!(offset(&ask("/", Some(both)).unwrap()), 7);
    let old = r#"[{"topic":"old.changes","partition":0,"offset":1,"timestamp":500},
                  {"topic":"old.changes","partition":1,"timestamp":900}]"#;
    let query = ask("/?since=100", Some(&old.replace('\n', " "))).unwrap();
    assert_eq!((query.position.as_ref(), query.since), (None, Some(900)));
}

#[test]
fn a_topic_of_somebody_else_is_named_beside_those_there_are() {
    let error = ask("/", Some(r#"["secret","eqiad.changes"]"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the id names topics that these streams do not have: secret; their topics are: eqiad.changes"
    );
}

fn filter_of(list: &str, target: &str) -> Result<Option<String>, Error> {
    let mut edits = Stream::new("edits", ["edits"]);
    edits.filter_fields = vec!["wiki".into(), "page.namespace".into()];
    let mut pages = Stream::new("pages", ["pages"]);
    pages.filter_fields = vec!["wiki".into()];
    let selection = Catalog::new(vec![edits, pages]).unwrap().select(list).unwrap();
    let query = StreamQuery::read(
        &HeaderMap::new(),
        &target.parse().unwrap(),
        &selection,
        FilterBuilder::default(),
        NOW,
    )?;
    Ok(query.view.filter.map(|filter| filter.to_string()))
}

#[test]
fn a_field_that_the_catalog_lets_be_named_is_a_filter_and_joins_the_other() {
    let text = |target| filter_of("edits", target).unwrap();
    assert_eq!(
        text("/?wiki=enwiki,dewiki").as_deref(),
        Some(r#""wiki" in ("dewiki", "enwiki")"#)
    );
    let target = format!("/?page.namespace=0&filter={}", escaped("bot = true"));
    assert_eq!(
        text(&target).as_deref(),
        Some(r#""bot" in (true) and "page"."namespace" in (0, "0")"#)
    );
    assert_eq!(text("/?filter=&user=x"), None);
}

#[test]
fn a_field_that_only_one_of_the_streams_has_is_refused_rather_than_half_applied() {
    assert!(filter_of("edits,pages", "/?wiki=enwiki").unwrap().is_some());
    let error = filter_of("edits,pages", "/?page.namespace=0").unwrap_err();
    assert!(matches!(error, Error::BadParameter(_)), "{error}");
}

#[test]
fn what_is_wrong_with_a_filter_is_told_with_its_column() {
    let error = filter_of("edits", "/?filter=wiki%20%3D").unwrap_err();
    assert_eq!(error.to_string(), "expected a value at column 7");
}

fn with_fields(fields: &[&str]) -> Selection {
    let mut stream = Stream::new("changes", ["eqiad.changes"]);
    stream.filter_fields = fields.iter().map(|field| Arc::from(*field)).collect();
    Catalog::new(vec![stream]).unwrap().select("changes").unwrap()
}

fn ask_with_fields(fields: &[&str], target: &str) -> Result<StreamQuery, Error> {
    StreamQuery::read(
        &HeaderMap::new(),
        &target.parse().unwrap(),
        &with_fields(fields),
        FilterBuilder::default(),
        NOW,
    )
}

#[test]
fn the_id_is_taken_under_every_name_that_clients_have_for_it() {
    for name in Parameter::LastEventId.names() {
        let query = ask(&format!("/?{name}={}", escaped(&id(7))), None).unwrap();
        assert_eq!(offset(&query), 7, "{name}");
        let query = ask(&format!("/?{name}=&since=2018-06-14"), None).unwrap();
        assert_eq!(query.start(), StartPoint::Since, "{name}");
    }
}

#[test]
fn a_slip_in_a_name_is_told_with_the_name_that_was_meant() {
    for (name, meant) in [
        ("Since", "since"),
        ("LASTEVENTID", "lastEventId"),
        ("lasteventid", "lastEventId"),
        ("Last_Event_Id", "lastEventId"),
        ("Filter", "filter"),
        ("on-gap", "on_gap"),
        ("Encoding", "encoding"),
        ("user-name", "user_name"),
    ] {
        let target = format!("/?a=b&{name}=2018-06-14");
        let error = ask_with_fields(&["user_name"], &target).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("unknown parameter '{name}'; did you mean '{meant}'?")
        );
    }
    for other in ["sinces", "utm_source", "_", "", "stream"] {
        assert!(ask(&format!("/?{other}=2018-06-14"), None).is_ok(), "{other}");
    }
}

#[test]
fn a_field_keeps_its_name_from_a_slip_and_from_a_later_parameter() {
    let query = ask_with_fields(&["Since", "lastEventID"], "/?Since=x&lastEventID=y").unwrap();
    assert_eq!(query.position, None);
    let filter = query.view.filter.unwrap().to_string();
    assert_eq!(filter, r#""Since" in ("x") and "lastEventID" in ("y")"#);
    let query = ask_with_fields(&["checkpoint"], "/?checkpoint=yes").unwrap();
    assert_eq!(
        query.view.filter.unwrap().to_string(),
        r#""checkpoint" in ("yes")"#
    );
}
