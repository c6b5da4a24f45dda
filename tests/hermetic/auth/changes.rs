//! What a reload means for streams that are open: those end whose access has ended, and no others.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use riverhead::{
    auth::{Authenticator, Revocation},
    metrics::AuthMetrics,
};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    auth::{
        api_keys, bearer,
        issuer::{SigningKey, jwks, now},
        life::{Stage, until},
    },
    support::gateway::{DEADLINE, TestClient, get},
};

impl Stage {
    async fn reload(&self) {
        self.gateway.authenticator.reload(&self.settings).await.unwrap();
    }

    /// Changes the entry of the key called `name`, and reads the file again.
    async fn change_key(&self, name: &str, change: impl Fn(&str) -> String) {
        let text = fs::read_to_string(self.files.path("keys.toml")).unwrap();
        let entries = text.split("[[keys]]").map(|entry| {
            let is_wanted = entry.contains(&format!("name = \"{name}\""));
            if is_wanted {
                change(entry)
            } else {
                entry.to_owned()
            }
        });
        let text = entries.collect::<Vec<_>>().join("[[keys]]");
        self.files.write("keys.toml", &text);
        self.reload().await;
    }
}

/// Reads until the stream ends.
async fn ends(client: &mut TestClient) {
    let ended = timeout(DEADLINE, until(client, str::is_empty)).await;
    assert!(ended.is_ok(), "the stream goes on");
}

/// Reads two heartbeats more than may have been sent already.
async fn goes_on(client: &mut TestClient) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        assert_eq!(client.chunk().await, ":\n");
    }
}

#[tokio::test]
async fn a_key_that_loses_a_scope_loses_the_streams_that_need_it() {
    let stage = Stage::new(Duration::ZERO);
    let [one, two] = api_keys(&stage.files, [("one", "read"), ("two", "read")]);
    stage.reload().await;
    let mut clients = join_all([&one, &two].map(|key| stage.stream(key))).await;
    let mut open = stage.stream_with("/v2/stream/open", &bearer(&one)).await;
    let mut both = stage.stream_with("/v2/stream/open,scoped", &bearer(&one)).await;
    stage
        .change_key("one", |entry| entry.replace("\"read\"", "\"other\""))
        .await;
    ends(&mut clients[0]).await;
    ends(&mut both).await;
    stage
        .change_key("two", |entry| entry.replace("\"read\"", "\"read\", \"other\""))
        .await;
    goes_on(&mut clients[1]).await;
    goes_on(&mut open).await;
    assert_eq!([stage.status(&one).await, stage.status(&two).await], [403, 200]);
}

#[tokio::test]
async fn a_key_that_now_expires_sooner_ends_its_streams_then() {
    let stage = Stage::new(Duration::ZERO);
    let [past, soon, late] = api_keys(
        &stage.files,
        [("past", "read"), ("soon", "read"), ("late", "read")],
    );
    stage.reload().await;
    let mut clients = join_all([&past, &soon, &late].map(|key| stage.stream(key))).await;
    let expires = async |name: &str, at: i64| {
        let at = jiff::Timestamp::from_second(at).unwrap();
        let add = |entry: &str| format!("{}\nexpires = \"{at}\"\n\n", entry.trim_end());
        stage.change_key(name, add).await;
    };
    expires("late", now() + 3600).await;
    expires("past", now() - 1).await;
    ends(&mut clients[0]).await;
    goes_on(&mut clients[1]).await;
    let end = now() + 2;
    expires("soon", end).await;
    ends(&mut clients[1]).await;
    assert!(now() >= end, "it ended before its time");
    goes_on(&mut clients[2]).await;
}

