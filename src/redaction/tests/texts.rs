//! What is left of the texts of values.

use super::*;

fn redacted(remove: &[&str], blank: &[&str], value: &str) -> String {
    let left = left_of(&redacting([rule("", remove, blank)]), value);
    left.expect("a document").expect("not dropped")
}

#[test]
fn what_is_removed_takes_one_comma_along_and_all_else_stays_byte_for_byte() {
    let value = r#"{ "a" : 1.0 , "b":[1 , 2],"c" : -0  ,"d":1e400 }"#;
    for (remove, expected) in [
        (&["a"][..], r#"{ "b":[1 , 2],"c" : -0  ,"d":1e400 }"#),
        (&["b"], r#"{ "a" : 1.0 ,"c" : -0  ,"d":1e400 }"#),
        (&["d"], r#"{ "a" : 1.0 , "b":[1 , 2],"c" : -0   }"#),
        (&["a", "b"], r#"{ "c" : -0  ,"d":1e400 }"#),
        (&["b", "c"], r#"{ "a" : 1.0   ,"d":1e400 }"#),
        (&["c", "d"], r#"{ "a" : 1.0 , "b":[1 , 2]   }"#),
        (&["a", "d"], r#"{ "b":[1 , 2],"c" : -0   }"#),
        (&["a", "b", "c", "d"], "{  }"),
        (&["none", "a.b", "b.c"], value),
    ] {
        assert_eq!(redacted(remove, &[], value), expected, "{remove:?}");
    }
    assert_eq!(redacted(&["a"], &[], r#"{"a":1}"#), "{}");
    assert_eq!(redacted(&["a"], &[], "{}"), "{}");
}

#[test]
fn what_is_blanked_keeps_its_place_and_its_type() {
    let value = r#"{"s":"x\"}","n":-1.5e9,"t":true,"f":false,"z":null,"o":{"s":[]},"l":[{"a":1}],"end" : 0}"#;
    assert_eq!(
        redacted(&[], &["s", "n", "t", "f", "z", "o", "l"], value),
        r#"{"s":"","n":0,"t":false,"f":false,"z":null,"o":{},"l":[],"end" : 0}"#
    );
    assert_eq!(
        redacted(&["o"], &["o.s", "o"], r#"{"o":{"s":[]}}"#),
        "{}",
        "removing goes first"
    );
    assert_eq!(
        redacted(&["o.s"], &["o"], r#"{"o":{"s":1,"t":2}}"#),
        r#"{"o":{}}"#
    );
}

#[test]
fn names_are_found_however_they_are_written_and_every_time() {
    for (remove, value, expected) in [
        (
            "user",
            r#"{"us\u0065r":1,"user":2,"use":3,"User":4}"#,
            r#"{"use":3,"User":4}"#,
        ),
        (r#""a.b""#, r#"{"a":{"b":1},"a.b":2}"#, r#"{"a":{"b":1}}"#),
        (
            "a.b",
            r#"{"a":{"b":1},"a":2,"\u0061":{"b":3,"c":4}}"#,
            r#"{"a":{},"a":2,"\u0061":{"c":4}}"#,
        ),
        (r#""say \"\\\"""#, r#"{"say \"\\\"":1}"#, "{}"),
        (r#""😀""#, r#"{"\ud83d\ude00":1,"\ud83d":2}"#, r#"{"\ud83d":2}"#),
        (r#""a/b""#, r#"{"a\/b":1}"#, "{}"),
        (r#""""#, r#"{"":1,"a":2}"#, r#"{"a":2}"#),
        (
            "a",
            r#"{"b":"\"a\":1,{[\\","a":"}\\\""}"#,
            r#"{"b":"\"a\":1,{[\\"}"#,
        ),
        (r#""@key""#, r#"{"@key":1,"b":2}"#, r#"{"b":2}"#),
    ] {
        assert_eq!(redacted(&[remove], &[], value), expected, "{value}");
    }
}

#[test]
fn paths_lead_through_arrays_however_nested() {
    for (remove, value, expected) in [
        (
            "tags.name",
            r#"{"tags":[{"name":"a","x":1},{"x":2},3,[[{"name":"b"}]],{}]}"#,
            r#"{"tags":[{"x":1},{"x":2},3,[[{}]],{}]}"#,
        ),
        ("tags", r#"{"tags":[],"x":1}"#, r#"{"x":1}"#),
        (
            "a",
            r#"[{"a":1,"b":2},{"b":3}, {"a":4}]"#,
            r#"[{"b":2},{"b":3}, {}]"#,
        ),
        ("a", " [ ] ", " [ ] "),
    ] {
        assert_eq!(redacted(&[remove], &[], value), expected, "{value}");
    }
    assert_eq!(
        redacted(&[], &["l.a"], r#"{"l":[{"a":[1]},{"a":"x"}]}"#),
        r#"{"l":[{"a":[]},{"a":""}]}"#
    );
}

#[test]
fn what_cannot_be_parsed_is_refused_and_never_passed_on() {
    let redaction = redacting([rule("", &["user"], &[])]);
    let deep = "[".repeat(129) + &"]".repeat(129);
    for (value, expected) in [
        (r#"{"user":"x""#, EncodeError::NotJson),
        (r#"{"user":"x"}{"#, EncodeError::NotJson),
        (r#"{"user":x}"#, EncodeError::NotJson),
        (r#"{"a":01,"user":"x"}"#, EncodeError::NotJson),
        ("{'user':'x'}", EncodeError::NotJson),
        (r#""user""#, EncodeError::NotJson),
        ("", EncodeError::NotJson),
        ("\u{feff}{}", EncodeError::NotJson),
        (&deep, EncodeError::TooDeep),
    ] {
        assert_eq!(left_of(&redaction, value), Err(expected), "{value}");
    }
    let mut buffers = TransformBuffers::default();
    let refused = redaction.apply(&record(Some(b"{\"user\":\"\xff\"}")), ORIGIN, &mut buffers);
    assert_eq!(refused.err(), Some(EncodeError::NotUtf8));
}

#[test]
fn the_deepest_documents_are_redacted_to_their_ground() {
    let value = "[".repeat(127) + r#"{"user":1,"a":2}"# + &"]".repeat(127);
    assert_eq!(
        redacted(&["user"], &[], &value),
        value.replace(r#""user":1,"#, "")
    );
}

fn annotated(value: &str, key: Option<&[u8]>) -> String {
    let redaction = compiled(RecordRules {
        annotate: true,
        ..RecordRules::default()
    });
    let mut buffers = TransformBuffers::default();
    let record = Record {
        key,
        ..record(Some(value.as_bytes()))
    };
    let kept = redaction
        .apply(&record, ORIGIN, &mut buffers)
        .expect("a document");
    let Transformed::Kept { record, is_redacted } = kept else {
        panic!("nothing drops it");
    };
    assert!(!is_redacted, "nothing was taken away");
    String::from_utf8(record.value.expect("a value").to_vec()).expect("UTF-8")
}

#[test]
fn meta_says_where_a_record_comes_from_and_keeps_its_other_members() {
    let place = r#""topic":"eqiad.edits","partition":3,"offset":42"#;
    for (value, expected) in [
        ("{}", format!(r#"{{"meta":{{{place}}}}}"#)),
        (" { } ", format!(r#" {{"meta":{{{place}}} }} "#)),
        (r#"{"a":1.0 }"#, format!(r#"{{"a":1.0,"meta":{{{place}}} }}"#)),
        (r#"{"meta":{},"a":1}"#, format!(r#"{{"meta":{{{place}}},"a":1}}"#)),
        (
            r#"{"meta":{"dt" : "2026", "offset":{"x":[1]}},"a":1}"#,
            r#"{"meta":{"dt" : "2026", "offset":42,"topic":"eqiad.edits","partition":3},"a":1}"#.into(),
        ),
        (
            r#"{"meta":null,"a":1}"#,
            format!(r#"{{"meta":{{{place}}},"a":1}}"#),
        ),
        (r#"{"meta":[{"a":1}]}"#, format!(r#"{{"meta":{{{place}}}}}"#)),
        (r#"{"m\u0065ta":"x"}"#, format!(r#"{{"m\u0065ta":{{{place}}}}}"#)),
        (
            r#"{"meta":1,"meta":{"t\u006fpic":"x"}}"#,
            format!(
                r#"{{"meta":{{{place}}},"meta":{{"t\u006fpic":"eqiad.edits","partition":3,"offset":42}}}}"#
            ),
        ),
        (r#"[{"meta":{}}]"#, r#"[{"meta":{}}]"#.into()),
        (
            r#"{"a":{"meta":{}}}"#,
            format!(r#"{{"a":{{"meta":{{}}}},"meta":{{{place}}}}}"#),
        ),
    ] {
        assert_eq!(annotated(value, None), expected, "{value}");
    }
}

#[test]
fn meta_has_the_key_if_it_is_a_text() {
    let meta = r#""topic":"eqiad.edits","partition":3,"offset":42"#;
    for (key, expected) in [
        (Some(&b"Q42"[..]), format!(r#"{{"meta":{{{meta},"key":"Q42"}}}}"#)),
        (Some(b""), format!(r#"{{"meta":{{{meta},"key":""}}}}"#)),
        (
            Some("\"\u{7f}\n\\ü".as_bytes()),
            format!("{{\"meta\":{{{meta},\"key\":\"\\\"\u{7f}\\n\\\\ü\"}}}}"),
        ),
        (Some(b"\xff"), format!(r#"{{"meta":{{{meta}}}}}"#)),
        (None, format!(r#"{{"meta":{{{meta}}}}}"#)),
    ] {
        assert_eq!(annotated("{}", key), expected);
    }
    assert_eq!(
        annotated(r#"{"meta":{"key":"own"}}"#, None),
        format!(r#"{{"meta":{{"key":"own",{meta}}}}}"#),
        "another member"
    );
}
