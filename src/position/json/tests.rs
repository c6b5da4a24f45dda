use super::super::{
    DecodeError, EntryError, LogPosition, LogTag, MAX_ENTRIES, MAX_ID_BYTES, PartitionPosition, Partitions,
    PositionEntry, TopicKey, decode,
};

fn read(text: &str) -> Vec<PositionEntry> {
    decode(text.as_bytes()).expect(text).entries
}

fn refused(text: &str) -> DecodeError {
    decode(text.as_bytes()).expect_err(text)
}

fn fault(index: usize, fault: EntryError) -> DecodeError {
    DecodeError::PositionEntry { index, fault }
}

fn at(topic: &str, partition: i32, place: PartitionPosition) -> PositionEntry {
    PositionEntry {
        topic: TopicKey::Name(topic.into()),
        partitions: Partitions::One(partition),
        place,
    }
}

fn all(topic: &str) -> PositionEntry {
    PositionEntry {
        topic: TopicKey::Name(topic.into()),
        partitions: Partitions::All,
        place: PartitionPosition::Latest,
    }
}

fn bare(offset: i64, timestamp: Option<i64>) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset,
        timestamp,
        log: None,
        epoch: None,
    })
}

#[test]
fn our_own_form_keeps_the_proof() {
    let id = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":43,"timestamp":1790487705415,"log":"q7Zk.1wPx9A.4"}]"#;
    let log_position = LogPosition {
        offset: 43,
        timestamp: Some(1_790_487_705_415),
        log: Some("q7Zk.1wPx9A".parse::<LogTag>().unwrap()),
        epoch: Some(4),
    };
    assert_eq!(
        read(id),
        [at("eqiad.recentchange", 0, PartitionPosition::At(log_position))]
    );
    let without_epoch = id.replace("9A.4", "9A");
    let log_position = LogPosition {
        epoch: None,
        ..log_position
    };
    assert_eq!(
        read(&without_epoch),
        [at("eqiad.recentchange", 0, PartitionPosition::At(log_position))]
    );
}

#[test]
fn an_id_that_event_streams_gave_out_in_2026_is_understood() {
    let id = r#"[{"topic":"eqiad.mediawiki.recentchange","partition":0,"timestamp":1790487705416},{"topic":"codfw.mediawiki.recentchange","partition":0,"offset":-1}]"#;
    assert_eq!(
        read(id),
        [
            at("codfw.mediawiki.recentchange", 0, PartitionPosition::Latest),
            at(
                "eqiad.mediawiki.recentchange",
                0,
                PartitionPosition::Since(1_790_487_705_416)
            ),
        ]
    );
}

#[test]
fn offsets_name_both_ends_of_a_log() {
    let id = r#" [ {"offset":-2,"partition":1,"topic":"t"} , {"offset":-1,"partition":0,"topic":"t"} ] "#;
    assert_eq!(
        read(id),
        [
            at("t", 0, PartitionPosition::Latest),
            at("t", 1, PartitionPosition::Earliest)
        ]
    );
}

#[test]
fn an_entry_with_offset_and_timestamp_survives_beside_one_with_a_timestamp_alone() {
    let id =
        r#"[{"topic":"t","partition":0,"offset":7,"timestamp":5},{"topic":"t","partition":1,"timestamp":5}]"#;
    assert_eq!(
        read(id),
        [
            at("t", 0, bare(7, Some(5))),
            at("t", 1, PartitionPosition::Since(5))
        ]
    );
    let ends = r#"[{"topic":"t","partition":0,"offset":-1,"timestamp":5},{"topic":"t","partition":1,"offset":-2,"timestamp":5}]"#;
    assert_eq!(
        read(ends),
        [
            at("t", 0, PartitionPosition::Latest),
            at("t", 1, PartitionPosition::Earliest)
        ]
    );
}

