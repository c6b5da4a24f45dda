use super::*;

const NOON: Timestamp = 1_528_977_600_000;

const DAY: Timestamp = 86_400_000;

#[test]
fn the_forms_that_clients_send() {
    for text in [
        "2018-06-14T12:00:00Z",
        "2018-06-14t12:00:00z",
        "2018-06-14T12:00:00.000Z",
        "2018-06-14T12:00:00,000Z",
        "2018-06-14T12:00:00",
        "2018-06-14 12:00:00",
        "2018-06-14 12:00",
        "2018-06-14T12:00Z",
        "2018-06-14T12Z",
        "2018-06-14 12:00:00Z",
        "2018-06-14 12:00:00 Z",
        "2018-06-14T14:00:00+02:00",
        "2018-06-14T14:00:00+0200",
        "2018-06-14T14:00:00+02",
        "2018-06-14T14:00:00 02:00",
        "2018-06-14 14:00:00 02:00",
        "2018-06-14 14:00:00 +02:00",
        "2018-06-14 10:00:00 -02:00",
        "2018-06-14 10:00:00 -0200",
        "2018-06-14T10:00:00-02:00",
        "2018-06-14T11:59:59.999999-00:00",
        "20180614T120000Z",
        "20180614T140000+0200",
        "+002018-06-14T12:00:00Z",
        " 002018-06-14T12:00:00Z",
        "Thu, 14 Jun 2018 12:00:00 GMT",
        "Thu, 14 Jun 2018 12:00:00 +0000",
        "Thu, 14 Jun 2018 12:00:00  0000",
        "Thu, 14 Jun 2018 12:00:00 0000",
        "Thu, 14 Jun 2018 14:00:00 0200",
        "Thu, 14 Jun 2018 08:00:00 EDT",
        "Thu, 14 Jun 18 12:00 UT",
        "14 Jun 2018 12:00:00 +0000",
        "14 June 2018 12:00",
        "June 14 2018 12:00:00",
        "jun 14, 2018 12:00",
        "Thu Jun 14 12:00:00 2018",
        "Thu Jun 14 2018 14:00:00 GMT+0200 (Central European Summer Time)",
        "Thu Jun 14 2018 14:00:00 GMT 0200 (CEST)",
        "1528977600000",
        " 1528977600000 ",
    ] {
        let expected = if text.contains("11:59:59.999") {
            NOON - 1
        } else {
            NOON
        };
        assert_eq!(parse(text), Some(expected), "{text}");
    }
    assert_eq!(parse("2018-06-14"), Some(NOON - DAY / 2));
    assert_eq!(parse("June 14 2018"), Some(NOON - DAY / 2));
    assert_eq!(parse("2018-06-14T12:00:00.123456Z"), Some(NOON + 123));
    assert_eq!(parse("2018-06-14T12:00:00.5Z"), Some(NOON + 500));
}

#[test]
fn a_year_or_a_month_alone_is_its_beginning() {
    assert_eq!(parse("2018-06"), Some(NOON - DAY / 2 - 13 * DAY));
    assert_eq!(parse("2018-01"), parse("2018-01-01"));
    assert_eq!(parse("+002018"), parse("2018-01-01"));
}

#[test]
fn midnight_has_two_names() {
    assert_eq!(parse("2018-06-13T24:00:00Z"), parse("2018-06-14"));
    assert_eq!(parse("2018-06-13T24:00Z"), parse("2018-06-14"));
    assert_eq!(parse("2018-06-13T24:00:01Z"), None);
}

#[test]
fn digits_are_milliseconds_however_much_they_look_like_a_date() {
    assert_eq!(parse("20250107"), Some(20_250_107));
    assert_eq!(parse("2018"), Some(2018));
}

#[test]
fn nothing_before_the_epoch_reaches_kafka_as_latest_or_earliest() {
    for text in [
        "-1",
        "-2",
        "-1528977600000",
        "1960-01-01",
        "-000001-01-01T00:00:00Z",
    ] {
        assert_eq!(parse(text), Some(0), "{text}");
    }
}

#[test]
fn what_cannot_be_honoured_is_no_time() {
    for text in [
        "",
        "-",
        "yesterday",
        "2018-13-14",
        "2018-02-30",
        "2018-06-14T25:00:00Z",
        "2018-06-14T12:60:00Z",
        "99999999999999999999999",
        "NaN",
        "2018-06-14T12:00:00 xx",
        "+",
        "1528977600000.5",
        "1.5e12",
        // Time zones that are unknown or contradict each other.
        "2018-06-14T12:00:00[America/New_York]",
        "2018-06-14T12:00:00Z[Europe/Berlin]",
        "2018-06-14T12:00:00+26:00",
        "2018-06-14T12:00:00+02:00:30",
        "2018-06-14T12:00:00 CET",
        "Thu, 14 Jun 2018 12:00:00 CET",
        "Thu, 14 Jun 2018 12:00:00 A",
        "Thu, 14 Jun 2018 12:00:00 GMT GMT",
        "Thu, 14 Jun 2018 12:00:00 GMT+0200 +0300",
        "14 Jun 2018 +0200",
        // Leap seconds, which the clocks that Kafka counts by do not have.
        "2016-12-31T23:59:60Z",
        "2018-06-14T12:00:60Z",
        // Weeks, days of the year, and forms that differ from country to country.
        "2018-W24-4",
        "2018-165",
        "6/14/2018",
        "14.6.2018",
        "2018-6-14",
        "12:00",
        "2018-06T12:00",
        "2018-06-14T",
        "2018-06-14T12:",
        "2018-06-14T12:00:00.",
        "-000000-01-01",
        // A weekday that contradicts the date, and incomplete dates.
        "Fri, 14 Jun 2018 12:00:00 GMT",
        "14 Jun Jul 2018",
        "14 2018 12:00",
        "14 Jun",
        "14 Jun 2018 12:00 PM",
        "14 Jun 2018 12:00 (",
        "äöü",
        "é Jun 2018",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

/// Returns what stands in code spans.
fn examples(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_says_what_is_taken_and_what_is_not() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/resuming.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("`since` accepts").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (taken, refused) = section.split_once("All other texts").unwrap();
    let rows: String = taken.lines().filter(|line| line.starts_with('|')).collect();
    // `24:00` is a time of day alone.
    let taken: Vec<_> = examples(&rows).filter(|example| *example != "24:00").collect();
    assert!(taken.len() > 5, "{taken:?}");
    for example in taken {
        assert!(parse(example).is_some(), "{example}");
    }
    let refused: Vec<_> = examples(refused).filter(|example| *example != "400").collect();
    assert!(refused.len() > 2, "{refused:?}");
    for example in refused {
        assert_eq!(parse(example), None, "{example}");
    }
}
