use super::*;
use crate::position::{Entry, LogTag, Partitions, TopicKey, decode};

fn text(composer: &Composer) -> String {
    let mut out = Vec::new();
    composer.write(&mut out);
    String::from_utf8(out).expect("ASCII")
}

fn mark(offset: i64) -> Mark {
    Mark {
        offset,
        timestamp: Some(1_790_487_705_415),
        log: Some("q7Zk.1wPx9A".parse().unwrap()),
        epoch: Some(4),
    }
}

fn partitions(count: i32, place: Place) -> impl Iterator<Item = (Arc<str>, i32, Place)> {
    let topic: Arc<str> = Arc::from("eqiad.recentchange");
    (0..count).map(move |partition| (topic.clone(), partition, place))
}

#[test]
fn the_json_form_is_the_documented_one() {
    let mut composer = Composer::new(IdForm::Json, partitions(1, Place::At(mark(43))));
    let documented = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":43,"timestamp":1790487705415,"log":"q7Zk.1wPx9A.4"}]"#;
    assert_eq!(text(&composer), documented);
    composer.set(0, &Place::At(mark(999)));
    assert_eq!(text(&composer), documented.replace("43,", "999,"));
    assert_eq!(text(&Composer::new(IdForm::Json, [])), "[]");
}

#[test]
fn what_is_unknown_is_left_out() {
    let entry = |place| {
        let text = text(&Composer::new(IdForm::Json, [(Arc::from("t"), 2, place)]));
        let head = r#"[{"topic":"t","partition":2,"#;
        text.strip_prefix(head)
            .expect(head)
            .trim_end_matches("}]")
            .to_owned()
    };
    let known = Mark { offset: 5, ..mark(0) };
    assert_eq!(entry(Place::Earliest), r#""offset":-2"#);
    assert_eq!(entry(Place::Latest), r#""offset":-1"#);
    assert_eq!(entry(Place::Since(7)), r#""timestamp":7"#);
    let without_epoch = Mark {
        epoch: None,
        timestamp: None,
        ..known
    };
    assert_eq!(
        entry(Place::At(without_epoch)),
        r#""offset":5,"log":"q7Zk.1wPx9A""#
    );
    let without_log = Mark {
        log: None,
        timestamp: None,
        ..known
    };
    assert_eq!(entry(Place::At(without_log)), r#""offset":5"#);
    let kafkas_unknown = Mark {
        timestamp: Some(-1),
        epoch: Some(-1),
        ..known
    };
    assert_eq!(
        entry(Place::At(kafkas_unknown)),
        r#""offset":5,"log":"q7Zk.1wPx9A""#
    );
}

#[test]
fn a_json_id_beyond_4_kib_is_compact_and_comes_back() {
    let mut composer = Composer::new(IdForm::Json, partitions(60, Place::Latest));
    assert!(text(&composer).starts_with("[{") && text(&composer).len() <= MAX_JSON_BYTES);
    for index in 0..60 {
        composer.set(index, &Place::At(mark(1_000_000_000)));
    }
    let compact = text(&composer);
    assert!(compact.starts_with("~1") && compact.len() < 1000, "{compact}");
    let same = Composer::new(IdForm::Compact, partitions(60, Place::At(mark(1_000_000_000))));
    assert_eq!(compact, text(&same));
    for index in 0..60 {
        composer.set(index, &Place::Latest);
    }
    assert_eq!(
        text(&composer),
        text(&Composer::new(IdForm::Json, partitions(60, Place::Latest)))
    );
}

#[test]
fn a_compact_id_of_a_usual_topology_fits_128_characters() {
    let hour = 3_600_000;
    let logs = [
        LogTag::from_bits(0xabcdef, 1 << 35),
        LogTag::from_bits(0xabcdef, 77),
    ];
    let slots = (0..6).map(|index| {
        let place = Place::At(Mark {
            offset: 10_000_000_000 + i64::from(index),
            timestamp: Some(1_790_487_705_415 - i64::from(index) * 4 * hour),
            log: Some(logs[index as usize / 3]),
            epoch: Some(1000),
        });
        let topic = ["codfw.mediawiki.recentchange", "eqiad.mediawiki.recentchange"][index as usize / 3];
        (Arc::from(topic), index % 3, place)
    });
    let text = text(&Composer::new(IdForm::Compact, slots));
    assert!(text.len() <= 128, "{} characters: {text}", text.len());
}

#[test]
fn the_compact_form_never_changes_under_clients_that_hold_one() {
    let id = text(&Composer::new(
        IdForm::Compact,
        partitions(2, Place::At(mark(43))),
    ));
    assert_eq!(id, PUBLISHED);
    let expected = |partition| Entry {
        topic: TopicKey::Tag(TopicKey::tag_of("eqiad.recentchange")),
        partitions: Partitions::One(partition),
        place: Place::At(mark(43)),
    };
    assert_eq!(
        decode(PUBLISHED.as_bytes()).unwrap().entries,
        [expected(0), expected(1)]
    );
}

#[test]
fn every_id_within_the_limits_can_be_read_back() {
    let composer = Composer::new(IdForm::Json, partitions(1000, Place::At(mark(10_000_000_000))));
    assert_eq!(decode(text(&composer).as_bytes()).unwrap().entries.len(), 1000);
}

#[test]
fn more_partitions_than_were_ever_read_back_are() {
    let composer = Composer::new(IdForm::Json, partitions(1200, Place::At(mark(10_000_000_000))));
    assert!(composer.is_readable());
    assert_eq!(decode(text(&composer).as_bytes()).unwrap().entries.len(), 1200);
}

/// An id as version 1 wrote it.
const PUBLISHED: &str = "~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3";

#[test]
fn partitions_that_move_together_cost_no_more_than_a_new_id_and_read_the_same() {
    for count in [1, 3, 60, 500] {
        for form in [IdForm::Json, IdForm::Compact] {
            let mut together = Composer::new(form, partitions(count, Place::Latest));
            let mut one_by_one = together.clone();
            for offset in [3, 3, 1 << 40] {
                let places = |partition| match partition % 3 {
                    0 => Place::At(mark(offset)),
                    1 => Place::Since(offset),
                    _ => Place::Latest,
                };
                together.set_all((0..count).map(places));
                (0..count).for_each(|partition| one_by_one.set(partition as usize, &places(partition)));
                assert_eq!(text(&together), text(&one_by_one), "{count} partitions, {form:?}");
            }
        }
    }
}
