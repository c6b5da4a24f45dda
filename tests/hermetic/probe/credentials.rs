//! A probe with a credential, and the check that streams are closed to strangers.

use std::time::Duration;

use riverhead::{
    auth::{Authenticator, settings::AuthSettings},
    catalog::{Catalog, Stream},
    metrics::AuthMetrics,
};
use tokio::{task::JoinHandle, time::interval};

use crate::{
    auth::{api_keys, scopes},
    probe::{
        certificates::Authority,
        command, expect,
        liar::{FakeServer, HEAD, Then, event},
        run,
    },
    support::{
        gateway::{TestCertificates, TestGateway, plenty},
        model::{ModelFixture, TOPIC},
    },
    tls::authority::Files,
};

/// A gateway with a stream for everybody and one for the scope `read`, to both of which events are written.
struct Guarded {
    url: String,
    /// A key with that scope, and one with another.
    keys: [String; 2],
    files: Files,
    writing: JoinHandle<()>,
    _gateway: TestGateway,
}

impl Guarded {
    fn start() -> Self {
        let files = Files::new();
        let keys = api_keys(&files, [("probe", "read"), ("other", "write")]);
        let settings = AuthSettings {
            keys_file: Some(files.path("keys.toml")),
            ..AuthSettings::default()
        };
        let auth_metrics = AuthMetrics::default();
        let auth = Authenticator::with_connector(&settings, &auth_metrics, None).unwrap();
        let certificates = TestCertificates {
            auth: Some(auth),
            auth_metrics,
            ..TestCertificates::default()
        };
        let fixture = ModelFixture::new(1);
        let mut edits = Stream::new("edits", [TOPIC]);
        edits.access = scopes(&["read"]);
        edits.aliases.push("changes".into());
        let catalog = Catalog::new(vec![edits, Stream::new("open", [TOPIC])]).unwrap();
        let source = fixture.source.clone();
        let gateway = TestGateway::with_tls(catalog, source, plenty(), |_| {}, certificates);
        Self {
            url: format!("http://{}/v2/stream/edits", gateway.public),
            keys,
            files,
            writing: tokio::spawn(write(fixture)),
            _gateway: gateway,
        }
    }

