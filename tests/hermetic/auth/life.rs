//! The life of a stream that came with a credential: the warning, the end, revocation, and limits of principals.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use riverhead::{auth::settings::AuthSettings, limits::settings::PrincipalLimits};
use serde_json::json;

use crate::{
    auth::{
        AuthGateway, api_keys, bearer,
        issuer::{SigningKey, issuer, jwks, now},
    },
    support::{
        gateway::{DEADLINE, TOKEN, TestClient, TestResponse, get},
        on_both_sinks,
    },
    tls::authority::Files,
};

/// A gateway with an issuer, and a file for revocations.
pub(super) struct Stage {
    pub(super) gateway: AuthGateway,
    pub(super) signing: SigningKey,
    pub(super) settings: AuthSettings,
    pub(super) files: Files,
}

impl Stage {
    /// Tokens count for this much longer than they say.
    pub(super) fn new(leeway: Duration) -> Self {
        Self::with(leeway, PrincipalLimits::default())
    }

    fn with(leeway: Duration, limits: PrincipalLimits) -> Self {
        let files = Files::new();
        let signing = SigningKey::new("k", Algorithm::EdDSA);
        let set = files.write("jwks.json", &jwks(&[&signing]));
        files.write("keys.toml", "");
        let mut issuer = issuer(set.to_str().unwrap());
        issuer.leeway = leeway;
        let settings = AuthSettings {
            keys_file: Some(files.path("keys.toml")),
            revocations_file: Some(files.path("revoked.toml")),
            issuers: vec![issuer],
            limits,
            ..AuthSettings::default()
        };
        Self {
            gateway: AuthGateway::with(&settings, None, |http| {
                http.heartbeat = Duration::from_millis(200)
            }),
            signing,
            settings,
            files,
        }
    }

    /// Opens a stream with this credential, and reads its prelude.
    pub(super) async fn stream(&self, credential: &str) -> TestClient {
        self.stream_with("/v2/stream/scoped", &bearer(credential)).await
    }

    /// Opens a stream with these header lines, and reads its prelude.
    pub(super) async fn stream_with(&self, target: &str, headers: &str) -> TestClient {
        let mut client = TestClient::ask(self.gateway.gateway.public, target, headers).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(client.chunk().await, ":ok\n\n");
        client
    }

    pub(super) async fn status(&self, credential: &str) -> u16 {
        self.gateway
            .ask("/v2/stream/scoped", &bearer(credential))
            .await
            .status
    }

    pub(super) async fn revoke(&self, body: &str) -> TestResponse {
        let mut client = TestClient::connect(self.gateway.gateway.admin).await;
        let request = format!(
            "POST /admin/revocations HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {TOKEN}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        client.send(&request).await;
        client.answer().await
    }
}

/// Reads chunks until one satisfies this, and returns those before.
pub(super) async fn until(client: &mut TestClient, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let chunk = client.chunk().await;
        if is_wanted(&chunk) {
            return before;
        }
        assert_ne!(chunk, "", "the stream ended: {before:?}");
        before.push(chunk);
    }
}

fn ended(reason: &str) -> String {
    format!("riverhead_streams_ended_total{{stream=\"scoped\",reason=\"{reason}\"}}")
}

async fn who_has_little_left_is_told_behind_the_first_heartbeat_and_the_stream_ends_in_time() {
    let stage = Stage::new(Duration::ZERO);
    let exp = now() + 3;
    let mut client = stage.stream(&stage.signing.token(&json!({ "exp": exp }))).await;
    let before = until(&mut client, |chunk| chunk.starts_with("event: expiring\n")).await;
    assert_eq!(before, [":\n"], "behind the first heartbeat");
    let rest = until(&mut client, str::is_empty).await;
    assert!(rest.iter().all(|chunk| chunk == ":\n"), "once: {rest:?}");
    assert!(now() <= exp, "after the end");
    stage.gateway.gateway.until_metric(&ended("expired"), 1.0).await;
}

async fn who_has_much_left_is_told_nothing_yet_and_a_stranger_never() {
    let stage = Stage::new(Duration::from_secs(30));
    let mut client = stage.stream(&stage.signing.token(&json!({}))).await;
    for _ in 0..4 {
        assert_eq!(client.chunk().await, ":\n");
    }
    let mut stranger = TestClient::stream(stage.gateway.gateway.public, "/v2/stream/open").await;
    stranger.head().await;
    assert_eq!(stranger.chunk().await, ":ok\n\n");
    for _ in 0..4 {
        assert_eq!(stranger.chunk().await, ":\n");
    }
    // A token that has expired, but is still accepted.
    let mut late = stage
        .stream(&stage.signing.token(&json!({ "exp": now() - 5 })))
        .await;
    let before = until(&mut late, |chunk| chunk.starts_with("event: expiring\n")).await;
    assert_eq!(before, [":\n"]);
}