#[tokio::test]
async fn a_token_that_its_issuer_would_not_get_accepted_any_more_ends_its_streams() {
    let mut stage = Stage::new(Duration::ZERO);
    let other = SigningKey::new("other", Algorithm::ES256);
    stage.files.write("jwks.json", &jwks(&[&stage.signing, &other]));
    stage.reload().await;
    let audiences = json!({"aud": ["https://stream.example", "https://more.example"]});
    let [few, many, of_other, admin] = [
        stage.signing.token(&json!({})),
        stage.signing.token(&audiences),
        other.token(&audiences),
        stage
            .signing
            .token(&json!({"aud": "https://more.example", "scope": "none", "roles": ["read"]})),
    ];
    let mut clients = join_all([&few, &many, &of_other].map(|token| stage.stream(token))).await;

    stage.reload().await;
    for client in &mut clients {
        goes_on(client).await;
    }
    stage.settings.issuers[0].audience = vec!["https://more.example".into()];
    stage.reload().await;
    ends(&mut clients[0]).await;
    goes_on(&mut clients[1]).await;
    // The issuer withdraws a key.
    stage.files.write("jwks.json", &jwks(&[&stage.signing]));
    stage.reload().await;
    ends(&mut clients[2]).await;
    goes_on(&mut clients[1]).await;
    // Scopes come from another claim.
    stage.settings.issuers[0].scopes = "roles".into();
    stage.reload().await;
    ends(&mut clients[1]).await;
    let mut client = stage.stream(&admin).await;
    stage.settings.issuers[0].algorithms = vec![Algorithm::ES256];
    stage.reload().await;
    ends(&mut client).await;
}

