//! The configuration as an operator sees it: reports, overrides, exit codes, and the documented file.

mod record_rules;
mod reports;
mod rubbish;
mod the_binary;
mod the_documented_file;
mod values;

use std::ffi::OsString;

use riverhead::config::Config;

const PATH: &str = "riverhead.toml";

/// The smallest valid configuration.
const LEAST: &str = r#"
[[clusters]]
name = "main"
bootstrap = ["b1.example:9092", "b2.example:9092", "b3.example:9092"]

[[streams]]
name = "edits"
topics = ["edits"]
"#;

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn loaded(text: &str, pairs: &[(&str, &str)]) -> Config {
    match Config::load(text, PATH, environment(pairs)) {
        Ok((config, _)) => config,
        Err(faults) => panic!("{faults}"),
    }
}

fn report(text: &str, pairs: &[(&str, &str)]) -> String {
    match Config::load(text, PATH, environment(pairs)) {
        Ok(_) => panic!("this configuration has no faults"),
        Err(faults) => faults.to_string(),
    }
}

fn warnings(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let (_, warnings) = Config::load(text, PATH, environment(pairs)).expect("no faults");
    warnings.iter().map(ToString::to_string).collect()
}

/// Returns `LEAST` with a line added to its cluster.
fn with_cluster_line(line: &str) -> String {
    LEAST.replace("\n\n[[streams]]", &format!("\n{line}\n\n[[streams]]"))
}
