//! Property tests: a filter accepts the documents that a naive evaluation of the same expression accepts.

use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use crate::event::{Headers, HeadersBuf};

use super::{
    Filter, FilterInput,
    expr::{Comparison, EventField, Expr, FieldTest, FieldType, Value},
    number::Number,
};

fn name() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c"]),
        1 => prop::sample::select(vec!["and", "ä\"\\", "", "x.y"])
    ]
    .prop_map(Box::from)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["a", "ab", "abc", "\"", "\\n", "ä", "", "1", "\n"]).prop_map(String::from)
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-3..3i128).prop_map(Number::Integer),
        prop::sample::select(vec![1.5, -0.25, 1e300, 9_007_199_254_740_993.0]).prop_map(Number::of_f64),
        Just(Number::Integer(u64::MAX.into())),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text().prop_map(|text| Value::Text(text.as_str().into())),
    ]
}

fn field() -> impl Strategy<Value = EventField> {
    prop_oneof![
        6 => prop::collection::vec(name(), 1..3).prop_map(EventField::Json),
        1 => Just(EventField::Key),
        1 => Just(EventField::Topic),
        1 => Just(EventField::Partition),
        1 => Just(EventField::Offset),
        1 => Just(EventField::Timestamp),
        1 => name().prop_map(EventField::Header),
    ]
}

fn test() -> impl Strategy<Value = FieldTest> {
    use Comparison::*;
    prop_oneof![
        Just(FieldTest::Exists),
        prop::collection::vec(value(), 1..3).prop_map(|values| FieldTest::In(values.into_iter().collect())),
        text().prop_map(|text| FieldTest::Prefix(text.into())),
        (
            prop::sample::select(vec![Less, LessOrEqual, Greater, GreaterOrEqual]),
            number()
        )
            .prop_map(|(comparison, number)| FieldTest::Compare(comparison, number)),
    ]
}

/// Returns the test as it is parsed: a field that can only be a text has no other values.
fn readable(field: &EventField, test: FieldTest) -> FieldTest {
    let as_text = |value: Value| match value {
        Value::Text(_) => value,
        Value::Null if field.field_type() == FieldType::TextOrNull => value,
        other => {
            let mut text = String::new();
            other.write(&mut text);
            Value::Text(text.as_str().into())
        }
    };
    match (field.field_type(), test) {
        (FieldType::Text | FieldType::TextOrNull, FieldTest::In(values)) => {
            FieldTest::In(values.iter().cloned().map(as_text).collect())
        }
        (_, test) => test,
    }
}

pub(super) fn expr() -> impl Strategy<Value = Expr> {
    let leaf = (field(), test()).prop_map(|(field, test)| {
        let test = readable(&field, test);
        Expr::FieldTest(field, test)
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::Any),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

pub(super) fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3..3i64).prop_map(Json::from),
        prop::sample::select(vec![1.0, 1.5, -0.25, -0.0, 1e300]).prop_map(Json::from),
        Just(Json::from(u64::MAX)),
        text().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::vec((name(), inner), 0..4).prop_map(|entries| {
                let entries = entries.into_iter().map(|(name, value)| (name.into(), value));
                Json::Object(Map::from_iter(entries))
            }),
        ]
    })
}

/// The naive evaluation.
fn naive(expr: &Expr, document: &Json, subject: &FilterInput<'_>) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(|part| naive(part, document, subject)),
        Expr::Any(parts) => parts.iter().any(|part| naive(part, document, subject)),
        Expr::Not(inner) => !naive(inner, document, subject),
        Expr::FieldTest(field, test) => {
            look(field, document, subject).is_some_and(|found| passes(test, &found))
        }
    }
}