#[test]
fn topics_may_be_named_bare() {
    assert_eq!(read(r#"["b","a"]"#), [all("a"), all("b")]);
    assert_eq!(read(r#""b,a""#), [all("a"), all("b")]);
    assert_eq!(
        read(r#"[{"topic":"a","partition":0,"offset":3},"a","a"]"#),
        [all("a"), at("a", 0, bare(3, None))]
    );
}

#[test]
fn extra_keys_nulls_and_repeated_keys_are_no_obstacle() {
    let id = r#"[{"topic":"x","topic":"t","partition":0,"offset":3,"timestamp":null,"meta":{"a":[1.5,{}]},"log":null}]"#;
    assert_eq!(read(id), [at("t", 0, bare(3, None))]);
}

#[test]
fn duplicates_would_be_delivered_twice_and_are_merged_to_the_lowest() {
    let lowest = |places: [&str; 2]| {
        let entry = |place| format!(r#"{{"topic":"t","partition":0,{place}}}"#);
        let forth = read(&format!("[{},{}]", entry(places[0]), entry(places[1])));
        let back = read(&format!("[{},{}]", entry(places[1]), entry(places[0])));
        assert_eq!(forth, back);
        assert_eq!(forth.len(), 1);
        forth[0].place
    };
    assert_eq!(lowest([r#""offset":9"#, r#""offset":10"#]), bare(9, None));
    assert_eq!(
        lowest([r#""timestamp":9"#, r#""timestamp":10"#]),
        PartitionPosition::Since(9)
    );
    assert_eq!(lowest([r#""offset":-1"#, r#""offset":10"#]), bare(10, None));
    assert_eq!(
        lowest([r#""offset":-1"#, r#""timestamp":10"#]),
        PartitionPosition::Since(10)
    );
    assert_eq!(
        lowest([r#""offset":-2"#, r#""offset":0"#]),
        PartitionPosition::Earliest
    );
    assert_eq!(
        lowest([r#""offset":-2"#, r#""timestamp":0"#]),
        PartitionPosition::Earliest
    );
    assert_eq!(
        lowest([r#""offset":1"#, r#""timestamp":99"#]),
        PartitionPosition::Since(99)
    );
}

#[test]
fn an_empty_list_is_a_position_without_entries() {
    assert_eq!(read("[]"), []);
}

#[test]
fn nothing_and_other_documents_are_no_ids() {
    for text in ["", " ", "[", "nope", "a,b", "[{]", "\u{feff}[]", "[]]", "[1e999]"] {
        assert!(matches!(refused(text), DecodeError::NotJson { .. }), "{text}");
    }
    for text in [
        "{}",
        "null",
        "7",
        "true",
        r#"{"topic":"t","partition":0,"offset":1}"#,
    ] {
        assert_eq!(refused(text), DecodeError::NotAList, "{text}");
    }
    assert!(matches!(decode(b"[\"\xff\"]"), Err(DecodeError::NotJson { .. })));
}

#[test]
fn each_fault_is_named_with_its_entry() {
    let cases = [
        (r#"7"#, EntryError::NotAnEntry),
        (r#"[]"#, EntryError::NotAnEntry),
        (r#""""#, EntryError::Topic),
        (r#""a b""#, EntryError::Topic),
        (r#""..""#, EntryError::Topic),
        (r#"{"partition":0,"offset":1}"#, EntryError::Topic),
        (r#"{"topic":7,"partition":0,"offset":1}"#, EntryError::Topic),
        (r#"{"topic":"t","offset":1}"#, EntryError::Partition),
        (
            r#"{"topic":"t","partition":-1,"offset":1}"#,
            EntryError::Partition,
        ),
        (
            r#"{"topic":"t","partition":2147483648,"offset":1}"#,
            EntryError::Partition,
        ),
        (
            r#"{"topic":"t","partition":"0","offset":1}"#,
            EntryError::Partition,
        ),
        (
            r#"{"topic":"t","partition":0.0,"offset":1}"#,
            EntryError::Partition,
        ),
        (r#"{"topic":"t","partition":0}"#, EntryError::NoPlace),
        (
            r#"{"topic":"t","partition":0,"log":"q7Zk.1wPx9A.4"}"#,
            EntryError::NoPlace,
        ),
        (r#"{"topic":"t","partition":0,"offset":-3}"#, EntryError::Offset),
        (r#"{"topic":"t","partition":0,"offset":1.0}"#, EntryError::Offset),
        (r#"{"topic":"t","partition":0,"offset":"1"}"#, EntryError::Offset),
        (
            r#"{"topic":"t","partition":0,"offset":9223372036854775808}"#,
            EntryError::Offset,
        ),
        (
            r#"{"topic":"t","partition":0,"timestamp":-1}"#,
            EntryError::Timestamp,
        ),
        (
            r#"{"topic":"t","partition":0,"offset":1,"timestamp":"5"}"#,
            EntryError::Timestamp,
        ),
    ];
    for (entry, expected) in cases {
        let id = format!(r#"["good",{entry}]"#);
        assert_eq!(refused(&id), fault(1, expected), "{id}");
    }
}

#[test]
fn a_damaged_log_is_refused_and_never_taken_for_none() {
    for log in [
        r#""""#,
        r#""q7Zk.1wPx9""#,
        r#""q7Zk.1wPx9A.""#,
        r#""q7Zk.1wPx9A.+4""#,
        r#""q7Zk.1wPx9A.-1""#,
        r#""q7Zk.1wPx9A.2147483648""#,
        r#""q7Zk.1wPx9A4""#,
        r#""q7Zk.1wPx9ä.4""#,
        "4",
    ] {
        let id = format!(r#"[{{"topic":"t","partition":0,"offset":1,"log":{log}}}]"#);
        assert_eq!(refused(&id), fault(0, EntryError::Log), "{id}");
    }
}

#[test]
fn what_a_client_reads_names_the_entry_and_the_fault() {
    let text = refused(r#"["t",{"topic":"t","partition":0}]"#).to_string();
    assert_eq!(
        text,
        "entry 1 of the id: it has neither \"offset\" nor \"timestamp\""
    );
    assert_eq!(
        refused("[{]").to_string(),
        "the id is not valid JSON (line 1, column 3)"
    );
}

#[test]
fn length_depth_and_number_of_entries_are_bounded() {
    let long = format!("[{}]", " ".repeat(MAX_ID_BYTES));
    assert_eq!(refused(&long), DecodeError::TooLong);
    let deep = "[".repeat(MAX_ID_BYTES);
    assert!(matches!(refused(&deep), DecodeError::NotJson { .. }));
    let entries = |count| format!("[{}]", vec![r#""t""#; count].join(","));
    assert_eq!(read(&entries(MAX_ENTRIES)), [all("t")]);
    assert_eq!(refused(&entries(MAX_ENTRIES + 1)), DecodeError::TooManyEntries);
    let name = "n".repeat(249);
    assert_eq!(read(&format!(r#""{name}""#)), [all(&name)]);
    assert_eq!(refused(&format!(r#""{name}n""#)), fault(0, EntryError::Topic));
}

/// Checks that the fast reader takes what we write, and that both readers agree on what both take.
#[test]
fn the_quick_reader_says_what_the_other_says_or_nothing() {
    let quick = [
        r#"[{"topic":"a","partition":0,"offset":-2}]"#,
        r#"[{"topic":"a","partition":0,"offset":43,"timestamp":1790487705415,"log":"q7Zk.1wPx9A.4"}]"#,
        r#"[{"topic":"a","partition":2147483647,"timestamp":0},{"topic":"b","partition":1,"offset":-1}]"#,
        r#"[{"topic":"a","partition":0,"offset":-2,"partitions":"2/3"},{"topic":"a","partition":1,"offset":0}]"#,
        r#"[{"topic":"a","partition":0,"offset":4,"log":"q7Zk.1wPx9A","partitions":"list:00c0ffee"}]"#,
        r#"["a","b.c","a"]"#,
        r#"["a",{"topic":"a","partition":1,"offset":999999999999999999}]"#,
    ];
    for text in quick {
        let read = super::plain::read(text.as_bytes());
        assert_eq!(read, super::read_any(text.as_bytes()).ok(), "{text}");
        assert!(read.is_some(), "{text}");
    }
    let characters = b"\"\\[]{},:-0159ae. \x00\xc3";
    for text in quick {
        for (at, character) in (0..text.len()).flat_map(|at| characters.map(|character| (at, character))) {
            let mut altered = text.as_bytes().to_vec();
            altered[at] = character;
            for altered in [&altered[..], &altered[..at]] {
                if let Some(entries) = super::plain::read(altered) {
                    assert_eq!(
                        Ok(entries),
                        super::read_any(altered),
                        "{}",
                        altered.escape_ascii()
                    );
                }
            }
        }
    }
}
