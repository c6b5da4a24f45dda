//! Keys of issuers at an address: slow, away, too large, redirecting, and changing.

use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use jsonwebtoken::Algorithm;
use riverhead::{
    auth::{Authenticator, CredentialError, InvalidCredential, settings::AuthSettings},
    limits::{EvictReason, Evictable},
    metrics::AuthMetrics,
    tls::client::connector,
};
use serde_json::json;

use crate::{
    auth::{
        AuthGateway, bearer,
        issuer::{SigningKey, issuer, jwks},
        key_server::{Answer, KeyServer},
    },
    support::gateway::DEADLINE,
};

async fn status(gateway: &AuthGateway, token: &str) -> u16 {
    gateway.ask("/v2/stream/scoped", &bearer(token)).await.status
}

#[tokio::test]
async fn the_first_request_waits_for_the_keys() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let server = KeyServer::start(Answer::keys(&[&key])).await;
    let gateway = server.gateway();
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 200);
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 200);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn who_serves_after_the_first_keys_makes_nobody_wait_and_waits_for_no_others() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let token = key.token(&json!({}));
    for (answer, is_answered) in [(Answer::keys(&[&key]), true), (Answer::Waits, false)] {
        let server = KeyServer::start(answer).await;
        let gateway = server.gateway();
        let start = Instant::now();
        gateway.authenticator.first_keys().await;
        assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
        let checked = gateway.authenticator.check(&token).now_or_never();
        assert_eq!(checked.is_some_and(|checked| checked.is_ok()), is_answered);
    }
}

#[tokio::test]
async fn invented_keys_cause_one_fetch_and_no_other() {
    let [key, other] = ["a", "b"].map(|id| SigningKey::new(id, Algorithm::EdDSA));
    let server = KeyServer::start(Answer::keys(&[&key])).await;
    let gateway = server.gateway();
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 200);
    for _ in 0..5 {
        assert_eq!(status(&gateway, &other.token(&json!({}))).await, 401);
    }
    assert_eq!(server.requests(), 1, "the keys were read a moment ago");
}

#[tokio::test]
async fn a_reload_forgets_no_keys_that_are_fetched_from_the_same_address() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let server = KeyServer::start(Answer::keys(&[&key])).await;
    let gateway = server.gateway();
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 200);
    let mut settings = server.settings();
    settings.issuers[0].leeway = Duration::from_secs(7);
    settings.issuers[0].name = "renamed".into();
    gateway.authenticator.reload(&settings).await.unwrap();
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 200);
    settings.issuers[0].audience = vec!["https://other.example".into()];
    gateway.authenticator.reload(&settings).await.unwrap();
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 401);
    assert_eq!(server.requests(), 1);
}

/// Returns the file in which the keys of the only issuer are kept, when it is there.
async fn kept_file(directory: &std::path::Path) -> PathBuf {
    let start = Instant::now();
    loop {
        let file = std::fs::read_dir(directory).into_iter().flatten().next();
        let file = file.map(|file| file.unwrap().path());
        // A file is written under another name.
        if let Some(file) = file.filter(|file| file.extension().is_some_and(|end| end == "json")) {
            return file;
        }
        assert!(start.elapsed() < DEADLINE, "no keys were kept");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_restart_while_an_issuer_is_away_goes_on_with_the_keys_of_the_last_hour() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let mut server = KeyServer::start(Answer::keys(&[&key])).await;
    let directory = tempfile::tempdir().unwrap();
    let mut settings = server.settings();
    settings.state_directory = Some(directory.path().join("state"));
    let roots = server.roots.clone();
    let restarted = || AuthGateway::with(&settings, connector(roots.clone()).ok(), |_| {});
    let token = key.token(&json!({}));
    assert_eq!(status(&restarted(), &token).await, 200);
    let file = kept_file(&directory.path().join("state")).await;
    server.stop().await;
    let gateway = restarted();
    gateway.authenticator.first_keys().await;
    assert_eq!(status(&gateway, &token).await, 200);

    let text = std::fs::read_to_string(&file).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fetched_at = document["fetched_at"].as_i64().unwrap();
    document["fetched_at"] = json!(fetched_at - 3_600_000);
    std::fs::write(&file, document.to_string()).unwrap();
    assert_eq!(status(&restarted(), &token).await, 503, "too old");
}

/// Keys that cannot be had are a fault of ours, after which a client comes back: a 401 would end an EventSource for good.
#[tokio::test]
async fn without_keys_the_answer_is_503_and_within_a_bound() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let good = KeyServer::start(Answer::keys(&[&key])).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: https://localhost:{}/jwks\r\ncontent-length: 0\r\n\r\n",
        good.address.port()
    );
    for (name, answer) in [
        ("slow", Answer::Waits),
        ("a megabyte", Answer::body(&large)),
        ("redirecting to loopback", Answer::Sends(redirect)),
        (
            "failing",
            Answer::Sends("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".into()),
        ),
        ("no key set", Answer::body("<html>")),
        ("empty", Answer::body("{\"keys\":[]}")),
    ] {
        let server = KeyServer::start(answer).await;
        let gateway = server.gateway();
        let start = Instant::now();
        let answer = gateway
            .ask("/v2/stream/scoped", &bearer(&key.token(&json!({}))))
            .await;
        assert_eq!(answer.status, 503, "{name}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{name}: {answer:?}");
        assert!(start.elapsed() < DEADLINE, "{name}: {:?}", start.elapsed());
        assert_eq!(
            gateway.ask("/v2/stream/open", "").await.status,
            200,
            "{name}: strangers are served"
        );
        assert!(server.requests() <= 1, "{name}");
    }
    assert_eq!(good.requests(), 0, "a redirect was followed");
}

