//! Filters.

use super::{Shape, TARGET, escaped, fill, shuffled, target};
use crate::gateways::FIELDS;

pub(super) fn filters() -> Vec<Shape> {
    let filter = |name, text: &str| Shape::new(name, target(&format!("filter={}", escaped(text))));
    let numbers = |count| {
        shuffled(count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    };
    let tests = |count: usize, word: &str| {
        let tests = shuffled(count).map(|number| format!("a{} = {number}", number % 7));
        tests.collect::<Vec<_>>().join(word)
    };
    let words: Vec<_> = shuffled(512).map(|number| format!("w{number}")).collect();
    let fields: Vec<_> = (0..FIELDS)
        .map(|field| format!("field{field}={}", numbers(12).join(",")))
        .collect();
    vec![
        filter(
            "filter: 512 values",
            &format!("a in ({})", numbers(512).join(",")),
        ),
        filter("filter: 512 words", &format!("a in ({})", words.join(","))),
        filter("filter: 64 tests by or", &tests(64, " or ")),
        filter("filter: 64 tests by and", &tests(64, " and ")),
        filter("filter: 64 negations", &tests(64, " and ").replace('=', "!=")),
        filter(
            "filter: nested",
            &format!("{}a = 1{}", fill("(not ", 35), fill(")", 7)),
        ),
        filter("filter: parentheses", &fill("(", 4096)).refused(400),
        filter("filter: one long path", &format!("{}a = 1", fill("a.", 30))),
        filter(
            "filter: one long text",
            &format!("a = \"{}\"", fill("\u{e9}", 4000)),
        ),
        filter("filter: long number", &format!("a = 1.{}", fill("1", 4000))),
        filter(
            "filter: wrong at its end",
            &format!("a in ({}) ?", numbers(512).join(",")),
        )
        .refused(400),
        filter("filter: too long", &fill("a = 1 or ", 12_000)).refused(400),
        Shape::new(
            "filter: field of 512 words",
            target(&format!("field1={}", words.join(","))),
        ),
        Shape::new(
            "filter: field of 256 numbers, each a word too",
            target(&format!("field1={}", numbers(256).join(","))),
        ),
        Shape::new(
            "filter: field of too many",
            target(&format!("field1={}", fill("a,", TARGET - 40))),
        )
        .refused(400),
        Shape::new("filter: each field", target(&fields.join("&"))),
        Shape::new(
            "filter: each field, beside a filter",
            target(&format!(
                "{}&filter={}",
                fields.join("&"),
                escaped(&tests(48, " or "))
            )),
        ),
    ]
}
