use proptest::prelude::*;

use super::*;
use crate::{
    event::Headers,
    filter::{
        Filter,
        canonical::canonical,
        properties::{expr, json},
    },
};

fn input<'a>(document: &'a str, key: Option<&'a str>) -> FilterInput<'a> {
    FilterInput {
        topic: "ab",
        partition: 0,
        offset: 0,
        timestamp: 0,
        key: key.map(str::as_bytes),
        headers: Headers::default(),
        document: Some(document.as_bytes()),
    }
}

/// Returns how many keys a filter demands, and the number of fields that make up each.
fn demands(filter: &str) -> Option<(usize, usize)> {
    let filter = Filter::parse(filter).unwrap();
    let required = filter.required()?;
    Some((required.keys.len(), required.fields.0.len()))
}

#[test]
fn what_every_accepted_event_has_is_demanded() {
    let many: Vec<_> = (0..MAX_KEYS + 1).map(|n| n.to_string()).collect();
    let many = many.join(",");
    for (filter, expected) in [
        ("a = 1", Some((1, 1))),
        ("a in (1, 2) and b in (3, 4, 5)", Some((6, 2))),
        ("a = 1 and n > 3 and not b = 2", Some((1, 1))),
        ("a = 1 and b = 2 or a = 3 and b = 2 and c = 1", Some((2, 2))),
        ("@key = k and a = 1", Some((1, 2))),
        // Of these some events could not be found by a key, or what is found would be everything.
        ("a = 1 or b = 2", None),
        ("not a = 1", None),
        ("a != 1", None),
        ("a prefix x", None),
        ("@header.a = 1", None),
        ("@topic = t and @partition = 1", None),
        (&format!("a in ({many})"), None),
        (&format!("a in ({many}) and b = 1"), Some((1, 1))),
        (
            "a in (1,2,3,4,5,6,7,8,9) and b in (1,2,3,4,5,6,7,8)",
            Some((8, 1)),
        ),
        (
            "a = 1 and b = 1 and c = 1 and d = 1 and e = 1",
            Some((1, MAX_FIELDS)),
        ),
    ] {
        assert_eq!(demands(filter), expected, "{filter}");
    }
}

#[test]
fn filters_that_differ_in_values_alone_are_found_by_the_same_fields() {
    let fields = |filter: &str| Filter::parse(filter).unwrap().required().unwrap().fields.clone();
    assert_eq!(fields("tenant = a"), fields("tenant = b and n > 1"));
    assert_ne!(fields("tenant = a"), fields("tenant = a and n = 1"));
}

#[test]
fn numbers_are_found_however_they_are_written() {
    let filter = Filter::parse("a = 5").unwrap();
    let required = filter.required().unwrap();
    let reader = KeyReader::new(&required.fields);
    for (document, found) in [
        (r#"{"a":5}"#, true),
        (r#"{"a":5.0}"#, true),
        (r#"{"a":50e-1}"#, true),
        (r#"{"a":"5"}"#, false),
        (r#"{"a":[5]}"#, false),
        ("{}", false),
    ] {
        let key = reader.read(&input(document, None));
        assert_eq!(
            key.is_some_and(|key| required.keys.contains(&key)),
            found,
            "{document}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_filter_accepts_is_found_by_its_keys(
        parts in prop::collection::vec(expr(), 1..4),
        (document, key) in (json(), prop::option::of(prop::sample::select(vec!["a", "ab", "1"]))),
    ) {
        let text = document.to_string();
        let input = input(&text, key);
        let filter = Filter::of(canonical(Expr::All(parts)));
        if let Some(required) = filter.required() {
            let found = KeyReader::new(&required.fields).read(&input);
            let is_found = found.is_some_and(|key| required.keys.binary_search(&key).is_ok());
            prop_assert!(is_found || !filter.accepts(&input), "{filter} of {text}");
        }
    }
}
