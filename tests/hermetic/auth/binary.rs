//! The binary: the command `key`, and what `check-config` says of authentication.

use std::process::{Command, Output};

use crate::{
    auth::issuer::{SigningKey, jwks},
    tls::authority::Files,
};

const REST: &str = "
[[clusters]]
name = \"main\"
bootstrap = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]

[[streams]]
name = \"edits\"
topics = [\"edits\"]
access = [\"read\", \"more\"]
";

const ISSUER: &str = "
[[auth.issuers]]
name = \"idp\"
issuer = \"https://idp.example\"
audience = [\"https://stream.example\"]
";

fn riverhead(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_riverhead"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn check(files: &Files, text: &str) -> Output {
    let config = files.write("riverhead.toml", &format!("{text}{REST}"));
    riverhead(&["check-config", "--config", config.to_str().unwrap()])
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_key_is_shown_once_and_listed_without_its_secret() {
    let files = Files::new();
    let path = files.path("keys.toml");
    let file = ["--file", path.to_str().unwrap()];
    let key = |arguments: &[&str]| riverhead(&[&["key"], arguments].concat());
    let new = key(&[
        &["new"],
        &file[..],
        &[
            "--name",
            "partner",
            "--scope",
            "read",
            "--scope",
            "more",
            "--claim",
            "tenant=7",
            "--expires",
            "2999-01-01T00:00:00Z",
        ],
    ]
    .concat());
    let secret = text(&new.stdout).trim().to_owned();
    assert!(new.status.success() && secret.starts_with("rvh_"), "{new:?}");
    let list = key(&[&["list"], &file[..]].concat());
    assert_eq!(
        text(&list.stdout),
        "partner: scopes read more, expires 2999-01-01T00:00:00Z\n"
    );
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&secret[4..68]), "{kept}");

    let again = key(&[&["new"], &file[..], &["--name", "partner"]].concat());
    assert_eq!(again.status.code(), Some(64));
    assert!(
        text(&again.stderr).contains("another key with this name"),
        "{again:?}"
    );
    assert!(
        key(&[&["revoke"], &file[..], &["--name", "partner"]].concat())
            .status
            .success()
    );
    assert_eq!(text(&key(&[&["list"], &file[..]].concat()).stdout), "");
    let gone = key(&[&["revoke"], &file[..], &["--name", "partner"]].concat());
    assert_eq!(gone.status.code(), Some(64), "{gone:?}");
}

#[test]
fn good_files_are_told_and_every_fault_of_bad_ones() {
    let files = Files::new();
    crate::auth::api_keys(&files, [("a", "read"), ("b", "read")]);
    let signing = SigningKey::new("k", jsonwebtoken::Algorithm::ES256);
    files.write("jwks.json", &jwks(&[&signing]));
    let good = check(
        &files,
        &format!("[auth]\nkeys_file = \"keys.toml\"\n{ISSUER}jwks = \"jwks.json\"\n"),
    );
    let said = text(&good.stdout);
    for line in [
        "ok: auth: 2 API keys in ",
        "ok: auth: issuer idp: 1 keys",
        "tombstones skip, for scope read or more",
    ] {
        assert!(
            said.contains(line),
            "{line} is not in\n{said}\n{}",
            text(&good.stderr)
        );
    }
    files.write("keys.toml", "[[keys]]\nname = 'a'\nsha256 = 'x'\n");
    files.write("jwks.json", "{}");
    let bad = check(
        &files,
        &format!("[auth]\nkeys_file = \"keys.toml\"\n{ISSUER}jwks = \"jwks.json\"\n"),
    );
    let said = text(&bad.stderr);
    assert_eq!(bad.status.code(), Some(64), "{said}");
    for fault in [
        "key 1: `sha256` is not a digest",
        "jwks.json: is not a key set",
        "2 errors",
    ] {
        assert!(said.contains(fault), "{fault} is not in\n{said}");
    }
}

#[test]
fn settings_that_would_weaken_a_check_are_refused() {
    let files = Files::new();
    for (settings, fault) in [
        (String::new(), "needs a credential, but there is no [auth]"),
        (
            format!("{ISSUER}jwks = \"http://idp.example/jwks\"\n"),
            "another scheme than https",
        ),
        (
            format!("{ISSUER}jwks = \"a\"\nalgorithms = [\"HS256\"]\n"),
            "expected an algorithm",
        ),
        (format!("{ISSUER}jwks = \"a\"\nalgorithms = []\n"), "at least one"),
        (format!("{ISSUER}jwks = \"a\"\nleeway = \"1h\"\n"), "at most 5m"),
        (
            format!("{ISSUER}jwks = \"a\"\n{ISSUER}jwks = \"b\"\n"),
            "two issuers have the same `issuer`",
        ),
        (
            ISSUER.replace("[\"https://stream.example\"]", "[]") + "jwks = \"a\"\n",
            "at least one",
        ),
        (ISSUER.to_owned(), "`auth.issuers.jwks` is missing"),
        ("[auth]\ncookie = \"a b\"\n".to_owned(), "the name of a cookie"),
        (
            "[auth]\n[http.cors]\ncredentials = true\n".to_owned(),
            "`http.cors.origins` is [\"*\"]: list the origins",
        ),
        (
            "[auth]\n[http.cors]\norigins = [\"null\"]\n".to_owned(),
            "which every sandboxed page has",
        ),
        (
            "[auth]\n[http.cors]\norigins = [\"*\", \"https://a.example\"]\n".to_owned(),
            "`*` alone",
        ),
        (
            "[auth]\n[http.cors]\norigins = [\"https://a.example/\"]\n".to_owned(),
            "without a path",
        ),
        (
            "[auth]\n[http.cors]\nmax_age = \"1500ms\"\n".to_owned(),
            "whole seconds",
        ),
    ] {
        let output = check(&files, &settings);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{settings}\n{said}");
        assert!(said.contains(fault), "{fault} is not in\n{said}");
    }
}
