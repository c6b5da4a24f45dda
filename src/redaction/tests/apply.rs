//! Which records rules apply to, and what is left of keys and headers.

use super::*;
use crate::event::{HeadersBuf, MAX_HEADERS_BYTES};

fn headers(pairs: &[(&str, Option<&str>)]) -> HeadersBuf {
    let mut headers = HeadersBuf::default();
    for (name, value) in pairs {
        headers.push(name.as_bytes(), value.map(str::as_bytes));
    }
    headers
}

#[test]
fn a_rule_applies_if_its_condition_holds_for_the_record_as_kafka_has_it() {
    let redaction = redacting([
        rule(
            r#"meta.domain = "x.example""#,
            &["user", "performer.name"],
            &["comment"],
        ),
        rule(r#"exists user"#, &["meta.domain"], &[]),
        rule("", &["always"], &[]),
    ]);
    for (value, expected) in [
        (
            r#"{"meta":{"domain":"x.example"},"user":"U","performer":{"name":"N","id":1},"comment":"C","always":1}"#,
            r#"{"meta":{},"performer":{"id":1},"comment":""}"#,
        ),
        (
            r#"{"meta":{"domain":"y.example"},"comment":"C"}"#,
            r#"{"meta":{"domain":"y.example"},"comment":"C"}"#,
        ),
        (
            r#"{"meta":{"domain":"\u0078.example"},"comment":"C"}"#,
            r#"{"meta":{"domain":"\u0078.example"},"comment":""}"#,
        ),
        (
            r#"{"user":"U","n":1e400,"always":[]}"#,
            r#"{"user":"U","n":1e400}"#,
        ),
    ] {
        assert_eq!(left_of(&redaction, value), Ok(Some(expected.into())), "{value}");
    }
}

#[test]
fn what_is_dropped_is_told_before_anything_is_removed() {
    let redaction = compiled(RecordRules {
        drop: condition("internal = true"),
        redact: vec![rule("", &["internal"], &[])],
        ..RecordRules::default()
    });
    assert_eq!(left_of(&redaction, r#"{"internal":true}"#), Ok(None));
    assert_eq!(
        left_of(&redaction, r#"{"internal":false,"a":1}"#),
        Ok(Some(r#"{"a":1}"#.into()))
    );
    assert_eq!(
        left_of(&redaction, r#"{"internal":true"#),
        Err(EncodeError::NotJson)
    );
}

#[test]
fn a_canary_is_told_by_a_field_or_by_the_header() {
    let redaction = compiled(RecordRules {
        canary: condition("meta.domain = canary"),
        redact: vec![rule("", &["meta"], &[])],
        ..RecordRules::default()
    });
    let is_canary = |value: &[u8], canary| {
        let mut buffers = TransformBuffers::default();
        let record = Record {
            canary,
            ..record(Some(value))
        };
        match redaction.apply(&record, ORIGIN, &mut buffers) {
            Ok(Transformed::Kept { record, .. }) => record.canary,
            other => panic!("{other:?}"),
        }
    };
    assert!(is_canary(br#"{"meta":{"domain":"canary"}}"#, false));
    assert!(!is_canary(br#"{"meta":{"domain":"a.example"}}"#, false));
    assert!(is_canary(br#"{"meta":{"domain":"a.example"}}"#, true));
}

#[test]
fn keys_and_headers_are_removed_and_blanked_each_by_its_own_name() {
    let described = headers(&[
        ("ip", Some("192.0.2.1")),
        ("type", Some("edit")),
        ("ip", None),
        ("IP", Some("x")),
    ]);
    let record = Record {
        key: Some(b"Ada"),
        headers: described.headers(),
        ..record(Some(b"{\"a\":1}"))
    };
    let left = |rules: Vec<RedactRule>| {
        let mut buffers = TransformBuffers::default();
        match redacting(rules).apply(&record, ORIGIN, &mut buffers) {
            Ok(Transformed::Kept { record, is_redacted }) => {
                assert_eq!(record.value, Some(&b"{\"a\":1}"[..]));
                (record.key.map(<[u8]>::to_vec), pairs(record.headers), is_redacted)
            }
            other => panic!("{other:?}"),
        }
    };
    let all = pairs(described.headers());
    assert_eq!(left(vec![]), (Some(b"Ada".to_vec()), all.clone(), false));
    assert_eq!(
        left(vec![rule("", &["@header.none"], &[])]),
        (Some(b"Ada".to_vec()), all.clone(), false)
    );
    let removed = vec![all[1].clone(), all[3].clone()];
    assert_eq!(
        left(vec![rule("", &["@key", "@header.ip"], &[])]),
        (None, removed, true)
    );
    let blank = |index: usize| (all[index].0.clone(), Some(String::new()));
    let blanked = vec![blank(0), blank(1), all[2].clone(), all[3].clone()];
    assert_eq!(
        left(vec![rule("", &[], &["@key", "@header.ip", "@header.type"])]),
        (Some(Vec::new()), blanked, true)
    );
    let by_key = rule("@key = Ada", &["@key"], &[]);
    let when = r#"@header.type = edit and @topic = "eqiad.edits""#;
    let by_header = rule(when, &["@header.type"], &["@header.ip"]);
    let both = vec![blank(0), all[2].clone(), all[3].clone()];
    assert_eq!(left(vec![by_key, by_header]), (None, both, true));
}

#[test]
fn annotation_tells_the_key_that_is_left() {
    for (remove, blank, expected) in [
        (
            &["@key"][..],
            &[][..],
            r#"{"meta":{"topic":"eqiad.edits","partition":3,"offset":42}}"#,
        ),
        (
            &[],
            &["@key"],
            r#"{"meta":{"topic":"eqiad.edits","partition":3,"offset":42,"key":""}}"#,
        ),
        (
            &["meta"],
            &[],
            r#"{"meta":{"topic":"eqiad.edits","partition":3,"offset":42,"key":"Ada"}}"#,
        ),
    ] {
        let redaction = compiled(RecordRules {
            redact: vec![rule("", remove, blank)],
            annotate: true,
            ..RecordRules::default()
        });
        let mut buffers = TransformBuffers::default();
        let record = Record {
            key: Some(b"Ada"),
            ..record(Some(br#"{"meta":{}}"#))
        };
        let Ok(Transformed::Kept { record, .. }) = redaction.apply(&record, ORIGIN, &mut buffers) else {
            panic!("not kept");
        };
        assert_eq!(record.value, Some(expected.as_bytes()));
    }
}

/// Of a tombstone nobody knows what its value was, and so whether a condition on the value would have held.
#[test]
fn the_key_of_a_tombstone_goes_if_it_might_have_to() {
    let key_of = |when: &str| {
        let record = Record {
            key: Some(b"Ada"),
            ..record(None)
        };
        let mut buffers = TransformBuffers::default();
        match redacting([rule(when, &["@key"], &[])]).apply(&record, ORIGIN, &mut buffers) {
            Ok(Transformed::Kept { record, .. }) => {
                assert_eq!(record.value, None);
                record.key.is_some()
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(!key_of(""));
    assert!(!key_of(r#"meta.domain = "x.example""#));
    assert!(!key_of("@key = Ada") && key_of("@key = Bob"));
    let redaction = compiled(RecordRules {
        drop: condition("internal = true"),
        ..RecordRules::default()
    });
    let kept = redaction
        .apply(&record(None), ORIGIN, &mut TransformBuffers::default())
        .map(|kept| matches!(kept, Transformed::Kept { .. }));
    assert_eq!(kept, Ok(true), "nothing says that it is internal");
}

/// Filters do not look into arrays, so that nobody knows which of its elements a condition would hold for.
#[test]
fn an_array_is_redacted_as_if_every_condition_on_its_elements_held() {
    let of_value = redacting([rule(r#"meta.domain = "x.example""#, &["user"], &[])]);
    let value = r#" [{"meta":{"domain":"x.example"},"user":1},{"user":2}]"#;
    let left = r#" [{"meta":{"domain":"x.example"}},{}]"#;
    assert_eq!(left_of(&of_value, value), Ok(Some(left.into())));
    // Also one on the way to the field.
    for value in [
        r#"{"meta":[{"domain":"x.example"},{"domain":"y"}],"user":1}"#,
        r#"{"user":1,"meta":[]}"#,
        r#"{"meta":1,"meta":{"domain":[[{}]]},"user":1,"m\u0065ta":[1]}"#,
    ] {
        let left = left_of(&of_value, value).unwrap().unwrap();
        assert!(!left.contains("user"), "{value}: {left}");
    }
    for value in [
        r#"{"meta":{"domain":["x.example"]},"user":1}"#,
        r#"{"others":[{"meta":{"domain":"x.example"}}],"meta":{"others":[1]},"user":1}"#,
        r#"{"user":1}"#,
    ] {
        assert_eq!(
            left_of(&of_value, value),
            Ok(Some(value.into())),
            "it is no text, or missing"
        );
    }
    let of_partition = redacting([rule("@partition = 7", &["user"], &[])]);
    assert_eq!(left_of(&of_partition, value), Ok(Some(value.into())));
}

#[test]
fn headers_that_were_not_kept_count_as_whatever_hides_more() {
    let mut large = HeadersBuf::default();
    large.push(b"ip", Some(&[b'x'; MAX_HEADERS_BYTES]));
    let record = Record {
        headers: large.headers(),
        ..record(Some(b"{\"user\":1,\"a\":2}"))
    };
    let mut buffers = TransformBuffers::default();
    for when in ["@header.ip = other", "not @header.ip = other"] {
        let redaction = redacting([rule(when, &["user", "@header.ip"], &[])]);
        match redaction.apply(&record, ORIGIN, &mut buffers) {
            Ok(Transformed::Kept { record, .. }) => {
                assert_eq!(record.value, Some(&b"{\"a\":2}"[..]), "{when}");
                assert!(!record.headers.are_kept());
            }
            other => panic!("{other:?}"),
        }
        let dropping = compiled(RecordRules {
            drop: condition(when),
            ..RecordRules::default()
        });
        let dropped = dropping.apply(&record, ORIGIN, &mut buffers);
        assert!(matches!(dropped, Ok(Transformed::Dropped)), "{when}");
    }
}

#[test]
fn values_that_are_not_json_stay_and_rules_for_the_rest_apply() {
    let rules = RecordRules {
        redact: vec![rule("@header.secret = yes", &["@key"], &[])],
        drop: condition("@key prefix internal"),
        ..RecordRules::default()
    };
    let redaction = Redaction::compile(&rules, Payload::Base64).expect("rules");
    let secret = headers(&[("secret", Some("yes"))]);
    let mut buffers = TransformBuffers::default();
    let kept = Record {
        key: Some(b"Ada"),
        headers: secret.headers(),
        ..record(Some(b"\xff{"))
    };
    match redaction.apply(&kept, ORIGIN, &mut buffers) {
        Ok(Transformed::Kept { record, .. }) => {
            assert_eq!((record.key, record.value), (None, Some(&b"\xff{"[..])))
        }
        other => panic!("{other:?}"),
    }
    let dropped = Record {
        key: Some(b"internal-1"),
        ..kept
    };
    assert!(matches!(
        redaction.apply(&dropped, ORIGIN, &mut buffers),
        Ok(Transformed::Dropped)
    ));
}

#[test]
fn a_rule_that_is_no_filter_or_no_field_is_not_passed_over() {
    for redact in [
        rule("a =", &["b"], &[]),
        rule("", &["a b"], &[]),
        rule("", &[], &["@nothing"]),
    ] {
        let rules = RecordRules {
            redact: vec![redact],
            ..RecordRules::default()
        };
        assert!(Redaction::compile(&rules, Payload::Json).is_err());
    }
}

/// EventStreams redacts by wiki and title; the fields depend on the stream. docs/redaction.md has the same rules.
#[test]
fn the_rules_of_eventstreams_can_be_written() {
    let changes = redacting([rule(
        r#"wiki_id = ruwiki and page.page_title in ("Some_Page", "Some Page")"#,
        &["revision.editor", "prior_state.revision.editor"],
        &["performer"],
    )]);
    let value = |wiki: &str, title: &str| {
        format!(
            r#"{{"wiki_id":"{wiki}","page":{{"page_title":"{title}"}},"performer":{{"user_id":1,"user_text":"A"}},"revision":{{"rev_id":1,"editor":{{"user_text":"A"}}}},"prior_state":{{"revision":{{"editor":{{"user_text":"A"}}}}}}}}"#
        )
    };
    assert_eq!(
        left_of(&changes, &value("ruwiki", "Some_Page")),
        Ok(Some(r#"{"wiki_id":"ruwiki","page":{"page_title":"Some_Page"},"performer":{},"revision":{"rev_id":1},"prior_state":{"revision":{}}}"#.into()))
    );
    for other in [value("jawiki", "Some_Page"), value("ruwiki", "Other")] {
        assert_eq!(left_of(&changes, &other), Ok(Some(other.clone())));
    }
    let recent = redacting([rule(r#"wiki = ruwiki and title = "Some Page""#, &["user"], &[])]);
    assert_eq!(
        left_of(&recent, r#"{"wiki":"ruwiki","title":"Some Page","user":"A"}"#),
        Ok(Some(r#"{"wiki":"ruwiki","title":"Some Page"}"#.into()))
    );
}
