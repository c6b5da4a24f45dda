use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::*;

fn parsed(text: &str) -> Projection {
    Projection::parse(text).expect("a projection")
}

fn spliced(fields: &str, document: &str) -> Result<String, NotADocument> {
    let mut out = b"before".to_vec();
    let spliced = parsed(fields).splice(document.as_bytes(), &mut out);
    let out = String::from_utf8(out).expect("UTF-8");
    let added = out.strip_prefix("before").expect("what was there stays");
    match spliced {
        Ok(()) => Ok(added.to_owned()),
        Err(error) => {
            assert_eq!(added, "");
            Err(error)
        }
    }
}

#[test]
fn what_is_kept_stays_byte_for_byte_in_its_order() {
    let document =
        r#"{ "b" : 1.0,"x":{"a":[1 , 2],"b":-0}, "meta":{"dt":"2026","domain" :  "a.example"},"a":1e400 }"#;
    for (fields, expected) in [
        ("a,b", r#"{"b" : 1.0,"a":1e400}"#),
        ("meta.domain", r#"{"meta":{"domain" :  "a.example"}}"#),
        ("x.a,x.b", r#"{"x":{"a":[1 , 2],"b":-0}}"#),
        ("x", r#"{"x":{"a":[1 , 2],"b":-0}}"#),
        ("x.b,x", r#"{"x":{"a":[1 , 2],"b":-0}}"#),
        ("none", "{}"),
        ("meta.none,a.none,x.a.none", "{}"),
        ("none,b", r#"{"b" : 1.0}"#),
    ] {
        assert_eq!(spliced(fields, document).as_deref(), Ok(expected), "{fields}");
    }
}

#[test]
fn names_are_found_however_they_are_written_and_every_time() {
    for (fields, document, expected) in [
        (
            "title",
            r#"{"t\u0069tle":1,"title":2,"titl":3}"#,
            r#"{"t\u0069tle":1,"title":2}"#,
        ),
        (r#""a.b""#, r#"{"a":{"b":1},"a.b":2}"#, r#"{"a.b":2}"#),
        (r#""say \"\\\"""#, r#"{"say \"\\\"":1}"#, r#"{"say \"\\\"":1}"#),
        (r#""""#, r#"{"":1,"a":2}"#, r#"{"":1}"#),
        (
            "über",
            r#"{"über":1,"\u00fcber":2}"#,
            r#"{"über":1,"\u00fcber":2}"#,
        ),
        (
            r#""😀""#,
            r#"{"\ud83d\ude00":1,"\ud83d":2}"#,
            r#"{"\ud83d\ude00":1}"#,
        ),
        (
            "a.b",
            r#"{"a":{"b":1},"a":2,"a":{"b":3}}"#,
            r#"{"a":{"b":1},"a":{"b":3}}"#,
        ),
        ("a", r#"{"b":"\"a\":1,{[\\","a":"}\\\""}"#, r#"{"a":"}\\\""}"#),
    ] {
        assert_eq!(spliced(fields, document).as_deref(), Ok(expected), "{document}");
    }
}

#[test]
fn paths_lead_through_arrays() {
    for (fields, document, expected) in [
        (
            "tags.name",
            r#"{"tags":[{"name":"a","x":1},{"x":2},3,[{"name":"b"}]]}"#,
            r#"{"tags":[{"name":"a"},[{"name":"b"}]]}"#,
        ),
        ("tags.name", r#"{"tags":[],"x":1}"#, "{}"),
        ("tags", r#"{"tags":[],"x":1}"#, r#"{"tags":[]}"#),
        ("a", r#"[{"a":1,"b":2},{"b":3}]"#, r#"[{"a":1}]"#),
        ("a", "[1,2]", "[]"),
        ("a", " [ ] ", "[]"),
    ] {
        assert_eq!(spliced(fields, document).as_deref(), Ok(expected), "{document}");
    }
}

#[test]
fn a_text_that_is_no_document_leaves_no_trace() {
    for document in [
        "",
        " ",
        "1",
        "\"a\"",
        "null",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1]",
        "{\"a\":}",
        "{\"a\":,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1}{",
        "[1",
        "[{\"a\":1}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":[1}",
    ] {
        assert_eq!(spliced("a,b.c", document), Err(NotADocument), "{document}");
    }
}

#[test]
fn the_depth_is_bounded_as_that_of_events_is() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deepest = crate::encoding::MAX_DEPTH;
    assert_eq!(spliced("a", &nested(deepest)).as_deref(), Ok("[]"));
    assert_eq!(spliced("a", &nested(deepest + 1)), Err(NotADocument));
    assert_eq!(spliced("a", &nested(1_000_000)), Err(NotADocument));
    let scalar = "[".repeat(deepest) + "1" + &"]".repeat(deepest);
    assert_eq!(spliced("a", &scalar).as_deref(), Ok("[]"));
    let passed = format!("{{\"x\":{},\"a\":1}}", nested(1_000_000));
    assert_eq!(spliced("a", &passed).as_deref(), Ok("{\"a\":1}"), "no recursion");
}

#[test]
fn a_list_of_fields_is_checked_and_told_where_it_is_wrong() {
    for (text, column) in [
        ("", 1),
        (",a", 1),
        ("a,", 3),
        ("a,,b", 3),
        ("a.", 3),
        ("a. ,b", 4),
    ] {
        assert_eq!(
            Projection::parse(text),
            Err(ProjectionError::NoName(column)),
            "{text}"
        );
    }
    let fault = |text: &str| Projection::parse(text).map_err(|error| error.to_string());
    let unexpected = |what: &str, column: usize| {
        Err(format!(
            "unexpected {what} at column {column}; put a name that is not a single word in double quotes"
        ))
    };
    assert_eq!(fault("ä b"), unexpected("'b'", 3));
    assert_eq!(fault("a*"), unexpected("'*'", 2));
    assert_eq!(fault("a,(b)"), unexpected("'('", 3));
    assert_eq!(fault("ä,\"b"), Err("unclosed quote at column 3".into()));
    assert_eq!(
        fault("\"\\n\""),
        Err("invalid escape (allowed are \\\" and \\\\) at column 3".into())
    );
    assert_eq!(
        Projection::parse(&"a".repeat(4097)),
        Err(ProjectionError::TooLong)
    );
    let many = |count: usize| vec!["a"; count].join(",");
    assert_eq!(parsed(&many(64)), parsed("a"));
    assert_eq!(Projection::parse(&many(65)), Err(ProjectionError::TooMany));
    let deep = |count: usize| vec!["a"; count].join(".");
    assert_eq!(parsed(&deep(16)).to_string(), deep(16));
    assert_eq!(Projection::parse(&deep(17)), Err(ProjectionError::TooDeep));
}

#[test]
fn lists_that_mean_the_same_are_equal_and_have_one_text() {
    for (text, canonical) in [
        ("b, a ,b", "a,b"),
        ("meta.domain,meta.dt", "meta.domain,meta.dt"),
        ("meta.domain,meta", "meta"),
        ("meta,meta.domain", "meta"),
        ("\"title\"", "title"),
        ("\"a.b\" . c", "\"a.b\".c"),
        (r#""\"\\""#, r#""\"\\""#),
        (r#""""#, r#""""#),
        ("@type,a:b/c-d$", "@type,a:b/c-d$"),
    ] {
        let projection = parsed(text);
        assert_eq!(projection.to_string(), canonical, "{text}");
        assert_eq!(parsed(canonical), projection);
    }
    assert!(parsed("a").bytes() < parsed("a,b.c").bytes());
}

/// A document whose spaces and escapes are known, so that what is to be left of it can be said byte for byte.
#[derive(Clone, Debug)]
enum Doc {
    Scalar(String),
    Array(Vec<Doc>, String),
    Object(Vec<(Member, Doc)>, String),
}

/// The name of a member, the same as JSON, and what stands between that and the value.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    json: String,
    colon: String,
}

impl Doc {
    fn text(&self) -> String {
        let joined = |items: Vec<String>, pad: &str| items.join(&format!("{pad},{pad}"));
        match self {
            Self::Scalar(text) => text.clone(),
            Self::Array(items, pad) => {
                let items = items.iter().map(Self::text).collect();
                format!("[{pad}{}{pad}]", joined(items, pad))
            }
            Self::Object(members, pad) => {
                let member =
                    |(member, value): &(Member, Self)| member.json.clone() + &member.colon + &value.text();
                let members = members.iter().map(member).collect();
                format!("{{{pad}{}{pad}}}", joined(members, pad))
            }
        }
    }

    /// Returns what is to be left of it, if anything.
    fn left(&self, fields: &FieldTree) -> Option<String> {
        let FieldTree::Members(names) = fields else {
            return Some(self.text());
        };
        let (kept, [begin, end]): (Vec<String>, _) = match self {
            Self::Scalar(_) => return None,
            Self::Array(items, _) => (
                items.iter().filter_map(|item| item.left(fields)).collect(),
                ["[", "]"],
            ),
            Self::Object(members, _) => {
                let left = |(member, value): &(Member, Self)| {
                    let (_, below) = names.iter().find(|(name, _)| **name == *member.name)?;
                    Some(member.json.clone() + &member.colon + &value.left(below)?)
                };
                (members.iter().filter_map(left).collect(), ["{", "}"])
            }
        };
        (!kept.is_empty()).then(|| format!("{begin}{}{end}", kept.join(",")))
    }
}

/// Returns a name as JSON in which every character is an escape.
fn escaped(name: &str) -> String {
    let units = name.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
    format!("\"{}\"", units.collect::<String>())
}

const NAMES: [&str; 6] = ["a", "b", "meta", "a.b", "ü😀", "\"\\"];

fn spaces() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn member() -> impl Strategy<Value = Member> {
    let name = prop::sample::select(NAMES.to_vec());
    (name, any::<bool>(), spaces(), spaces()).prop_map(|(name, escapes, before, after)| Member {
        name: name.to_owned(),
        json: if escapes {
            escaped(name)
        } else {
            Value::from(name).to_string()
        },
        colon: format!("{before}:{after}"),
    })
}

fn doc() -> impl Strategy<Value = Doc> {
    let scalar = prop_oneof![
        Just("1.0".to_owned()),
        Just("-1e400".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        "[\\[\\]{},:\"\\\\a ]{0,6}".prop_map(|text| Value::from(text).to_string()),
    ];
    scalar.prop_map(Doc::Scalar).prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..5), spaces()).prop_map(|(items, pad)| Doc::Array(items, pad)),
            (vec((member(), inner), 0..5), spaces()).prop_map(|(members, pad)| Doc::Object(members, pad)),
        ]
    })
}

fn projection() -> impl Strategy<Value = Projection> {
    let path = vec(prop::sample::select(NAMES.to_vec()), 1..4);
    vec(path, 1..5).prop_map(|paths| {
        let paths = paths.iter().map(|path| {
            path.iter()
                .map(|name| parse::quoted(name))
                .collect::<Vec<_>>()
                .join(".")
        });
        parsed(&paths.collect::<Vec<_>>().join(","))
    })
}

/// Returns what serde_json would leave of a value.
fn left_of_value(value: &Value, fields: &FieldTree) -> Option<Value> {
    let FieldTree::Members(names) = fields else {
        return Some(value.clone());
    };
    match value {
        Value::Array(items) => {
            let left: Vec<_> = items
                .iter()
                .filter_map(|item| left_of_value(item, fields))
                .collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        Value::Object(members) => {
            let left = names.iter().filter_map(|(name, below)| {
                Some((name.to_string(), left_of_value(members.get(&**name)?, below)?))
            });
            let left: serde_json::Map<_, _> = left.collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        _ => None,
    }
}

proptest! {
    #[test]
    fn a_splice_is_what_a_model_of_texts_leaves(doc in doc(), projection in projection()) {
        let text = doc.text();
        let expected = match &doc {
            Doc::Scalar(_) => Err(NotADocument),
            Doc::Array(..) => Ok(doc.left(&projection.0).unwrap_or_else(|| "[]".to_owned())),
            Doc::Object(..) => Ok(doc.left(&projection.0).unwrap_or_else(|| "{}".to_owned())),
        };
        prop_assert_eq!(spliced(&projection.to_string(), &text), expected.clone());
        if let Ok(left) = expected {
            // Nothing else was asked for: once more changes nothing.
            prop_assert_eq!(spliced(&projection.to_string(), &left), Ok(left));
        }
    }

    #[test]
    fn a_splice_means_what_serde_json_would_leave(text in "[\\[\\]{}\"a:,1 ]{0,30}", doc in doc(), projection in projection()) {
        for text in [text, doc.text()] {
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            let empty = match &value {
                Value::Array(_) => Value::Array(Vec::new()),
                Value::Object(_) => Value::Object(serde_json::Map::new()),
                _ => continue,
            };
            let Ok(left) = spliced(&projection.to_string(), &text) else { continue };
            let left: Value = serde_json::from_str(&left).expect("JSON");
            let expected = left_of_value(&value, &projection.0).unwrap_or(empty);
            // Of duplicate names serde_json keeps one.
            let has_duplicates = text.matches(':').count() != value.to_string().matches(':').count();
            prop_assert!(has_duplicates || left == expected, "{} of {}", left, text);
        }
    }

    #[test]
    fn any_bytes_are_passed_or_refused(text in vec(any::<u8>(), 0..200), projection in projection()) {
        let mut out = Vec::new();
        let spliced = projection.splice(&text, &mut out);
        prop_assert!(out.len() <= text.len());
        prop_assert!(spliced.is_ok() || out.is_empty());
    }

    #[test]
    fn any_text_is_a_list_or_refused(text in "[a,. \"\\\\*ü]{0,20}") {
        if let Ok(projection) = Projection::parse(&text) {
            prop_assert_eq!(parsed(&projection.to_string()), projection);
        }
    }
}
