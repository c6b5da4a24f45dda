//! Any text: compiling it never panics, its canonical text compiles to the same filter, and evaluating it
//! ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use riverhead::{
    event::HeadersBuf,
    filter::{Filter, FilterInput},
};

fuzz_target!(|input: (&str, &[u8])| {
    let (text, document) = input;
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column));
            return;
        }
    };
    let mut headers = HeadersBuf::default();
    headers.push(b"source", Some(document));
    let subject = FilterInput {
        topic: "edits",
        partition: 0,
        offset: 7,
        timestamp: 1_790_000_000_000,
        key: Some(document),
        headers: headers.headers(),
        document: Some(document),
    };
    let accepts = filter.accepts(&subject);
    let canonical = filter.to_string();
    // Quotes make it longer than the original, and `!=` is written as two tests. Past a limit it need not
    // parse again.
    match Filter::parse(&canonical) {
        Ok(again) => {
            assert_eq!(again, filter);
            assert_eq!(again.accepts(&subject), accepts);
        }
        Err(error) => assert!(
            canonical.len() > 4096 || error.to_string().contains("more than 64 tests"),
            "{canonical}"
        ),
    }
});
