use serde_json::json;

use super::*;
use crate::{
    event::Headers,
    filter::{Filter, FilterBuilder, FilterInput},
};

fn input<'a>(topic: &'a str, document: &'a str) -> FilterInput<'a> {
    FilterInput {
        topic,
        partition: 0,
        offset: 0,
        timestamp: 0,
        key: None,
        headers: Headers::default(),
        document: Some(document.as_bytes()),
    }
}

/// Returns the filter of one stream with this template.
fn bound(template: &str, claims: &Claim) -> Result<String, MissingClaim> {
    let mut only = OnlyBuilder::default();
    only.stream(["t"], Some(template), claims.as_object().unwrap())?;
    let mut parts = FilterBuilder::default();
    parts.only(only);
    Ok(parts.compile().unwrap().unwrap().to_string())
}

#[test]
fn claims_are_values_of_their_own_types() {
    for (template, claims, expected) in [
        ("tenant = $t", json!({"t": "acme"}), r#"tenant in ("acme")"#),
        ("tenant = $t", json!({"t": 7}), "tenant in (7)"),
        ("tenant = $t", json!({"t": "7"}), r#"tenant in ("7")"#),
        ("tenant = $t", json!({"t": true}), "tenant in (true)"),
        (
            "tenant in $t",
            json!({"t": ["a", 1, false]}),
            r#"tenant in (false, 1, "a")"#,
        ),
        ("tenant in $t", json!({"t": "a"}), r#"tenant in ("a")"#),
        ("tenant in (x, $t)", json!({"t": "a"}), r#"tenant in ("a", "x")"#),
        (
            "title prefix $t",
            json!({"t": "User:"}),
            r#"title prefix "User:""#,
        ),
        ("level <= $t", json!({"t": 3}), "level <= 3"),
        ("@key = $t", json!({"t": "7"}), r#"@key in ("7")"#),
        ("a = $o.p.q", json!({"o": {"p": {"q": "x"}}}), r#"a in ("x")"#),
        (
            r#"a = $"https://idp/t""#,
            json!({"https://idp/t": "x"}),
            r#"a in ("x")"#,
        ),
        (r#"a = $o."p.q""#, json!({"o": {"p.q": "x"}}), r#"a in ("x")"#),
    ] {
        assert_eq!(check_template(template), Ok(()), "{template}");
        assert_eq!(
            bound(template, &claims).as_deref(),
            Ok(expected),
            "{template} {claims}"
        );
    }
}

#[test]
fn a_claim_that_is_missing_makes_all_of_it_false() {
    for (template, claims) in [
        ("a = $t", json!({})),
        ("a = $t", json!({"t": null})),
        ("a = $t", json!({"t": ""})),
        ("a = $t", json!({"t": {}})),
        ("a = $t", json!({"t": ["x"]})),
        ("a in $t", json!({"t": []})),
        ("a in $t", json!({"t": ["x", null]})),
        ("a in $t", json!({"t": [["x"]]})),
        ("a in $t", json!({"t": vec![1; 513]})),
        ("a in (b, $t)", json!({"t": ["x"]})),
        ("a = $t.u", json!({"t": "x"})),
        ("@key = $t", json!({"t": 7})),
        ("@partition = $t", json!({"t": "7"})),
        ("title prefix $t", json!({"t": 7})),
        ("level > $t", json!({"t": "7"})),
        ("not a = $t", json!({})),
        ("a = 1 or b = $t", json!({})),
        ("a = 1 or not (b = 2 and c != $t)", json!({})),
    ] {
        assert_eq!(check_template(template), Ok(()), "{template}");
        assert_eq!(bound(template, &claims), Err(MissingClaim), "{template} {claims}");
    }
}

#[test]
fn no_text_of_a_claim_changes_what_the_template_means() {
    for text in [
        "\" or a = \"x",
        "x) or (exists a",
        "$t",
        "\\",
        "a\nb",
        "true",
        "7",
        "and",
        "*",
    ] {
        let mut only = OnlyBuilder::default();
        let claims = json!({ "t": text });
        only.stream(["t"], Some("a = $t"), claims.as_object().unwrap())
            .unwrap();
        let mut parts = FilterBuilder::default();
        parts.only(only);
        let filter = parts.compile().unwrap().unwrap();
        let passes = |value: &Claim| filter.accepts(&input("t", &json!({ "a": value }).to_string()));
        assert!(passes(&json!(text)), "{text}");
        for other in [json!("x"), json!(true), json!(7), json!(null), json!("")] {
            assert!(!passes(&other), "{text}: {other}");
        }
    }
}

#[test]
fn a_filter_of_a_client_has_no_claims() {
    let filter = Filter::parse("a = $t").unwrap();
    assert!(filter.accepts(&input("t", r#"{"a":"$t"}"#)));
    assert!(!filter.is_restricted());
    for bad in ["a = $", "a = $t.", "$t = a", "@offset prefix $t", "a ="] {
        assert!(check_template(bad).is_err(), "{bad}");
    }
}

#[test]
fn each_stream_restricts_its_own_topics_and_the_client_restricts_further() {
    let claims = json!({"t": "a"});
    let claims = claims.as_object().unwrap();
    let mut only = OnlyBuilder::default();
    only.stream(["x", "shared"], Some("t = $t"), claims).unwrap();
    only.stream(["y", "shared"], Some("u = $t"), claims).unwrap();
    only.stream(["z"], None, claims).unwrap();
    let mut parts = FilterBuilder::default();
    parts.only(only);
    parts.parse("n = 1").unwrap();
    let filter = parts.compile().unwrap().unwrap();
    assert!(filter.is_restricted());
    for (topic, document, passes) in [
        ("x", r#"{"t":"a","n":1}"#, true),
        ("x", r#"{"t":"a","n":2}"#, false),
        ("x", r#"{"u":"a","n":1}"#, false),
        ("y", r#"{"u":"a","n":1}"#, true),
        ("y", r#"{"t":"a","n":1}"#, false),
        ("shared", r#"{"t":"a","n":1}"#, true),
        ("shared", r#"{"u":"a","n":1}"#, true),
        ("shared", r#"{"n":1}"#, false),
        ("z", r#"{"n":1}"#, true),
        ("z", r#"{"n":2}"#, false),
    ] {
        assert_eq!(
            filter.accepts(&input(topic, document)),
            passes,
            "{topic} {document}"
        );
    }
}

/// A stream of the model: its topics, and which template it has.
#[derive(Clone, Copy, Debug)]
struct ModelStream {
    topics: &'static [&'static str],
    template: Option<usize>,
}

/// The templates of the model, each with what it means for an event and claims. `None`: a claim is missing.
type Meaning = fn(&Claim, &Claim) -> Option<bool>;
const TEMPLATES: [(&str, Meaning); 5] = [
    ("tenant = $t", |event, claims| {
        Some(event["tenant"] == *scalar(&claims["t"])?)
    }),
    ("team in $teams", |event, claims| {
        let teams = claims["teams"].as_array().filter(|teams| !teams.is_empty())?;
        Some(teams.contains(&event["team"]))
    }),
    ("not tenant = $t", |event, claims| {
        Some(event["tenant"] != *scalar(&claims["t"])?)
    }),
    ("tenant = $t or open = true", |event, claims| {
        let tenant = scalar(&claims["t"])?;
        Some(event["tenant"] == *tenant || event["open"] == true)
    }),
    ("level <= $level", |event, claims| {
        let most = claims["level"].as_i64()?;
        Some(event["level"].as_i64().is_some_and(|level| level <= most))
    }),
];

fn scalar(claim: &Claim) -> Option<&Claim> {
    let is_empty = claim.as_str().is_some_and(str::is_empty);
    (!is_empty && !claim.is_null() && !claim.is_array() && !claim.is_object()).then_some(claim)
}

/// Filters of clients, and what they mean.
const FILTERS: [(&str, fn(&Claim) -> bool); 4] = [
    ("", |_| true),
    ("n = 1", |event| event["n"] == 1),
    ("n = 1 or tenant = a or tenant = 7", |event| {
        event["n"] == 1 || event["tenant"] == "a" || event["tenant"] == 7
    }),
    ("not n = 1", |event| event["n"] != 1),
];

fn any_of<T: Clone>(values: &[T]) -> T {
    values[fastrand::usize(..values.len())].clone()
}

fn any_stream() -> ModelStream {
    const TOPICS: [&[&str]; 4] = [&["x"], &["x", "y"], &["y", "z"], &["z"]];
    ModelStream {
        topics: any_of(&TOPICS),
        template: any_of(&[None, Some(0), Some(1), Some(2), Some(3), Some(4)]),
    }
}

fn any_claims() -> Claim {
    let tenant = any_of(&[
        json!("a"),
        json!("b"),
        json!(7),
        json!("7"),
        json!(""),
        json!(null),
        json!(["a"]),
        json!("a\" or n = 1"),
    ]);
    let teams = any_of(&[json!(["a", 7]), json!(["b"]), json!([]), json!(null)]);
    let level = any_of(&[json!(1), json!(2), json!("1"), json!(null)]);
    json!({"t": tenant, "teams": teams, "level": level})
}

fn any_event() -> Claim {
    let mut event = json!({"n": fastrand::u8(..3), "open": fastrand::bool()});
    for name in ["tenant", "team"] {
        let value = any_of(&[
            json!("a"),
            json!("b"),
            json!(7),
            json!("7"),
            json!("a\" or n = 1"),
            json!(null),
        ]);
        if fastrand::u8(..8) > 0 {
            event[name] = value;
        }
    }
    event["level"] = any_of(&[json!(0), json!(1), json!(2), json!("1")]);
    event
}

/// What the model says: whether the streams may be read at all, and whether an event of this topic is for the client.
fn allowed(streams: &[ModelStream], claims: &Claim, topic: &str, event: &Claim) -> Option<bool> {
    let mut passes = false;
    for stream in streams {
        let own = match stream.template {
            None => true,
            Some(template) => TEMPLATES[template].1(event, claims)?,
        };
        passes |= own && stream.topics.contains(&topic);
    }
    Some(passes)
}

/// How many cases of the model are tried: a million in the long form.
fn cases() -> u32 {
    let is_full = std::env::var("RIVERHEAD_TEST_FULL").is_ok_and(|full| full == "1");
    if is_full { 1_000_000 } else { 20_000 }
}

#[test]
fn nobody_ever_gets_an_event_that_the_model_forbids() {
    for case in 0..cases() {
        fastrand::seed(case.into());
        let streams: Vec<_> = (0..fastrand::usize(1..=3)).map(|_| any_stream()).collect();
        let (claims, filter) = (any_claims(), any_of(&FILTERS));
        let mut only = OnlyBuilder::default();
        let bound = streams.iter().try_for_each(|stream| {
            let template = stream.template.map(|template| TEMPLATES[template].0);
            only.stream(
                stream.topics.iter().copied(),
                template,
                claims.as_object().unwrap(),
            )
        });
        let mut parts = FilterBuilder::default();
        parts.only(only);
        if !filter.0.is_empty() {
            parts.parse(filter.0).unwrap();
        }
        let compiled = parts.compile().unwrap();
        for _ in 0..4 {
            let (topic, event) = (any_of(&["x", "y", "z"]), any_event());
            let is_asked = streams.iter().any(|stream| stream.topics.contains(&topic));
            let expected = allowed(&streams, &claims, topic, &event);
            assert_eq!(
                bound.is_ok(),
                expected.is_some(),
                "case {case}: {streams:?} {claims}"
            );
            if let (Some(expected), true) = (expected, is_asked) {
                let document = event.to_string();
                let passes = compiled
                    .as_ref()
                    .is_none_or(|filter| filter.accepts(&input(topic, &document)));
                let expected = expected && filter.1(&event);
                assert_eq!(
                    passes, expected,
                    "case {case}: {streams:?} {claims} {topic} {event} {compiled:?}"
                );
            }
        }
    }
}