    /// Probes with these arguments and the text of this file as the credential, and asserts the result.
    async fn expect(&self, token: &str, arguments: &str, code: i32, said: &[&str]) -> String {
        let file = self.files.write("token", token);
        let own = [&*self.url, "--token-file", file.to_str().unwrap()];
        let all: Vec<_> = own.into_iter().chain(arguments.split_whitespace()).collect();
        expect(&all, code, said).await
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

async fn write(fixture: ModelFixture) {
    let mut tick = interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        let mut model = fixture.model.lock();
        model.clock = model.clock.max(jiff::Timestamp::now().as_millisecond());
        drop(model);
        fixture.write(0, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_with_a_credential_sees_a_stream_that_strangers_do_not() {
    let guarded = Guarded::start();
    let [key, _] = &guarded.keys;
    let good = format!("{key}\n");
    let said = ["prelude exact", "edits is closed to strangers", "resume exact"];
    guarded.expect(&good, "--resume --closed edits", 0, &said).await;
    let said = ["edits is closed to strangers, changes is closed to strangers"];
    guarded.expect(&good, "--closed edits,changes", 0, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_strangers_get_is_critical_though_all_else_is_well() {
    let guarded = Guarded::start();
    let [key, _] = &guarded.keys;
    for (closed, said) in [
        ("open", "CRITICAL - edits: strangers can read open"),
        ("edits,open", "CRITICAL - edits: strangers can read open"),
        (
            "none",
            "CRITICAL - edits: strangers get status 400 instead of 401 for none",
        ),
    ] {
        guarded
            .expect(key, &format!("--closed {closed}"), 2, &[said])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_not_worth_the_stream_is_critical() {
    let guarded = Guarded::start();
    let [key, other] = &guarded.keys;
    let unknown = key.replace("rvh_", "rvh_0");
    for (token, said) in [
        (other.as_str(), "status 403 instead of 200"),
        (&unknown, "status 401 instead of 200"),
        ("", "is missing: the file is empty"),
    ] {
        guarded.expect(token, "--closed edits", 2, &[said]).await;
        // Whether the stream is closed is checked all the same.
        let found = ["status", "strangers can read open"];
        let line = guarded
            .expect(token, "--closed open --format json", 2, &found)
            .await;
        assert!(line.contains(said), "{line}");
    }
    let missing = [&*guarded.url, "--token-file", "/nowhere/token"];
    expect(&missing, 2, &["the credential in /nowhere/token cannot be read"]).await;
    expect(&[&guarded.url], 2, &["status 401 instead of 200"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_shows_the_credential() {
    let guarded = Guarded::start();
    let [key, other] = &guarded.keys;
    let broken = format!("{key}\n{other}");
    for token in [key, other, &broken] {
        for format in ["nagios", "json", "prometheus"] {
            let file = guarded.files.write("token", token);
            let output = run(command(&[
                &guarded.url,
                "--token-file",
                file.to_str().unwrap(),
                "--closed",
                "edits",
                "--format",
                format,
            ]))
            .await;
            let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(shown.len() > 50, "{shown}");
            for secret in [key, other] {
                assert!(!shown.contains(&secret[4..30]), "{shown}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_is_read_anew_for_each_connection() {
    let files = Files::new();
    let file = files.write("token", "first");
    let renewed = file.clone();
    // The second request comes with what the file holds since the first.
    let liar = FakeServer::start(move |head| {
        let is_first = head.contains("authorization: Bearer first\r\n");
        let head_asks_since = head.contains("since=");
        std::fs::write(&renewed, "second").unwrap();
        match is_first || head.contains("authorization: Bearer second\r\n") {
            true => {
                let head = HEAD.replace("no-cache", "private, no-store");
                let offset = if head_asks_since { 3 } else { 19 };
                (format!("{head}:ok\n\n{}", event(offset)), Then::Hang)
            }
            false => (String::new(), Then::Close),
        }
    })
    .await;
    let url = liar.url();
    let arguments = [&*url, "--token-file", file.to_str().unwrap(), "--since", "60s"];
    expect(&arguments, 0, &["since=60s holds"]).await;
}

#[tokio::test]
async fn only_a_refusal_for_want_of_a_credential_counts_as_closed() {
    for (status, code, said) in [
        (
            "401 Unauthorized\r\nwww-authenticate: Bearer",
            0,
            "b is closed to strangers",
        ),
        ("401 Unauthorized", 1, "b: 401 without WWW-Authenticate"),
        (
            "302 Found\r\nlocation: /login",
            2,
            "strangers get status 302 instead of 401 for b",
        ),
        ("503 Busy", 2, "strangers get status 503 instead of 401 for b"),
        ("200 OK", 2, "strangers can read b"),
    ] {
        let liar = FakeServer::start(move |head| match head.starts_with("GET /v2/stream/b ") {
            true => {
                assert!(!head.contains("authorization"), "{head}");
                (
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"),
                    Then::Hang,
                )
            }
            false => (format!("{HEAD}:ok\n\n{}", event(1)), Then::Hang),
        })
        .await;
        let url = format!("{}?id=compact", liar.url());
        expect(&[&url, "--closed", "b"], code, &[said]).await;
    }
    let liar = FakeServer::start(|head| match head.starts_with("GET /v2/stream/b ") {
        true => (String::new(), Then::Hang),
        false => (format!("{HEAD}:ok\n\n{}", event(1)), Then::Hang),
    })
    .await;
    let said = "whether b is closed is unknown: no response head within 500ms";
    expect(&[&liar.url(), "--closed", "b", "--timeout", "500ms"], 2, &[said]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_is_a_stranger() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let address = authority.serve_to("localhost", 61, Some(&clients)).await;
    let url = format!("https://localhost:{}/v2/stream/t", address.port());
    let files = Files::new();
    let (certificate, key) = clients.issue("probe", 30);
    let written = [
        files.write("ca.pem", &authority.issuer.pem()),
        files.write("probe.pem", &certificate.pem()),
        files.write("probe.key", &key.serialize_pem()),
    ];
    let [ca, certificate, key] = written.each_ref().map(|path| path.to_str().unwrap());
    let arguments = [
        &*url,
        "--ca",
        ca,
        "--client-certificate",
        certificate,
        "--client-key",
        key,
        "--closed",
        "t",
    ];
    expect(&arguments, 0, &["t is closed to clients without a certificate"]).await;
    // A gateway that asks nobody for one lets strangers read.
    let open = authority.serve("localhost", 61).await;
    let url = format!("https://localhost:{}/v2/stream/t", open.port());
    expect(
        &[&[&*url], &arguments[1..]].concat(),
        2,
        &["strangers can read t"],
    )
    .await;
}