#[tokio::test]
async fn nobody_is_believed_whose_certificate_is_of_another_authority() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let server = KeyServer::start(Answer::keys(&[&key])).await;
    let other = KeyServer::start(Answer::Waits).await;
    let url = format!("https://localhost:{}/jwks", server.address.port());
    let settings = AuthSettings {
        issuers: vec![issuer(&url)],
        ..AuthSettings::default()
    };
    let gateway = AuthGateway::with(&settings, connector(other.roots.clone()).ok(), |_| {});
    assert_eq!(status(&gateway, &key.token(&json!({}))).await, 503);
}

/// Whether a stream was told to end.
#[derive(Default)]
struct Stream(AtomicBool);

impl Evictable for Stream {
    fn is_dead(&self) -> bool {
        false
    }

    fn evict(&self, why: EvictReason) {
        assert_eq!(why, EvictReason::Revoked);
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Returns who checks tokens of the issuer whose keys are in a file, and has read them.
fn reading(path: &std::path::Path) -> Authenticator {
    let settings = AuthSettings {
        issuers: vec![issuer(path.to_str().unwrap())],
        ..AuthSettings::default()
    };
    let authenticator = Authenticator::load(&settings, &AuthMetrics::default()).unwrap();
    authenticator.start();
    authenticator
}

#[tokio::test(start_paused = true)]
async fn who_comes_shortly_before_keys_may_be_read_again_waits_for_that() {
    let [before, after] = ["a", "a"].map(|id| SigningKey::new(id, Algorithm::ES256));
    let files = crate::tls::authority::Files::new();
    let path = files.write("jwks.json", &jwks(&[&before]));
    let authenticator = reading(&path);
    files.write("jwks.json", &jwks(&[&after]));
    let token = after.token(&json!({}));
    tokio::time::advance(Duration::from_secs(27)).await;
    let early = authenticator.check(&token).await;
    assert_eq!(early.unwrap_err(), InvalidCredential::Signature.into());
    tokio::time::advance(Duration::from_millis(1_500)).await;
    authenticator.check(&token).await.unwrap();
}

/// A key may have been replaced under its id, and nobody can tell now.
#[tokio::test(start_paused = true)]
async fn while_keys_cannot_be_read_a_wrong_signature_is_no_fault_of_the_client() {
    let [before, after] = ["a", "a"].map(|id| SigningKey::new(id, Algorithm::ES256));
    let files = crate::tls::authority::Files::new();
    let path = files.write("jwks.json", &jwks(&[&before]));
    let authenticator = reading(&path);
    files.write("jwks.json", "rubbish");
    tokio::time::advance(Duration::from_secs(31)).await;
    for _ in 0..2 {
        let checked = authenticator.check(&after.token(&json!({}))).await;
        assert!(
            matches!(checked, Err(CredentialError::Unavailable { .. })),
            "{checked:?}"
        );
        assert!(authenticator.check(&before.token(&json!({}))).await.is_ok());
    }
}

/// Time is tokio's: no test waits for half a minute.
#[tokio::test(start_paused = true)]
async fn a_key_that_was_replaced_is_noticed_under_another_id_and_under_the_same() {
    let [before, same, another] = ["a", "a", "b"].map(|id| SigningKey::new(id, Algorithm::ES256));
    let files = crate::tls::authority::Files::new();
    let path = files.write("jwks.json", &jwks(&[&before]));
    let authenticator = reading(&path);
    let good = before.token(&json!({}));
    let principal = authenticator.check(&good).await.unwrap();
    let stream: Arc<Stream> = Arc::default();
    let weak: Weak<dyn Evictable> = Arc::downgrade(&stream) as _;
    let _session = authenticator.open_session(&principal, Vec::new(), weak).unwrap();
    files.write("jwks.json", &jwks(&[&same]));
    assert!(
        authenticator.check(&same.token(&json!({}))).await.is_err(),
        "it was read a moment ago"
    );
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(
        authenticator.check(&same.token(&json!({}))).await.is_ok(),
        "the same id"
    );
    assert!(
        authenticator.check(&good).await.is_err(),
        "what was checked with the key before is forgotten"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(stream.0.load(Ordering::SeqCst), "its stream ends");

    files.write("jwks.json", &jwks(&[&another]));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(
        authenticator.check(&another.token(&json!({}))).await.is_ok(),
        "another id"
    );

    files.write("jwks.json", "rubbish");
    tokio::time::advance(Duration::from_secs(6 * 60)).await;
    assert!(
        authenticator.check(&another.token(&json!({}))).await.is_ok(),
        "the last good keys"
    );
    let unknown = authenticator.check(&before.token(&json!({"sub": "x"}))).await;
    assert!(unknown.is_err());
    tokio::time::advance(Duration::from_secs(60 * 60)).await;
    let after = authenticator.check(&another.token(&json!({}))).await;
    assert!(
        matches!(after, Err(CredentialError::Unavailable { .. })),
        "{after:?}"
    );
}
