use crate::filter::{Filter, FilterBuilder, FilterError, FilterErrorKind};

fn canonical(text: &str) -> String {
    Filter::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .to_string()
}

/// Returns the column and the kind of a filter's error.
fn fault(text: &str) -> (usize, FilterErrorKind) {
    let error = Filter::parse(text).expect_err(text);
    (error.column, error.fault)
}

#[test]
fn who_means_the_same_writes_the_same() {
    let same = [
        r#"wiki = "enwiki" and (type in (edit, new) or bot = true)"#,
        r#"(bot=true or type in ("new","edit","new")) and wiki = enwiki"#,
        r#"not not (wiki == enwiki and (type = new or bot = true or type = edit))"#,
        r#"  "wiki" = enwiki  and wiki = enwiki and ((type = new) or bot=true or type=edit)"#,
    ];
    for text in same {
        assert_eq!(canonical(text), canonical(same[0]), "{text}");
    }
    assert_eq!(
        canonical(same[0]),
        r#"("bot" in (true) or "type" in ("edit", "new")) and "wiki" in ("enwiki")"#
    );
    assert_ne!(canonical("a = 1"), canonical(r#"a = "1""#));
    assert_ne!(canonical("a.b = 1"), canonical(r#""a.b" = 1"#));
    assert_eq!(canonical("n = 1.0"), canonical("n = 1e0"));
}

#[test]
fn every_form_reads_back() {
    for text in [
        "exists a.b.c",
        r#"title prefix "User:""#,
        "length.new > 10000",
        "length.new <= -1.5e-3",
        "@timestamp >= 1790000000000",
        r#"@topic prefix eqiad. and @key != "Q\"4\\2" and @partition in (0, 1) and @offset < 9"#,
        "@header.source = x and exists @header.\"trace id\"",
        "a != null",
        "not (a = 1 or b = 2)",
        r#""and" = "or""#,
        "größe = 3",
        "n = 123456789012345678901234567890",
    ] {
        let text = text.replace("prefix eqiad.", r#"prefix "eqiad.""#);
        assert_eq!(canonical(&canonical(&text)), canonical(&text), "{text}");
    }
}

#[test]
fn an_error_says_what_and_where() {
    let and_or_end = FilterErrorKind::Expected("`and`, `or` or the end");
    assert_eq!(fault("a = 1 b = 2"), (7, and_or_end.clone()));
    assert_eq!(fault("ä = 1 )"), (7, and_or_end));
    assert_eq!(fault(""), (1, FilterErrorKind::Expected("a field")));
    assert_eq!(fault("a ="), (4, FilterErrorKind::Expected("a value")));
    assert_eq!(fault("a < x"), (5, FilterErrorKind::Expected("a number")));
    assert_eq!(fault("a = 2026-01-01"), (5, FilterErrorKind::BadNumber));
    assert_eq!(fault(r#"a = "b"#), (5, FilterErrorKind::Unclosed));
    assert_eq!(fault(r#"a = "\n""#), (6, FilterErrorKind::BadEscape));
    assert_eq!(
        fault("(a = 1"),
        (7, FilterErrorKind::Expected("`and`, `or` or `)`"))
    );
    assert_eq!(fault("@value = 1"), (1, FilterErrorKind::UnknownMetadata));
    assert_eq!(
        fault("@header = 1"),
        (9, FilterErrorKind::Expected("`.` and the name of a header"))
    );
    assert_eq!(fault("a in ()"), (7, FilterErrorKind::Expected("a value")));
    assert_eq!(
        fault("a"),
        (
            2,
            FilterErrorKind::Expected("`=`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `prefix`")
        )
    );
    assert_eq!(
        Filter::parse("a = ;").expect_err("no").to_string(),
        "expected a field, a value, `and`, `or`, `not` or a parenthesis at column 5"
    );
}

#[test]
fn where_only_a_text_can_be_a_word_is_that_text() {
    for (text, canonical_form) in [
        ("@header.d = 2", r#"@header."d" in ("2")"#),
        (
            "@header.d in (2, true, 1.0, x)",
            r#"@header."d" in ("1.0", "2", "true", "x")"#,
        ),
        ("@header.d = 2026-01-01", r#"@header."d" in ("2026-01-01")"#),
        ("@header.d = null", r#"@header."d" in (null)"#),
        ("@key = 7", r#"@key in ("7")"#),
        ("@key = null", r#"@key in ("null")"#),
        ("@topic = false", r#"@topic in ("false")"#),
    ] {
        assert_eq!(canonical(text), canonical_form, "{text}");
        assert_eq!(canonical(canonical_form), canonical_form, "{text}");
    }
}

#[test]
fn a_test_that_nothing_passes_is_a_mistake() {
    let of_text = FilterErrorKind::Expected("`=`, `!=`, `in` or `prefix` (the field is a text)");
    assert_eq!(fault("@header.d > 2"), (11, of_text.clone()));
    assert_eq!(fault("@key <= 2"), (6, of_text));
    let of_number =
        FilterErrorKind::Expected("`=`, `!=`, `<`, `<=`, `>`, `>=` or `in` (the field is a number)");
    assert_eq!(fault("@offset prefix 1"), (9, of_number));
    for text in [
        "@partition = x",
        "@partition = true",
        "@partition = null",
        r#"@partition = "2""#,
    ] {
        assert_eq!(fault(text), (14, FilterErrorKind::Expected("a number")), "{text}");
    }
    assert_eq!(
        fault("@offset in (x, y)"),
        (13, FilterErrorKind::Expected("a number"))
    );
}

#[test]
fn a_number_that_kafka_has_nowhere_is_a_mistake() {
    let (any, of_partition) = (
        FilterErrorKind::NoSuchNumber(i64::MAX),
        FilterErrorKind::NoSuchNumber(i32::MAX.into()),
    );
    for text in [
        "@offset = 1.5",
        "@offset = -1",
        "@offset < 0",
        "@offset <= -0.5",
        "@offset > 9223372036854775807",
        "@offset >= 9223372036854775808",
        "@offset = 1e300",
        "@timestamp in (-1, 0.5)",
        "wiki = enwiki and @offset = 1.5",
        "@offset = 1.5 or @timestamp < 0",
        "not not (@offset = 1.5)",
        "not (a = 1 or not @offset = 1.5)",
        "a = 1 and (@offset = 1.5 or @offset < 0) or @offset = -1",
    ] {
        assert_eq!(fault(text).1, any, "{text}");
    }
    assert_eq!(fault("@partition = 2147483648"), (14, of_partition.clone()));
    assert_eq!(fault("@partition > 2147483647"), (14, of_partition));
    for text in [
        "@offset = 0",
        "@offset = 9223372036854775807",
        "@offset = 1.0",
        "@offset = 1e3",
        "@offset < 0.5",
        "@offset <= 0",
        "@offset > 1.5",
        "@offset > -1",
        "@offset >= 9223372036854775807",
        "@offset in (1.5, 2)",
        "@partition <= 2147483647",
        "length = 1.5 and length < -1",
    ] {
        assert!(Filter::parse(text).is_ok(), "{text}");
    }
    let said = Filter::parse("@offset = 1.5").expect_err("no offset").to_string();
    assert_eq!(
        said,
        "test that no event can pass (the field is a whole number from 0 to 9223372036854775807) at column 11"
    );
}

/// They have been taken from the first version on, and clients that reconnect have them in their address.
#[test]
fn a_test_that_nothing_passes_is_no_mistake_where_an_event_may_pass_without_it() {
    for text in [
        "x = 1 or @offset = 1.5",
        "wiki = enwiki or @header.d > 2 or @partition prefix 1",
        "not @offset = 1.5",
        "not (@key < 1 and x = 1)",
        "@offset != 1.5",
        "@partition != x",
        "@offset in (1, x, null, -1)",
        "(@offset = 1.5 or x = 1) and y = 2",
        r#"@partition = "2" or x = 1"#,
    ] {
        assert_eq!(canonical(&canonical(text)), canonical(text), "{text}");
    }
    // The error is at the test that is to blame.
    assert_eq!(fault("(x = 1 or @offset = 1.5) and @key < 2").0, 35);
}

#[test]
fn one_number_is_one_value_however_it_is_written() {
    for (one, other) in [
        ("8.71e-7", "0.000000871"),
        ("0.3e1", "3"),
        ("179769313486231570e291", "1.7976931348623157e308"),
        ("123456.7891011121314e-5", "1.234567891011121314"),
        ("9007199254740993.0", "9007199254740993.0e0"),
    ] {
        assert_eq!(
            canonical(&format!("a = {one}")),
            canonical(&format!("a = {other}")),
            "{one}"
        );
    }
    // A number written with 17 digits is still the same float.
    let number = canonical("a = 0.1000000000000000055511151231257827");
    assert_eq!(number, canonical("a = 0.1"));
    for digits in [
        "5.0216813883093451685872615018317e46",
        "2.2250738585072011e-308",
        "7.3177701707893310e15",
    ] {
        let exact: f64 = digits.parse().unwrap();
        assert_eq!(
            canonical(&format!("a = {digits}")),
            canonical(&format!("a = {exact:e}")),
            "{digits}"
        );
    }
}

#[test]
fn a_hostile_filter_is_refused_before_it_costs_anything() {
    let deep = format!("{}a = 1{}", "(".repeat(2000), ")".repeat(2000));
    assert_eq!(fault(&deep).1, FilterErrorKind::TooDeep(16));
    assert_eq!(fault(&"not ".repeat(1000)).1, FilterErrorKind::TooDeep(16));
    assert_eq!(fault(&"a=1 or ".repeat(500)).1, FilterErrorKind::TooManyTests(64));
    assert_eq!(
        fault(&format!("a in ({}1)", "1,".repeat(1000))).1,
        FilterErrorKind::TooManyValues(512)
    );
    assert_eq!(
        fault(&format!("a{} = 1", ".a".repeat(1000))).1,
        FilterErrorKind::PathTooLong(16)
    );
    assert_eq!(fault(&"ä".repeat(4000)).1, FilterErrorKind::TooLong(4096));
    let most = vec![r#"@topic prefix "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#; 64].join(" or ");
    assert_eq!(canonical(&most).matches("prefix").count(), 1);
    let tests = |field: &str| {
        let tests: Vec<_> = (0..40).map(|n| format!("{field}{n} = 1")).collect();
        tests.join(" or ")
    };
    let mut parts = FilterBuilder::default();
    parts.parse(&tests("a")).expect("40 tests");
    parts.parse(&tests("b")).expect("40 tests");
    assert_eq!(
        parts.compile().expect_err("80 tests").fault,
        FilterErrorKind::TooManyTests(64)
    );
}

/// `!=` becomes two tests. Together with a field of the query these were once refused as too many.
#[test]
fn what_is_written_as_one_test_counts_as_one_beside_a_field() {
    let beside_a_field = |count| {
        let tests: Vec<_> = (0..count).map(|n| format!("a{n} != 1")).collect();
        let mut parts = FilterBuilder::default();
        parts.parse(&tests.join(" and "))?;
        parts.one_of("wiki", ["enwiki"].into_iter())?;
        parts.compile()
    };
    assert!(beside_a_field(63).is_ok());
    let fault = beside_a_field(64).map_err(|error| error.fault);
    assert_eq!(fault, Err(FilterErrorKind::TooManyTests(64)));
}

fn one_of(path: &str, values: &[&str]) -> Result<Filter, FilterError> {
    let mut parts = FilterBuilder::default();
    parts.one_of(path, values.iter().copied())?;
    Ok(parts.compile()?.expect("a part"))
}

#[test]
fn a_query_cannot_ask_for_more_values_than_a_filter() {
    let fault = |count| one_of("wiki", &vec!["7"; count]).err().map(|error| error.fault);
    assert_eq!(fault(512), None);
    assert_eq!(fault(513), Some(FilterErrorKind::TooManyValues(512)));
}

#[test]
fn a_value_without_quotes_in_a_query_stands_for_all_that_it_may_be() {
    let filter = one_of("namespace", &["0", "true", "x"]).expect("a filter");
    assert_eq!(
        filter.to_string(),
        r#""namespace" in (true, 0, "0", "true", "x")"#
    );
}
