//! No configuration text causes a panic.

use proptest::prelude::*;
use riverhead::config::Config;

use super::{PATH, environment, report};

fn survives(text: &str, pairs: &[(&str, &str)]) {
    match Config::load(text, PATH, environment(pairs)) {
        Ok((_, warnings)) => drop(warnings.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Err(faults) => assert!(!faults.to_string().is_empty() && faults.count() > 0),
    }
}

proptest! {
    #[test]
    fn is_refused_without_a_panic(text in "\\PC{0,200}", name in "RIVERHEAD_[A-Z_]{0,20}", value in ".{0,40}") {
        survives(&text, &[(&name, &value)]);
    }

    /// Text that is nearly TOML finds more faults than random text.
    #[test]
    fn that_looks_like_a_configuration_is_too(
        parts in prop::collection::vec(
            prop_oneof![
                Just("[[clusters]]\n"), Just("[[streams]]\n"), Just("[http]\n"), Just("[clusters.librdkafka]\n"),
                Just("name = "), Just("topics = "), Just("bootstrap = "), Just("a.b = "), Just("password = "),
                Just("\"x\"\n"), Just("[\"é:1\", "), Just("]\n"), Just("{a = 1}\n"), Just("1\n"), Just("15s\n"),
                Just("'"), Just("\"\"\""), Just("\r\n"), Just("# ü\n"), Just("\\u00"), Just("\u{feff}"),
                Just("\t"), Just("\u{1b}[31m"), Just("="), Just("."),
            ],
            0..30,
        ),
    ) {
        let text = parts.concat();
        survives(&text, &[("RIVERHEAD__STREAMS", &text), ("RIVERHEAD__CLUSTERS", &text)]);
    }
}

#[test]
fn that_is_deep_or_long_is_bounded() {
    survives(&format!("a = {}", "[".repeat(100_000)), &[]);
    survives(&format!("{}x = 1", "a.".repeat(100_000)), &[]);
    survives(&"x = 1\n".repeat(400_000), &[]);
    let keys: String = (0..10_000).map(|number| format!("k{number} = 1\n")).collect();
    let report = report(&keys, &[]);
    assert!(
        report.ends_with("10002 errors, of which the first 100 are shown"),
        "{}",
        report.len()
    );
}
