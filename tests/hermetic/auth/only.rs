//! Filters made of claims, over real HTTP: each reader gets its own rows and no others.

use jsonwebtoken::Algorithm;
use riverhead::auth::{Authenticator, NewKey, settings::AuthSettings};
use serde_json::{Value, json};

use crate::{
    auth::{
        AuthGateway, bearer,
        issuer::{SigningKey, issuer, jwks},
        numbers,
    },
    support::{
        gateway::{TestClient, TestGateway},
        model::ModelFixture,
        on_both_sinks,
    },
    tls::authority::Files,
};

/// A gateway for `mine`, of which a reader gets the numbers in its claim, and `all` of the same topic.
struct Stage {
    gateway: TestGateway,
    authenticator: Authenticator,
    fixture: ModelFixture,
    signing: SigningKey,
}

const ALL: &str = r#"[{"topic":"edits","partition":0,"offset":-2}]"#;

impl Stage {
    fn new() -> Self {
        let files = Files::new();
        let signing = SigningKey::new("k", Algorithm::EdDSA);
        let set = files.write("jwks.json", &jwks(&[&signing]));
        let settings = AuthSettings {
            issuers: vec![issuer(set.to_str().unwrap())],
            ..AuthSettings::default()
        };
        Self::with(&settings, signing)
    }

    fn with(settings: &AuthSettings, signing: SigningKey) -> Self {
        let (gateway, fixture) = numbers::start(settings);
        let AuthGateway {
            gateway,
            authenticator,
        } = gateway;
        Self {
            gateway,
            authenticator,
            fixture,
            signing,
        }
    }

    fn token(&self, numbers: &Value) -> String {
        self.signing.token(&json!({ "numbers": numbers }))
    }

    /// Reads this many events from the beginning on.
    async fn read(&self, target: &str, token: &str, count: usize) -> (Vec<u64>, TestClient) {
        let headers = bearer(token) + &format!("last-event-id: {ALL}\r\n");
        let mut client = TestClient::ask(self.gateway.public, target, &headers).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let numbers = take(&mut client, count).await;
        (numbers, client)
    }

    async fn status(&self, target: &str, headers: &str) -> u16 {
        let mut client = TestClient::ask(self.gateway.public, target, headers).await;
        client.head().await[9..12].parse().unwrap()
    }
}

/// Reads this many events. None of what comes says how much others have.
async fn take(client: &mut TestClient, count: usize) -> Vec<u64> {
    let messages = numbers::read(client, count).await;
    for message in &messages {
        assert!(!message.data.contains("skipped"), "{message:?}");
    }
    numbers::numbers(&messages)
}

async fn each_reader_gets_its_own_rows_old_and_new_whatever_it_asks_for() {
    let stage = Stage::new();
    let (one, two) = (
        stage.token(&json!([3, 17, 41, 43])),
        stage.token(&json!([4, 17, 42])),
    );
    let (rows, mut first) = stage.read("/v2/stream/mine", &one, 2).await;
    assert_eq!(rows, [3, 17]);
    let (rows, mut second) = stage.read("/v2/stream/mine", &two, 2).await;
    assert_eq!(rows, [4, 17]);
    stage.fixture.write(0, 3);
    assert_eq!(take(&mut first, 2).await, [41, 43]);
    assert_eq!(take(&mut second, 1).await, [42]);

    // A filter of the reader's own restricts further, and never widens.
    let (rows, _) = stage
        .read("/v2/stream/mine?filter=n%20%3E%203%20or%20n%20%3D%205", &one, 3)
        .await;
    assert_eq!(rows, [17, 41, 43]);
    // With a stream that has all, all pass.
    let (rows, _) = stage.read("/v2/stream/mine,all", &one, 43).await;
    assert_eq!(rows, (1..=43).collect::<Vec<_>>());
}

on_both_sinks! {
    #[tokio::test]
    each_reader_gets_its_own_rows_old_and_new_whatever_it_asks_for
}

#[tokio::test]
async fn who_lacks_the_claim_reads_nothing() {
    let stage = Stage::new();
    assert_eq!(stage.status("/v2/stream/mine", "").await, 401);
    assert_eq!(stage.status("/v2/stream/all", "").await, 200);
    for numbers in [
        json!(null),
        json!([]),
        json!({"a": 1}),
        json!(""),
        json!([null]),
        json!([[1]]),
    ] {
        let headers = bearer(&stage.token(&numbers));
        for target in [
            "/v2/stream/mine",
            "/v2/stream/all,mine",
            "/v2/stream/mine?filter=n%3D1",
        ] {
            assert_eq!(stage.status(target, &headers).await, 403, "{target} {numbers}");
        }
        assert_eq!(stage.status("/v2/stream/all", &headers).await, 200);
    }
}

#[tokio::test]
async fn filters_of_claims_are_not_counted_as_those_of_the_client() {
    let stage = Stage::new();
    let mut clients = Vec::new();
    for n in 1..=12 {
        let (rows, client) = stage.read("/v2/stream/mine", &stage.token(&json!([n])), 1).await;
        assert_eq!(rows, [n]);
        clients.push(client);
    }
    let own = bearer(&stage.token(&json!([1])));
    for n in 1..=5 {
        let target = format!("/v2/stream/mine?filter=n%3D{n}");
        let mut client = TestClient::ask(stage.gateway.public, &target, &own).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        clients.push(client);
    }
    assert_eq!(stage.status("/v2/stream/mine?filter=n%3D6", &own).await, 429);
}

#[tokio::test]
async fn a_key_with_other_claims_reads_other_rows_from_then_on() {
    let files = Files::new();
    let new = NewKey {
        name: "partner".into(),
        ..NewKey::default()
    };
    let path = files.path("keys.toml");
    let key = riverhead::auth::append(&path, &new).unwrap().secret().to_owned();
    let entry = std::fs::read_to_string(&path).unwrap();
    let write = |numbers: &str| {
        files.write(
            "keys.toml",
            &format!("{entry}claims = {{ numbers = {numbers} }}\n"),
        )
    };
    write("[3, 41]");
    let settings = AuthSettings {
        keys_file: Some(path.clone()),
        ..AuthSettings::default()
    };
    let stage = Stage::with(&settings, SigningKey::new("k", Algorithm::EdDSA));
    let (rows, mut client) = stage.read("/v2/stream/mine", &key, 1).await;
    assert_eq!(rows, [3]);
    stage.authenticator.reload(&settings).await.unwrap();
    stage.fixture.write(0, 1);
    assert_eq!(take(&mut client, 1).await, [41], "nothing has changed");

    write("[5, 42]");
    stage.authenticator.reload(&settings).await.unwrap();
    client.rest().await;
    let (rows, mut client) = stage.read("/v2/stream/mine", &key, 1).await;
    assert_eq!(rows, [5]);
    stage.fixture.write(0, 1);
    assert_eq!(take(&mut client, 1).await, [42]);
}
