//! `check-config`, which reads the document too.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::json;

use super::{super::streams::text, Answer, DocumentServer, EDITS, at, document, in_file};
use crate::support::brokers::Brokers;

fn check(text: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_riverhead"))
        .args(["check-config", "--config"])
        .arg(file.path())
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_file_is_read_and_its_faults_are_named() {
    let brokers = Brokers::start(&[("a", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("streams.yaml");
    let config = |path: &Path| text(&brokers, &in_file(path), &[EDITS]);
    fs::write(
        &file,
        "streams:\n  pages: {topics: [p], annotate: true}\n  /^x/: {}\n  edits: {topics: [x]}\n",
    )
    .unwrap();
    let good = check(&config(&file), &[], &[]);
    let said = printed(&good);
    assert_eq!(good.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: stream pages: 1 topic from main"), "{said}");
    assert!(said.contains("ok: stream pages: annotates records"), "{said}");
    assert!(said.contains("ok: stream_config: 1 stream of "), "{said}");
    assert!(said.contains("because their names are patterns: /^x/"), "{said}");

    fs::write(
        &file,
        "streams:\n  pages: {topics: [p], redcat: []}\n  users: {topics: ['a b']}\n  fine: {topics: [f]}\n",
    )
    .unwrap();
    let bad = check(&config(&file), &[], &[]);
    let said = printed(&bad);
    assert_eq!(bad.status.code(), Some(64), "{said}");
    for line in [
        "error: stream_config: stream `pages` is left out: unknown key `redcat`: did you mean `redact`?",
        "error: stream_config: stream `users` is left out: `a b` is not a valid name",
        "ok: stream fine: 1 topic from main",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    let missing = check(&config(&directory.path().join("nowhere")), &[], &[]);
    let said = printed(&missing);
    assert_eq!(missing.status.code(), Some(64), "{said}");
    assert!(said.contains("cannot be read: No such file"), "{said}");
}

#[test]
fn an_address_is_asked_with_online_only() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let server = DocumentServer::start(document(&json!({"pages": {"topics": ["p"]}})));
    let config = text(&brokers, &at(&server, ""), &[EDITS]);
    let (name, value) = server.trust();
    let variables = [(name, &*value)];
    let offline = check(&config, &[], &variables);
    let said = printed(&offline);
    assert_eq!(offline.status.code(), Some(0), "{said}");
    assert!(said.contains("is read with --online only"), "{said}");
    assert!(said.contains("`state.directory` is not set"), "{said}");
    assert_eq!(server.requests(), 0);
    let online = check(&config, &["--online"], &variables);
    let said = printed(&online);
    assert_eq!(online.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: cluster main: topic p, 1 partition"), "{said}");
    server.set(Answer::document("rubbish"));
    let bad = check(&config, &["--online"], &variables);
    let said = printed(&bad);
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: stream_config: https://localhost:"),
        "{said}"
    );
    assert!(
        said.contains("ok: cluster main: topic a, 1 partition"),
        "the brokers are asked all the same: {said}"
    );
    // Whose certificate nobody knows.
    let unknown = check(&config, &["--online"], &[]);
    assert_eq!(unknown.status.code(), Some(1), "{}", printed(&unknown));
}
