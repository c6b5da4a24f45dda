use serde_json::json;

use super::*;
use crate::{
    client::ClientKey,
    event::{Headers, HeadersBuf, MAX_HEADERS_BYTES},
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
        let expected = Filter::parse(expected).unwrap().to_string();
        assert_eq!(bound(template, &claims), Ok(expected), "{template} {claims}");
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

#[test]
fn headers_that_were_not_kept_are_for_nobody_who_is_restricted_by_them() {
    let mut headers = HeadersBuf::default();
    headers.push(b"tenant", Some(b"a"));
    headers.push(b"rest", Some(&[0; MAX_HEADERS_BYTES]));
    let input = FilterInput {
        headers: headers.headers(),
        ..input("t", r#"{"n":1}"#)
    };
    let passes = |template: &str, chosen: &str| {
        let mut only = OnlyBuilder::default();
        let claims = json!({"t": "a", "n": 1});
        only.stream(["t"], Some(template), claims.as_object().unwrap())
            .unwrap();
        let mut parts = FilterBuilder::default();
        parts.only(only);
        if !chosen.is_empty() {
            parts.parse(chosen).unwrap();
        }
        parts.compile().unwrap().unwrap().accepts(&input)
    };
    for template in [
        "@header.tenant = $t",
        "not @header.tenant = $t",
        "n = $n and @header.tenant != $t",
    ] {
        assert!(!passes(template, ""), "{template}");
        assert!(!passes(template, "@header.tenant = a or n = 1"), "{template}");
    }
    assert!(
        passes("n = $n or @header.tenant = $t", ""),
        "whatever the headers are"
    );
    assert!(passes("n = $n", "@header.tenant = b"), "the reader's own choice");
}

#[test]
fn the_same_text_chosen_and_forced_is_not_the_same_filter() {
    let of = |template: Option<&str>, chosen: &str| {
        let mut only = OnlyBuilder::default();
        let claims = json!({"t": "a", "u": "b"});
        only.stream(["t"], template, claims.as_object().unwrap()).unwrap();
        let mut parts = FilterBuilder::default();
        parts.only(only);
        if !chosen.is_empty() {
            parts.parse(chosen).unwrap();
        }
        parts.compile().unwrap().unwrap()
    };
    let (chosen, forced) = (of(None, "t = a and u = b"), of(Some("t = $t and u = $u"), ""));
    let (one, other) = (of(Some("t = $t"), "u = b"), of(Some("u = $u"), "t = a"));
    let all = [&chosen, &forced, &one, &other];
    assert!(all.iter().all(|filter| filter.to_string() == chosen.to_string()));
    for (index, filter) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| other != filter), "{index}");
        assert_eq!(filter.is_restricted(), index > 0);
    }
    // Tenants are found by what they differ in, whatever else they choose.
    let fields = |filter: &Filter| filter.required().unwrap().fields.clone();
    assert_eq!(fields(&one), fields(&of(Some("t = $t"), "n = 1")));
    assert_ne!(fields(&one), fields(&other));
}

#[test]
fn a_number_that_may_have_been_rounded_is_missing() {
    for (number, is_bound) in [
        (json!(u64::MAX), true),
        (json!(9_007_199_254_740_993_u64), true),
        (json!(2.5), true),
        (json!(9_007_199_254_740_992.0), true),
        (json!(18_446_744_073_709_551_616.0), false),
        (json!(-1e300), false),
    ] {
        assert_eq!(
            bound("a = $t", &json!({ "t": number })).is_ok(),
            is_bound,
            "{number}"
        );
        assert_eq!(
            bound("a in $t", &json!({ "t": [number] })).is_ok(),
            is_bound,
            "{number}"
        );
    }
}

#[test]
fn streams_with_the_same_condition_need_no_topics() {
    let claims = json!({"t": "a"});
    let mut only = OnlyBuilder::default();
    for topics in [["x"], ["y"]] {
        only.stream(topics, Some("t = $t"), claims.as_object().unwrap())
            .unwrap();
    }
    let mut parts = FilterBuilder::default();
    parts.only(only);
    assert_eq!(parts.compile().unwrap().unwrap().to_string(), r#""t" in ("a")"#);
}

#[test]
fn only_what_readers_choose_counts_against_the_limits_on_filters() {
    use crate::filter::{FilterRegistry, MAX_FILTERS, TooManyFilters};
    let of = |tenant: usize, chosen: &str| {
        let mut only = OnlyBuilder::default();
        let claims = json!({ "t": tenant });
        only.stream(["t"], Some("t = $t"), claims.as_object().unwrap())
            .unwrap();
        let mut parts = FilterBuilder::default();
        parts.only(only);
        if !chosen.is_empty() {
            parts.parse(chosen).unwrap();
        }
        parts.compile().unwrap().unwrap()
    };
    let client = |n: u8| ClientKey::of([192, 0, 2, n].into());
    let filters = FilterRegistry::default();
    let mut permits = Vec::new();
    for tenant in 0..2 * MAX_FILTERS {
        for chosen in ["", "n = 1"] {
            permits.push(filters.admit(client(1), &of(tenant, chosen)).unwrap());
        }
    }
    for n in 2..6 {
        permits.push(filters.admit(client(1), &of(1, &format!("n = {n}"))).unwrap());
    }
    let sixth = filters.admit(client(1), &of(1, "n = 6"));
    assert_eq!(sixth.err(), Some(TooManyFilters::Client));
    assert!(filters.bytes() > 4 * MAX_FILTERS * 500);
    drop(permits);
    assert_eq!(filters.bytes(), 0);
    filters.admit(client(1), &of(1, "n = 6")).unwrap();
    let full = FilterRegistry::with_limit(of(1, "").bytes());
    let first = full.admit(client(1), &of(1, "")).unwrap();
    assert_eq!(
        full.admit(client(2), &of(2, "")).err(),
        Some(TooManyFilters::Host)
    );
    drop(first);
}

#[test]
fn the_claims_of_a_template_are_named_wherever_they_stand() {
    let template = r#"a = $t and (b in $u or not c > $o.p.q) and d in (x, $v) and e = $"https://idp/w""#;
    let names: Vec<_> = claims_of(template).into_iter().collect();
    assert_eq!(names, ["https://idp/w", "o", "t", "u", "v"]);
    assert!(claims_of("a = b").is_empty());
}
