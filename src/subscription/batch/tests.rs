use super::*;
use crate::{encoding::Tombstones, event::Record, partition::PageBuilder, position::IdForm};

/// Returns the text of a batch with one event of a record with this value.
fn batch(format: EventFormat, payload: Payload, value: Option<&[u8]>, fields: &str) -> Option<Batch> {
    let encoding = Encoding {
        payload,
        tombstones: Tombstones::Delete,
    };
    let mut page = PageBuilder::new(0, encoding);
    let record = Record {
        key: Some(b"k"),
        ..Record::bare(0, value)
    };
    page.push(&record).expect("a good value");
    let page = page.finish(1);
    let id = IdWriter::new(IdForm::Json, []);
    let fields = Projection::parse(fields).expect("fields");
    let mut batch = BatchBuilder::with_capacity_hint(0, MAX_BATCH_BYTES, format);
    batch.event(&page, &page.events()[0], encoding, Some(&fields), &id);
    batch.finish(None)
}

fn text(batch: Option<Batch>) -> String {
    let pieces = batch.iter().flat_map(Batch::pieces);
    String::from_utf8(pieces.flatten().collect()).expect("UTF-8")
}

#[test]
fn both_formats_have_the_fields_and_nothing_else_of_a_value() {
    let value = Some(br#"{"a": 1.0, "b": {"c": [2], "d": 3}}"#.as_slice());
    let text = |format| text(batch(format, Payload::Json, value, "b.c,a"));
    assert_eq!(
        text(EventFormat::Sse),
        "event: message\nid: []\ndata: {\"a\": 1.0,\"b\": {\"c\": [2]}}\n\n"
    );
    assert_eq!(text(EventFormat::Ndjson), "{\"a\": 1.0,\"b\": {\"c\": [2]}}\n");
}

#[test]
fn what_is_no_value_of_json_is_sent_whole() {
    let text = |format, payload, value| text(batch(format, payload, value, "a"));
    assert_eq!(
        text(EventFormat::Sse, Payload::Json, None),
        "event: delete\nid: []\ndata: {\"key\":\"k\"}\n\n"
    );
    assert_eq!(
        text(EventFormat::Ndjson, Payload::Json, None),
        "{\"delete\":{\"key\":\"k\"}}\n"
    );
    assert_eq!(
        text(EventFormat::Sse, Payload::Raw, Some(b"{\"a\":1,\"b\":2}")),
        "event: message\nid: []\ndata: {\"a\":1,\"b\":2}\n\n"
    );
}

#[test]
fn a_large_value_is_alone_only_if_a_large_part_of_it_is_left() {
    let large = "x".repeat(2 * MAX_BATCH_BYTES);
    let value = format!(r#"{{"a":1,"b":"{large}"}}"#);
    for (format, small) in [
        (EventFormat::Sse, "event: message\nid: []\ndata: {\"a\":1}\n\n"),
        (EventFormat::Ndjson, "{\"a\":1}\n"),
    ] {
        let of = |fields| batch(format, Payload::Json, Some(value.as_bytes()), fields).expect("an event");
        let part = of("a");
        assert!(part.large.is_none());
        assert_eq!(text(Some(part)), small);
        let rest = of("b");
        assert_eq!(
            rest.large.as_ref().map(|large| large.len() > MAX_BATCH_BYTES),
            Some(true)
        );
        let document = format!(r#"{{"b":"{large}"}}"#);
        assert_eq!(text(Some(rest)), small.replace("{\"a\":1}", &document));
    }
}