fn look(field: &EventField, document: &Json, subject: &FilterInput<'_>) -> Option<Json> {
    match field {
        EventField::Json(path) => {
            let mut at = document;
            for name in path {
                at = at.as_object()?.get(&**name)?;
            }
            Some(at.clone())
        }
        EventField::Key => subject
            .key
            .map(|key| String::from_utf8_lossy(key).into_owned().into()),
        EventField::Header(name) => subject.headers.last(name).map(|value| {
            value.map_or(Json::Null, |value| {
                String::from_utf8_lossy(value).into_owned().into()
            })
        }),
        EventField::Topic => Some(subject.topic.into()),
        EventField::Partition => Some(subject.partition.into()),
        EventField::Offset => Some(subject.offset.into()),
        EventField::Timestamp => Some(subject.timestamp).filter(|time| *time >= 0).map(Json::from),
    }
}

fn passes(test: &FieldTest, found: &Json) -> bool {
    let number = || Number::parse(&found.as_number()?.to_string());
    match test {
        FieldTest::Exists => true,
        FieldTest::Prefix(prefix) => found.as_str().is_some_and(|text| text.starts_with(&**prefix)),
        FieldTest::Compare(comparison, bound) => {
            number().is_some_and(|found| comparison.holds(found.cmp(bound)))
        }
        FieldTest::In(values) => values.iter().any(|value| match value {
            Value::Null => found.is_null(),
            Value::Bool(value) => found.as_bool() == Some(*value),
            Value::Number(value) => number() == Some(*value),
            Value::Text(value) => found.as_str() == Some(&**value),
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_says_what_a_plain_reading_says(
        expr in expr(),
        document in json(),
        (partition, offset, timestamp) in (0..2i32, 0..3i64, -1..2i64),
        key in prop::option::of(text()),
        headers in prop::collection::vec((name(), prop::option::of(text())), 0..3),
    ) {
        let mut packed = HeadersBuf::default();
        for (name, value) in &headers {
            packed.push(name.as_bytes(), value.as_ref().map(|value| value.as_bytes()));
        }
        let text = document.to_string();
        let subject = FilterInput {
            topic: "ab",
            partition,
            offset,
            timestamp,
            key: key.as_ref().map(|key| key.as_bytes()),
            headers: packed.headers(),
            document: Some(text.as_bytes()),
        };
        let expected = naive(&expr, &document, &subject);
        let filter = Filter::of(expr);
        prop_assert_eq!(filter.accepts(&subject), expected, "{} of {}", &filter, text);
        match Filter::parse(&filter.to_string()) {
            Ok(again) => {
                prop_assert_eq!(&again, &filter);
                prop_assert_eq!(again.accepts(&subject), expected);
            }
            // Only a filter that no event can pass is refused.
            Err(error) => prop_assert!(!expected, "{}: {}", &filter, error),
        }
    }

    #[test]
    fn the_order_of_what_is_asked_does_not_matter(parts in prop::collection::vec(expr(), 1..5)) {
        let reversed = parts.iter().rev().cloned().collect();
        prop_assert_eq!(Filter::of(Expr::All(parts.clone())), Filter::of(Expr::All(reversed)));
        let twice = parts.iter().chain(&parts).cloned().collect();
        prop_assert_eq!(Filter::of(Expr::Any(parts)), Filter::of(Expr::Any(twice)));
    }

    #[test]
    fn any_text_is_a_filter_or_an_error_within_it(text in "\\PC{0,60}|([a-c@.()=<>!\", ]|and|or|not|in|exists|prefix|1){0,30}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
        }
    }
}

#[test]
fn the_last_of_two_fields_with_one_name_counts_with_all_that_is_in_it() {
    let accepts = |filter: &str, document: &str| {
        let subject = FilterInput {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: None,
            headers: Headers::default(),
            document: Some(document.as_bytes()),
        };
        Filter::parse(filter).expect("a filter").accepts(&subject)
    };
    assert!(!accepts("a.b = 1", r#"{"a":{"b":1},"a":{"c":1}}"#));
    assert!(accepts("a.b = 1", r#"{"a":{"b":2},"a":{"b":1}}"#));
    assert!(!accepts("exists a.b", r#"{"a":{"b":1},"a":5}"#));
    // Written with escapes, so that a search of its bytes does not find it.
    assert!(accepts("wiki = enwiki", r#"{"wiki":"\u0065nwiki"}"#));
    assert!(!accepts("wiki = enwiki", r#"{"x":"enwiki"}"#));
}
