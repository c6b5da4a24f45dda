use proptest::{collection, prelude::*};

use super::*;
use crate::sse::{HEARTBEAT, PRELUDE, data_lines};

const MAX: usize = 4096;

fn message(event: &str, id: Option<&str>, data: &str) -> SseMessage {
    SseMessage {
        event: event.to_owned(),
        id: id.map(str::to_owned),
        data: data.to_owned(),
    }
}

fn drain(reader: &mut SseReader) -> Vec<SseMessage> {
    std::iter::from_fn(|| reader.next_message()).collect()
}

fn read(bytes: impl AsRef<[u8]>) -> (SseReader, Vec<SseMessage>) {
    let mut reader = SseReader::new(MAX);
    reader.push(bytes.as_ref()).expect("short events");
    let messages = drain(&mut reader);
    (reader, messages)
}

fn messages(bytes: impl AsRef<[u8]>) -> Vec<SseMessage> {
    read(bytes).1
}

#[test]
fn an_event_of_ours_comes_back() {
    let (reader, messages) = read(":ok\n\nevent: message\nid: [1]\ndata: {\"a\": 1}\n\n:\n:\n");
    assert_eq!(messages, [message("message", Some("[1]"), "{\"a\": 1}")]);
    assert_eq!(reader.last_id(), "[1]");
    assert_eq!(reader.comments(), 3);
}

#[test]
fn lines_end_with_cr_lf_or_both() {
    let expected = [message("message", None, "a\nb"), message("message", None, "c")];
    for end in ["\n", "\r", "\r\n"] {
        let text = ["data: a", "data: b", "", "data: c", "", ""].join(end);
        assert_eq!(messages(text), expected, "{end:?}");
    }
    assert_eq!(messages("data: a\rdata: b\n\r\ndata: c\r\n\r"), expected);
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(messages("\u{feff}data: a\n\n"), [message("message", None, "a")]);
    assert_eq!(messages("\n\u{feff}data: a\n\n"), []);
    assert_eq!(messages("\u{feff}\u{feff}data: a\n\n"), []);
}

#[test]
fn one_space_behind_the_colon_goes_and_a_field_needs_no_value() {
    assert_eq!(messages("data:a\n\n"), [message("message", None, "a")]);
    assert_eq!(messages("data:  a\n\n"), [message("message", None, " a")]);
    assert_eq!(messages("data\n\n"), [message("message", None, "")]);
    assert_eq!(messages("data:\ndata\n\n"), [message("message", None, "\n")]);
    assert_eq!(
        messages("data: a: b\nDATA: no\nother: no\n\n"),
        [message("message", None, "a: b")]
    );
}

#[test]
fn an_event_without_data_is_none_but_its_id_stays() {
    let (reader, messages) = read("event: x\nid: 7\n\ndata: a\n\n");
    assert_eq!(messages, [message("message", None, "a")]);
    assert_eq!(reader.last_id(), "7");
}

#[test]
fn an_id_with_nul_is_ignored_and_an_empty_one_resets() {
    let (reader, messages) = read("id: 7\nid: a\0b\ndata: a\n\n");
    assert_eq!(messages, [message("message", Some("7"), "a")]);
    assert_eq!(reader.last_id(), "7");
    let (reader, messages) = read("id: 7\ndata: a\n\nid\ndata: b\n\n");
    assert_eq!(messages[1], message("message", Some(""), "b"));
    assert_eq!(reader.last_id(), "");
}

#[test]
fn an_unfinished_event_is_discarded_with_its_id() {
    let (reader, messages) = read("id: 7\ndata: a\n\nid: 8\ndata: b\n");
    assert_eq!(messages.len(), 1);
    assert_eq!(reader.last_id(), "7");
}

#[test]
fn retry_is_digits_or_nothing() {
    let retry = |value: &str| read(format!("retry: {value}\n")).0.retry();
    assert_eq!(retry("1500"), Some(Duration::from_millis(1500)));
    for value in ["", "1.5", "+1", "-1", "1s", " 1", "99999999999999999999"] {
        assert_eq!(retry(value), None, "{value:?}");
    }
}

#[test]
fn invalid_utf8_becomes_replacement_characters() {
    assert_eq!(
        messages(b"data: \xff\xe2\x80\n\n"),
        [message("message", None, "\u{fffd}\u{fffd}")]
    );
}

#[test]
fn an_endless_line_or_event_is_cut_off_and_what_came_before_is_not_lost() {
    let mut reader = SseReader::new(10);
    reader.push(b"data: a\n\ndata: 1").unwrap();
    assert_eq!(reader.push(b"2345678"), Err(EventTooLong { max: 10 }));
    assert_eq!(reader.push(b"\n\n"), Err(EventTooLong { max: 10 }));
    assert_eq!(drain(&mut reader), [message("message", None, "a")]);
    assert!(SseReader::new(10).push("data: a\n".repeat(4).as_bytes()).is_err());
    assert!(SseReader::new(10).push(b":0123456789\n").is_err());
}

#[test]
fn heartbeats_without_a_blank_line_never_add_up_to_an_event() {
    let mut reader = SseReader::new(10);
    for _ in 0..1000 {
        reader.push(HEARTBEAT).unwrap();
    }
    reader.push(b"data: a\n\n").unwrap();
    assert_eq!(drain(&mut reader).len(), 1);
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        pieces in collection::vec(piece(), 0..40),
        cuts in collection::vec(any::<prop::sample::Index>(), 0..12),
        max in 4..60usize,
    ) {
        let bytes = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut whole = SseReader::new(max);
        let outcome = whole.push(&bytes);
        let mut cut = SseReader::new(max);
        let cut_outcome = cuts.windows(2).try_for_each(|pair| cut.push(&bytes[pair[0]..pair[1]]));
        prop_assert_eq!(outcome, cut_outcome);
        prop_assert_eq!(drain(&mut whole), drain(&mut cut));
        prop_assert_eq!(whole.last_id(), cut.last_id());
        prop_assert_eq!(whole.retry(), cut.retry());
        prop_assert_eq!(whole.comments(), cut.comments());
    }

    #[test]
    fn text_survives_but_for_the_kind_of_its_line_breaks(text in "(\\PC|[\r\n\0 :\u{feff}\u{2028}]){0,40}") {
        let mut bytes = PRELUDE.to_vec();
        data_lines(&mut bytes, &text);
        bytes.push(b'\n');
        let expected = text.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(messages(bytes), [message("message", None, &expected)]);
    }

    #[test]
    fn rubbish_never_panics(bytes in collection::vec(any::<u8>(), 0..200)) {
        let _ = SseReader::new(50).push(&bytes);
    }
}

/// Generates pieces of event streams, complete and cut off.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: &[&[u8]] = &[
        b"\n",
        b"\r",
        b"\r\n",
        b"data",
        b"data: a",
        b"id: 7",
        b"id",
        b"event: x",
        b"retry: 5",
        b": ",
        b":\n",
        b"\0",
        b" ",
        "\u{feff}".as_bytes(),
        "\u{e9}".as_bytes(),
        b"\xe2\x80",
        b"\n\n",
        b"data: ",
    ];
    prop::sample::select(KNOWN).prop_map(<[u8]>::to_vec)
}