async fn the_streams_of_a_revoked_token_end_within_a_second_and_others_go_on() {
    let stage = Stage::new(Duration::from_secs(30));
    let token = |id: &str, subject: &str| stage.signing.token(&json!({"jti": id, "sub": subject}));
    let (one, two, other) = (token("1", "a"), token("2", "a"), token("3", "b"));
    let mut clients = join_all([&one, &one, &two, &other].map(|token| stage.stream(token))).await;
    let open = "riverhead_auth_streams_open{kind=\"token\",name=\"idp\"}";
    assert_eq!(stage.gateway.gateway.metric(open).await, 4.0);

    let answer = stage.revoke(r#"{"jti":"1"}"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"streams": 2})));
    assert_eq!([stage.status(&one).await, stage.status(&two).await], [401, 200]);
    let start = Instant::now();
    for client in &mut clients[..2] {
        until(client, str::is_empty).await;
    }
    assert!(
        start.elapsed() < Duration::from_secs(1) * 5,
        "{:?}",
        start.elapsed()
    );
    stage.gateway.gateway.until_metric(&ended("revoked"), 2.0).await;
    let kept = std::fs::read_to_string(stage.files.path("revoked.toml")).unwrap();
    assert!(kept.contains("value = \"1\", until = \""), "{kept}");

    let answer = stage.revoke(r#"{"subject":"a"}"#).await;
    assert_eq!(answer.json(), json!({"streams": 1}));
    until(&mut clients[2], str::is_empty).await;
    assert_eq!([stage.status(&two).await, stage.status(&other).await], [401, 200]);
    assert_eq!(clients[3].chunk().await, ":\n");
    assert_eq!(
        stage.gateway.gateway.metric("riverhead_auth_revocations").await,
        2.0
    );
}

async fn a_key_that_is_revoked_or_removed_ends_its_streams_and_a_restart_forgets_neither() {
    let stage = Stage::new(Duration::ZERO);
    let [one, two, three] = api_keys(
        &stage.files,
        [("one", "read"), ("two", "read"), ("three", "read")],
    );
    stage.gateway.authenticator.reload(&stage.settings).await.unwrap();
    let mut clients = join_all([&one, &two, &three].map(|key| stage.stream(key))).await;
    assert_eq!(
        stage.revoke(r#"{"key":"one"}"#).await.json(),
        json!({"streams": 1})
    );
    until(&mut clients[0], str::is_empty).await;
    riverhead::auth::revoke(&stage.files.path("keys.toml"), "two").unwrap();
    stage.gateway.authenticator.reload(&stage.settings).await.unwrap();
    until(&mut clients[1], str::is_empty).await;
    assert_eq!(clients[2].chunk().await, ":\n");

    let restarted = AuthGateway::start(&stage.settings);
    for (key, status) in [(&one, 401), (&two, 401), (&three, 200)] {
        assert_eq!(
            restarted.ask("/v2/stream/scoped", &bearer(key)).await.status,
            status
        );
    }
    stage.files.write("revoked.toml", "keys = ['three']\n");
    restarted.authenticator.reload(&stage.settings).await.unwrap();
    let three = restarted.ask("/v2/stream/scoped", &bearer(&three)).await;
    assert_eq!(three.status, 401);
    assert_eq!(three.json()["detail"], "the credential was revoked");
}

on_both_sinks! {
    #[tokio::test]
    who_has_little_left_is_told_behind_the_first_heartbeat_and_the_stream_ends_in_time
    who_has_much_left_is_told_nothing_yet_and_a_stranger_never
    the_streams_of_a_revoked_token_end_within_a_second_and_others_go_on
    a_key_that_is_revoked_or_removed_ends_its_streams_and_a_restart_forgets_neither
}

#[tokio::test]
async fn a_command_that_cannot_be_kept_revokes_nothing() {
    let stage = Stage::new(Duration::ZERO);
    let token = stage.signing.token(&json!({"jti": "1"}));
    for body in [
        "{}",
        r#"{"jti":"1","key":"2"}"#,
        r#"{"jti":1}"#,
        r#"{"jti":"1","expires":"soon"}"#,
        r#"{"jti":"1","expires":"2020-01-01T00:00:00Z"}"#,
        r#"{"jti":"1","else":"x"}"#,
    ] {
        assert_eq!(stage.revoke(body).await.status, 400, "{body}");
    }
    let path = stage.files.path("revoked.toml");
    std::fs::create_dir(&path).unwrap();
    let cannot = stage.revoke(r#"{"jti":"1"}"#).await;
    assert_eq!(
        (cannot.status, &cannot.json()["type"]),
        (507, &json!("insufficient_storage"))
    );
    std::fs::remove_dir(&path).unwrap();
    // As many as a file may have.
    let most: String = (0..104_000).map(|id| format!("'{id:07}',")).collect();
    stage.files.write("revoked.toml", &format!("jti = [{most}]"));
    let full = stage.revoke(r#"{"jti":"1"}"#).await;
    assert_eq!(full.status, 507);
    assert!(
        full.json()["detail"]
            .to_string()
            .contains("revoked.toml: is full"),
        "{full:?}"
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stage.status(&token).await, 200);
    let settings = AuthSettings {
        revocations_file: None,
        ..stage.settings.clone()
    };
    stage.gateway.authenticator.reload(&settings).await.unwrap();
    assert_eq!(stage.revoke(r#"{"jti":"1"}"#).await.status, 409);
    let unauthorized = get(stage.gateway.gateway.admin, "/admin/revocations", "").await;
    assert_eq!(unauthorized.status, 405);
}

/// A token is accepted for the leeway longer than it says.
#[tokio::test]
async fn a_token_that_is_revoked_within_its_leeway_stays_revoked() {
    let stage = Stage::new(Duration::from_secs(30));
    let exp = now() - 5;
    let token = stage.signing.token(&json!({ "jti": "1", "exp": exp }));
    assert_eq!(stage.status(&token).await, 200);
    let expires = jiff::Timestamp::from_second(exp).unwrap();
    let revoked = stage
        .revoke(&format!(r#"{{"jti":"1","expires":"{expires}"}}"#))
        .await;
    assert_eq!(revoked.status, 200);
    assert_eq!(stage.status(&token).await, 401);
    assert_eq!(stage.revoke(r#"{"jti":"2"}"#).await.status, 200);
    assert_eq!(stage.status(&token).await, 401, "another one was revoked");
}

/// The time of one token with a `jti` says nothing of one that another issuer gave the same.
#[tokio::test]
async fn a_revocation_outlasts_the_stream_of_one_of_two_issuers() {
    let mut stage = Stage::new(Duration::ZERO);
    let mut other = stage.settings.issuers[0].clone();
    other.name = "other".into();
    other.issuer = "https://other.example".into();
    stage.settings.issuers.push(other);
    stage.gateway.authenticator.reload(&stage.settings).await.unwrap();
    let mut client = stage.stream(&stage.signing.token(&json!({"jti": "1"}))).await;
    assert_eq!(stage.revoke(r#"{"jti":"1"}"#).await.json(), json!({"streams": 1}));
    until(&mut client, str::is_empty).await;
    let kept = std::fs::read_to_string(stage.files.path("revoked.toml")).unwrap();
    assert!(kept.contains("    \"1\",\n"), "{kept}");
}

#[tokio::test]
async fn a_principal_with_limits_of_its_own_counts_from_all_addresses_together() {
    let limits = PrincipalLimits {
        streams: NonZeroU32::new(2),
        requests_per_minute: None,
    };
    let stage = Stage::with(Duration::ZERO, limits);
    let [one, other] = ["a", "b"].map(|subject| stage.signing.token(&json!({ "sub": subject })));
    let clients = [stage.stream(&one).await, stage.stream(&one).await];
    let refused = stage.gateway.ask("/v2/stream/scoped", &bearer(&one)).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.json()["title"], "Too Many Streams Of This Principal");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(stage.status(&other).await, 200);
    let report = get(stage.gateway.gateway.admin, "/admin/clients", "")
        .await
        .json();
    let by_streams = &report["by_streams"][0];
    assert_eq!(
        (by_streams["principal"].as_str(), by_streams["streams"].as_u64()),
        (Some("token idp: a"), Some(2))
    );
    drop(clients);
    let start = Instant::now();
    while stage.status(&one).await != 200 {
        assert!(start.elapsed() < DEADLINE, "the slots are not free");
    }
}

#[tokio::test]
async fn a_principal_has_a_rate_of_its_own_beside_that_of_its_address() {
    let limits = PrincipalLimits {
        streams: NonZeroU32::new(3),
        requests_per_minute: NonZeroU32::new(30),
    };
    let stage = Stage::with(Duration::ZERO, limits);
    let [one, other] = ["a", "b"].map(|subject| stage.signing.token(&json!({ "sub": subject })));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(stage.status(&one).await);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(stage.status(&other).await, 200);
}