/// A name is a label of logs and metrics. What counts is the `iss` of an issuer, and the digest of a key.
#[tokio::test]
async fn another_name_for_an_issuer_or_a_key_ends_no_stream() {
    let mut stage = Stage::new(Duration::ZERO);
    let [one, two] = api_keys(&stage.files, [("one", "read"), ("two", "read")]);
    stage.reload().await;
    let token = stage.signing.token(&json!({}));
    let mut clients = join_all([&token, &one, &two].map(|credential| stage.stream(credential))).await;
    stage.settings.issuers[0].name = "renamed".into();
    // Each gets the name that the other had.
    let text = fs::read_to_string(stage.files.path("keys.toml")).unwrap();
    let text = text.replace("\"one\"", "\"three\"");
    let text = text.replace("\"two\"", "\"one\"").replace("\"three\"", "\"two\"");
    stage.files.write("keys.toml", &text);
    stage.reload().await;
    for client in &mut clients {
        goes_on(client).await;
    }
    assert_eq!(stage.status(&token).await, 200);
    // The streams belong to their new entries.
    let revoked = stage.revoke(r#"{"key":"two"}"#).await;
    assert_eq!(revoked.json(), json!({"streams": 1}));
    ends(&mut clients[1]).await;
    stage
        .change_key("one", |entry| entry.replace("\"read\"", "\"other\""))
        .await;
    ends(&mut clients[2]).await;
    goes_on(&mut clients[0]).await;
}

#[tokio::test]
async fn revoked_credentials_stay_revoked_when_their_file_is_gone() {
    let stage = Stage::new(Duration::ZERO);
    let [one, two] = ["1", "2"].map(|id| stage.signing.token(&json!({ "jti": id })));
    assert_eq!(stage.revoke(r#"{"jti":"1"}"#).await.status, 200);
    let path = stage.files.path("revoked.toml");
    fs::remove_file(&path).unwrap();
    let faults = stage.gateway.authenticator.reload(&stage.settings).await;
    assert!(faults.unwrap_err().to_string().contains("is missing"));
    assert_eq!([stage.status(&one).await, stage.status(&two).await], [401, 200]);
    assert_eq!(stage.revoke(r#"{"jti":"2"}"#).await.status, 200);
    assert_eq!([stage.status(&one).await, stage.status(&two).await], [401, 401]);
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept.contains("\"1\"") && kept.contains("\"2\""), "{kept}");

    fs::write(&path, "").unwrap();
    stage.reload().await;
    assert_eq!(stage.status(&one).await, 200, "an empty file revokes nothing");
}

#[tokio::test]
async fn a_request_that_takes_its_time_gets_no_more_of_it() {
    let stage = Stage::new(Duration::ZERO);
    // The body never comes, and is waited for, for a second.
    let start = jiff::Timestamp::now();
    let exp = start.as_millisecond() as f64 / 1000.0 + 2.0;
    let token = stage.signing.token(&json!({ "exp": exp }));
    let headers = bearer(&token) + "content-length: 5\r\n";
    let waiting = Instant::now();
    let clients = (0..8).map(|_| stage.stream_with("/v2/stream/scoped", &headers));
    let mut clients = join_all(clients).await;
    assert!(
        waiting.elapsed() > Duration::from_millis(900),
        "nothing was waited for"
    );
    for client in &mut clients {
        ends(client).await;
        let late = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0 - exp;
        assert!(late < 0.5, "{late} s after the end");
    }
    assert!(waiting.elapsed() < DEADLINE);
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_not_shown_as_one_whose_keys_are_old() {
    let stage = Stage::new(Duration::ZERO);
    let (read, failures) = (
        "riverhead_auth_issuer_keys_read_timestamp_seconds{issuer=\"idp\"}",
        "riverhead_auth_issuer_keys_failures_total{issuer=\"idp\"}",
    );
    let shown = async || {
        let metrics = get(stage.gateway.gateway.admin, "/metrics", "").await.body;
        [read, failures].map(|name| metrics.contains(name))
    };
    assert_eq!(shown().await, [true, true], "before anything has failed");
    let mut settings = stage.settings.clone();
    settings.issuers[0].leeway = Duration::from_secs(1);
    stage.gateway.authenticator.reload(&settings).await.unwrap();
    assert_eq!(shown().await, [true, true], "it is the same with other settings");
    settings.issuers.clear();
    stage.gateway.authenticator.reload(&settings).await.unwrap();
    assert_eq!(shown().await, [false, false]);
}

/// A stream keeps only the text of claims that take much memory.
#[tokio::test]
async fn a_large_token_keeps_what_it_gives_after_a_reload_like_a_small_one() {
    let mut stage = Stage::new(Duration::ZERO);
    let groups = vec![json!({"a": 1}); 500];
    let token = stage.signing.token(&json!({
        "aud": ["https://stream.example", "https://more.example"],
        "roles": ["read"],
        "groups": groups,
    }));
    let mut client = stage.stream(&token).await;
    stage.reload().await;
    goes_on(&mut client).await;
    stage.settings.issuers[0].audience = vec!["https://more.example".into()];
    stage.settings.issuers[0].scopes = "roles".into();
    stage.reload().await;
    goes_on(&mut client).await;
    stage.settings.issuers[0].scopes = "groups".into();
    stage.reload().await;
    ends(&mut client).await;
}

/// During a hot restart two processes have one file.
#[tokio::test]
async fn two_processes_that_revoke_at_once_forget_nothing_and_learn_from_each_other() {
    let stage = Stage::new(Duration::ZERO);
    let first = &stage.gateway.authenticator;
    let second = Authenticator::with_connector(&stage.settings, &AuthMetrics::default(), None).unwrap();
    let revoke = async |authenticator: &Authenticator, from: u32| {
        for id in from..from + 50 {
            let revocation = Revocation::TokenId(id.to_string());
            authenticator.revoke(revocation, None).await.unwrap();
        }
    };
    tokio::join!(revoke(first, 100), revoke(&second, 200));
    let kept = fs::read_to_string(stage.files.path("revoked.toml")).unwrap();
    for id in (100..150).chain(200..250) {
        assert!(kept.contains(&format!("\"{id}\"")), "{id} is not in\n{kept}");
    }

    let token = stage.signing.token(&json!({"jti": "300"}));
    let mut client = stage.stream(&token).await;
    let mut other = stage.stream(&stage.signing.token(&json!({"jti": "301"}))).await;
    let following = first.clone();
    let following = AbortOnDropHandle::new(tokio::spawn(async move { following.follow_revocations().await }));
    second
        .revoke(Revocation::TokenId("300".into()), None)
        .await
        .unwrap();
    ends(&mut client).await;
    assert_eq!(stage.status(&token).await, 401);
    // A file that is cut off gives nothing back.
    stage.files.write("revoked.toml", "");
    second
        .revoke(Revocation::TokenId("301".into()), None)
        .await
        .unwrap();
    ends(&mut other).await;
    assert_eq!(stage.status(&token).await, 401);
    drop(following);
}
