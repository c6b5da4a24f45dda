//! Exit codes and output of the real binary.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use super::LEAST;

fn riverhead(arguments: &[&str], pairs: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
    command.args(arguments).env_clear().envs(pairs.iter().copied());
    command.output().expect("the binary runs")
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("UTF-8")
}

#[test]
fn exits_64_with_all_faults_before_it_binds_a_port() {
    // If the port were bound before the configuration is checked, binding would fail, with exit code 1.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let text = format!("[http]\nlisten = \"{address}\"\nheartbeet = \"15s\"\n{LEAST}tombstone = \"skip\"\n");
    let file = file(&text);
    for command in ["serve", "check-config"] {
        let output = riverhead(
            &[command, "--config", path(&file)],
            &[("RIVERHEAD_LOG__LEVEL", "loud")],
        );
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        assert!(output.stdout.is_empty());
        for told in ["heartbeet", "tombstone", "RIVERHEAD_LOG__LEVEL", "3 errors"] {
            assert!(stderr.contains(told), "{told}: {stderr}");
        }
    }
}

#[test]
fn exits_1_when_a_right_configuration_does_not_come_up_and_logs_as_it_was_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = file(&LEAST.replace(r#", "b3.example:9092""#, ""));
    let pairs = [
        ("RIVERHEAD_HTTP__LISTEN", &*address),
        ("RIVERHEAD_LOG__FORMAT", "json"),
    ];
    let output = riverhead(&["serve", "--config", path(&file)], &pairs);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().next().expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["level"], "WARN");
    assert!(
        line["message"]
            .as_str()
            .is_some_and(|said| said.contains("2 bootstrap brokers")),
        "{line}"
    );
}

#[test]
fn exits_64_for_wrong_usage_and_0_for_help() {
    let missing = ["check-config", "--config", "/nowhere/riverhead.toml"];
    let wrong: &[&[&str]] = &[
        &[],
        &["serve"],
        &["sevre"],
        &["demo", "--rate", "0"],
        &["demo", "--listen", "x"],
        &missing,
    ];
    for arguments in wrong {
        let output = riverhead(arguments, &[]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    for arguments in [["--help"], ["--version"], ["help"]] {
        let output = riverhead(&arguments, &[]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn says_what_a_right_configuration_makes() {
    let file = file(&LEAST.replace(r#", "b3.example:9092""#, ""));
    let output = riverhead(&["check-config", "--config", path(&file)], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    insta::assert_snapshot!(stdout.replace(path(&file), "FILE"));
}

#[test]
fn says_what_large_records_take_where_the_budgets_are_smaller_than_that() {
    let file = file(LEAST);
    let pairs = ["TAIL", "HISTORY", "LANES"].map(|name| (format!("RIVERHEAD_MEMORY__{name}"), "16MiB"));
    let pairs: Vec<_> = pairs.iter().map(|(name, budget)| (&**name, *budget)).collect();
    let output = riverhead(&["check-config", "--config", path(&file)], &pairs);
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    // For three brokers: 4 + 6 x 8, 4 + 9 x 8, 16, and 64 for the cluster.
    let large = "memory: at most 208 MiB while records of 8 MiB are read";
    assert!(
        stdout.contains("memory: at most 112 MiB (tail") && stdout.contains(large),
        "{stdout}"
    );
}

#[test]
fn the_demo_tells_a_misspelt_variable_too() {
    let output = riverhead(&["demo"], &[("RIVERHEAD_HTTP__LISTNE", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(64));
}
