//! The binary: the command `key`, and what `check-config` says of authentication.

use std::process::{Command, Output};

use crate::{
    auth::issuer::{SigningKey, jwks},
    tls::authority::{Files, localhost},
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

const TICKET_KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

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
    assert!(!said.contains("request_burst"), "{said}");
    let keys = std::fs::read_to_string(files.path("keys.toml")).unwrap();
    files.write("keys.toml", &format!("{keys}limits = {{ streams = 61 }}\n"));
    let narrow = check(
        &files,
        "[auth]\nkeys_file = \"keys.toml\"\nlimits = { streams = 62 }\n[limits]\nstreams_per_client = 63\n\
         networks = [{ cidr = '192.0.2.0/24', request_burst = 9, streams_per_client = 10 }]\n",
    );
    let said = text(&narrow.stdout);
    for warning in [
        "`limits.streams` (61) of key b is above",
        "`auth.limits.streams` (62) is above `request_burst` (60)",
        "`limits.streams_per_client` (63) is above",
        "`streams_per_client` of 192.0.2.0/24 (10) is above `request_burst` (9)",
    ] {
        assert!(said.contains(warning), "{warning} is not in\n{said}");
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

/// An entry for certificates with these keys.
fn certificate(keys: &str) -> String {
    format!("[[auth.certificates]]\nscopes = [\"read\"]\n{keys}\n")
}

#[test]
fn entries_for_certificates_are_told() {
    let (authority, files, _) = localhost();
    let clients = files.write("clients.pem", &authority.pem());
    let tls = format!(
        "[http.tls]\ncertificates = [{{ certificate = \"localhost.pem\", key = \"localhost.key\" }}]\n\
         client_ca = \"{}\"\nclient_certificates = \"optional\"\n",
        clients.display()
    );
    let entries = certificate("name = \"partner\"\nsan = \"Reader.partner.example\"")
        + &certificate("name = \"auditor\"\nsubject = \"CN=auditor,O=Partner\"");
    let output = check(&files, &format!("{tls}{entries}"));
    let said = text(&output.stdout);
    for line in [
        "ok: auth: certificate partner: of host reader.partner.example\n",
        "ok: auth: certificate auditor: of subject CN=auditor,O=Partner\n",
    ] {
        assert!(
            said.contains(line),
            "{line} is not in\n{said}\n{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn entries_for_certificates_that_nobody_could_show_are_refused() {
    let files = Files::new();
    let good = certificate("name = \"a\"\nsan = \"a.example\"");
    let tls = "[http.tls]\ncertificates = [{ certificate = \"a\", key = \"b\" }]\n";
    for (settings, fault) in [
        (
            certificate("name = \"a\"\nsan = \"a.example\"\nsubject = \"CN=a\""),
            "both `san` and `subject`",
        ),
        (certificate("name = \"a\""), "neither `san` nor `subject`"),
        (
            certificate("san = \"a.example\""),
            "`auth.certificates.name` is missing",
        ),
        (good.replace("[\"read\"]", "[]"), "at least one"),
        (good.replace("a.example", "*.example"), "found a pattern"),
        (
            certificate("name = \"a\"\nsubject = \"O=a, CN=b\""),
            "-nameopt RFC2253",
        ),
        (
            good.clone() + &good.replace("a.example", "b.example"),
            "two entries for certificates have the same `name`",
        ),
        (
            good.clone() + &good.replace("\"a\"", "\"b\"").replace("a.example", "A.example"),
            "two entries for certificates have the same `san`",
        ),
        (good.clone(), "there is no [http.tls]"),
        (format!("{tls}{good}"), "`http.tls.client_ca` is empty"),
        (
            format!("{tls}client_ca = \"c\"\n{good}"),
            "`http.tls.client_certificates` is \"off\"",
        ),
    ] {
        let output = check(&files, &settings);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{settings}\n{said}");
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
            "[auth]\nticket_keys = [\"c2VjcmV0\"]\n".to_owned(),
            "it has another length than 32 bytes",
        ),
        (
            "[auth]\nticket_keys = [\"secret!\"]\n".to_owned(),
            "it is not base64",
        ),
        (
            format!("[auth]\nticket_keys = [\"{TICKET_KEY}\", \"{TICKET_KEY}\"]\n"),
            "expected each key once",
        ),
        (
            "[auth]\nticket_lifetime = \"0s\"\n".to_owned(),
            "a duration above zero",
        ),
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
        for secret in ["c2VjcmV0", "secret!", TICKET_KEY] {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(said.contains(fault), "{fault} is not in\n{said}");
    }
}

#[test]
fn a_field_that_would_hide_the_parameter_of_tickets_is_a_fault_where_tickets_count() {
    let files = Files::new();
    let stream = REST.replace(
        "access = [\"read\", \"more\"]",
        "filter_fields = [\"wiki\", \"ticket\"]",
    );
    let check = |auth: &str| {
        let config = files.write("riverhead.toml", &format!("{auth}{stream}"));
        riverhead(&["check-config", "--config", config.to_str().unwrap()])
    };
    let without = check("");
    assert!(without.status.success(), "{without:?}");
    assert!(
        text(&without.stdout).contains("`ticket` is also a query parameter now"),
        "{without:?}"
    );
    let with = check("[auth]\n");
    let said = text(&with.stderr);
    assert_eq!(with.status.code(), Some(64), "{said}");
    assert!(
        said.contains("has the filter field `ticket`, but with [auth] `?ticket=` is a credential"),
        "{said}"
    );
}
