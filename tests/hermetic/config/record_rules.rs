//! What a stream says about its records: which rules are refused, which are the same, and what is told of them.

use std::{fs, process::Command};

use super::{LEAST, loaded, report, warnings};

/// Returns the smallest configuration, with these lines for its stream.
fn with(lines: &str) -> String {
    format!("{LEAST}{lines}\n")
}

#[test]
fn rules_are_read_in_their_canonical_form() {
    let text = with(
        "redact = [\n  { when = 'meta.domain=\"x.example\"', remove = [\"user\", 'performer . \"name\"', \"user\"], blank = [\"comment\"] },\n  \
         { remove = [\"@header.ip\", \"@key\"] },\n]\ndrop = 'internal = true'\nannotate = true\ncanary = 'meta.domain = canary'",
    );
    let config = loaded(&text, &[]);
    let rules = &config.catalog.streams().next().expect("a stream").rules;
    let told: Vec<_> = rules.redact.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "remove @header.ip, @key",
            r#"remove performer.name, user; blank comment when "meta"."domain" in ("x.example")"#,
        ]
    );
    let drop = rules.drop.as_ref().map(ToString::to_string);
    assert_eq!(drop.as_deref(), Some(r#""internal" in (true)"#));
    assert!(rules.annotate && rules.canary.is_some());
    let none = loaded(
        &with("redact = []\ndrop = \"\"\ncanary = \"\"\nannotate = false\nschema = \"\""),
        &[],
    );
    assert!(
        none.catalog
            .streams()
            .all(|stream| stream.rules.is_empty() && stream.schema.is_none())
    );
}

#[test]
fn streams_that_share_a_topic_agree_on_all_four_however_they_write_it() {
    let second = |lines: &str| format!("[[streams]]\nname = 'two'\ntopics = ['edits']\n{lines}\n");
    let first = with("redact = [{ remove = [\"a\", \"b\"] }, { blank = [\"c\"] }]\ndrop = 'x = 1 and y = 2'");
    let same = second("redact = [{ blank = [\"c\"] }, { remove = ['\"b\"', \"a\"] }]\ndrop = 'y=2 and x=1'");
    loaded(&(first.clone() + &same), &[]);
    let other = second("redact = [{ remove = [\"a\"] }]\nannotate = true\ncanary = 'z = 1'");
    let said = report(&(first + &other), &[]);
    for key in ["redact", "drop", "annotate", "canary"] {
        let told = format!("streams that share topic `edits` must agree on `{key}`");
        assert!(said.contains(&told), "{key}: {said}");
    }
    assert!(said.contains("4 errors"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    for (lines, told) in [
        ("redact = [{}]", "found none: the rule does nothing"),
        (
            "redact = [{ when = 'a = 1' }]",
            "found none: the rule does nothing",
        ),
        (
            "redact = [{ remove = [\"a b\"] }]",
            "expected `.` or the end at column 3",
        ),
        ("redact = [{ remove = [\"\"] }]", "expected a field at column 1"),
        (
            "redact = [{ remove = [\"@offset\"] }]",
            "ids are made of the others",
        ),
        ("redact = [{ remove = [\"@nothing\"] }]", "unknown metadata"),
        (
            "redact = [{ remove = [\"user\"], blank = ['\"user\"'] }]",
            "`user` is both in `remove` and in `blank`",
        ),
        (
            "redact = [{ when = 'a =', remove = [\"b\"] }]",
            "expected a filter such as",
        ),
        ("redact = [{ remov = [\"a\"] }]", "did you mean `remove`?"),
        ("redact = { remove = [\"a\"] }", "expected an array of tables"),
        ("redact = [\"user\"]", "expected a table"),
        ("drop = 'a ='", "expected a filter such as"),
        ("canary = 'a = b.c'", "at column"),
        ("annotate = 'yes'", "expected true or false"),
        ("schema = 'ftp://a.example/x.json'", "found another URL"),
        ("schema = 'https://'", "found another URL"),
    ] {
        let said = report(&with(lines), &[]);
        assert!(said.contains(told) && said.contains("1 error"), "{lines}: {said}");
    }
}

#[test]
fn rules_about_values_need_values_that_are_json() {
    for payload in ["raw", "base64"] {
        let with = |lines: &str| with(&format!("payload = '{payload}'\n{lines}"));
        for lines in [
            "redact = [{ remove = [\"user\"] }]",
            "redact = [{ when = 'a = 1', remove = [\"@key\"] }]",
            "drop = 'a = 1 or @key = x'",
            "canary = 'exists a'",
            "annotate = true",
        ] {
            let said = report(&with(lines), &[]);
            let told = format!("which only `payload = \"json\"` has, not \"{payload}\"");
            assert!(
                said.contains(&told) && said.contains("1 error"),
                "{lines}: {said}"
            );
        }
        loaded(
            &with(
                "redact = [{ when = '@topic = edits', remove = [\"@key\"], blank = [\"@header.ip\"] }]\ndrop = '@key prefix x'",
            ),
            &[],
        );
    }
}

#[test]
fn nobody_is_let_in_by_a_field_that_is_gone() {
    let with = |lines: &str| {
        format!(
            "{}[auth]\n",
            with(&format!("only = 'acl.tenant = $tenant'\n{lines}"))
        )
    };
    for lines in [
        "redact = [{ remove = [\"acl.tenant\"] }]",
        "redact = [{ remove = [\"acl\"] }]",
        "redact = [{ when = 'a = 1', blank = ['acl.\"tenant\"'] }]",
    ] {
        let said = report(&with(lines), &[]);
        assert!(
            said.contains("tests `acl.tenant`, which `redact` removes or blanks first"),
            "{lines}: {said}"
        );
    }
    for lines in [
        "redact = [{ remove = [\"acl.other\", \"tenant\", \"@key\"] }]",
        "drop = 'acl.tenant = x'",
    ] {
        let text = with(lines);
        if let Err(faults) = riverhead::config::Config::load(&text, super::PATH, []) {
            assert!(!faults.to_string().contains("redact"), "{lines}: {faults}");
        }
    }
}

#[test]
fn a_parameter_for_a_field_that_is_gone_is_a_surprise() {
    let text = with(
        "filter_fields = ['user', 'wiki', 'kind']\nredact = [{ remove = [\"user\"] }, { when = 'a = 1', blank = [\"kind\"] }]",
    );
    let told = warnings(&text, &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("`user` is in `filter_fields` of stream `edits`"),
        "{told:?}"
    );
}

/// Returns the exit code of `check-config`, and what it says.
fn checked(directory: &std::path::Path, lines: &str) -> (Option<i32>, String) {
    let file = directory.join("riverhead.toml");
    fs::write(&file, with(lines)).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
    let output = command
        .args(["check-config", "--config"])
        .arg(&file)
        .env_clear()
        .output();
    let output = output.expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn check_config_tells_the_rules_and_reads_the_schemas() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("good.json"), "{\"type\":\"object\"}").expect("written");
    fs::write(directory.path().join("bad.json"), "{\"type\":").expect("written");
    let lines = "redact = [{ when = 'a = 1', remove = [\"user\"] }]\ndrop = 'b = 1'\nannotate = true\ncanary = 'c = 1'\nschema = 'good.json'";
    let (code, said) = checked(directory.path(), lines);
    assert_eq!(code, Some(0), "{said}");
    for told in [
        "ok: stream edits: drops records when \"b\" in (1)",
        "ok: stream edits: canaries are records when \"c\" in (1)",
        "ok: stream edits: redacts records: remove user when \"a\" in (1)",
        "ok: stream edits: annotates records: meta.topic, meta.partition, meta.offset, meta.key",
        "ok: stream edits: schema good.json",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let (code, said) = checked(directory.path(), "schema = 'bad.json'");
    assert!(
        code == Some(64) && said.contains("bad.json: it is not JSON") && said.contains("1 error"),
        "{said}"
    );
    let (code, said) = checked(directory.path(), "schema = 'none.json'");
    assert!(
        code == Some(64) && said.contains("none.json: No such file"),
        "{said}"
    );
    let (code, said) = checked(directory.path(), "schema = 'https://schema.example/edits.json'");
    assert_eq!(code, Some(0), "nobody is asked: {said}");
}
