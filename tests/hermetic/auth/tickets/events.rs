//! What the reader of a ticket gets: no event that its filter, its stream's `only` or its own query leaves out.

use jsonwebtoken::Algorithm;
use riverhead::auth::settings::AuthSettings;
use serde_json::{Value, json};

use crate::{
    auth::{
        AuthGateway, bearer,
        issuer::{SigningKey, issuer, jwks},
        numbers,
        tickets::{JSON, post},
    },
    support::{
        gateway::{TestClient, get},
        model::ModelFixture,
        on_both_sinks,
    },
    tls::authority::Files,
};

/// A gateway for `mine`, of which a reader gets the numbers in its claim, and `all` of the same topic. There are the numbers from 1
/// to 40.
pub(super) struct Stage {
    pub(super) gateway: AuthGateway,
    pub(super) signing: SigningKey,
    pub(super) fixture: ModelFixture,
    _files: Files,
}

const ALL: &str = "%5B%7B%22topic%22%3A%22edits%22%2C%22partition%22%3A0%2C%22offset%22%3A-2%7D%5D";

impl Stage {
    fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut AuthSettings)) -> Self {
        let files = Files::new();
        let signing = SigningKey::new("k", Algorithm::EdDSA);
        let set = files.write("jwks.json", &jwks(&[&signing]));
        let mut settings = AuthSettings {
            issuers: vec![issuer(set.to_str().unwrap())],
            ..AuthSettings::default()
        };
        change(&mut settings);
        let (gateway, fixture) = numbers::start(&settings);
        Self {
            gateway,
            signing,
            fixture,
            _files: files,
        }
    }

    /// Returns the URL of a ticket for whoever has these numbers.
    async fn ticket(&self, numbers: &Value, body: &Value) -> String {
        let answer = self.ask_for_ticket(numbers, body).await;
        answer["url"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    async fn ask_for_ticket(&self, numbers: &Value, body: &Value) -> Value {
        // As large as those of identity providers, and needed by nobody.
        let groups = vec!["a group that has a long name"; 50];
        let token = self.signing.token(&json!({"numbers": numbers, "groups": groups}));
        let headers = bearer(&token) + JSON;
        let answer = post(&self.gateway, "/v2/tickets", &headers, &body.to_string()).await;
        answer.json()
    }

    /// Reads the numbers of these many events, from the beginning on.
    async fn read(&self, url: &str, count: usize) -> (Vec<u64>, TestClient) {
        let target = format!("{url}&lastEventId={ALL}");
        let mut client = TestClient::ask(self.gateway.gateway.public, &target, "").await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{url}: {head}");
        (take(&mut client, count).await, client)
    }
}

async fn take(client: &mut TestClient, count: usize) -> Vec<u64> {
    numbers::numbers(&numbers::read(client, count).await)
}

async fn a_reader_gets_what_all_conditions_pass_and_nothing_else() {
    let stage = Stage::new();
    let mut open = Vec::new();
    for (body, more, old, new) in [
        (json!({"streams": ["mine"]}), "", &[3, 17, 25][..], &[41, 43][..]),
        (
            json!({"streams": ["mine"], "filter": "n > 5 or n = 1"}),
            "",
            &[17, 25],
            &[41, 43],
        ),
        // n < 20 or n > 42 or n = 1
        (
            json!({"streams": ["mine"], "filter": "n > 5"}),
            "&filter=n%20%3C%2020%20or%20n%20%3E%2042%20or%20n%3D1",
            &[17],
            &[43],
        ),
        // n != 4
        (
            json!({"streams": ["all"], "filter": "n in (4, 5, 42)"}),
            "&filter=n%20!%3D%204",
            &[5],
            &[42],
        ),
        // An empty filter is none, as in the query. n > 39
        (
            json!({"streams": ["all", "mine"], "filter": ""}),
            "&filter=n%20%3E%2039",
            &[40],
            &[41, 42, 43],
        ),
    ] {
        let url = stage.ticket(&json!([3, 17, 25, 41, 43]), &body).await + more;
        let (rows, client) = stage.read(&url, old.len()).await;
        assert_eq!(rows, old, "{url}");
        open.push((client, url, new));
    }
    stage.fixture.write(0, 3);
    for (client, url, new) in &mut open {
        assert_eq!(take(client, new.len()).await, *new, "{url}");
    }
}

#[tokio::test]
async fn a_ticket_holds_the_claims_that_its_streams_need_if_there_is_room() {
    let stage = Stage::new();
    let (mine, all) = (json!({"streams": ["mine"]}), json!({"streams": ["all"]}));
    let some = stage.ticket(&json!((1..=512).collect::<Vec<_>>()), &mine).await;
    let all_of_it: Vec<_> = (1..=40).collect();
    assert_eq!(stage.read(&some, 40).await.0, all_of_it);
    let much = json!(vec!["x".repeat(100); 31]);
    let refused = stage.ask_for_ticket(&much, &mine).await;
    assert_eq!(refused["title"], "Ticket Too Long", "{refused}");
    let url = stage.ticket(&much, &all).await;
    assert_eq!(stage.read(&url, 40).await.0, all_of_it);
    let missing = stage.ask_for_ticket(&json!(null), &mine).await;
    assert_eq!(
        (&missing["status"], &missing["title"]),
        (&json!(403), &json!("Claim Missing"))
    );
}

#[tokio::test]
async fn filters_of_tickets_count_as_filters_of_the_client() {
    let stage = Stage::new();
    let mut open = Vec::new();
    for n in 1..=5 {
        let body = json!({"streams": ["all"], "filter": format!("n = {n}")});
        let url = stage.ticket(&json!([1]), &body).await;
        let (rows, client) = stage.read(&url, 1).await;
        assert_eq!(rows, [n]);
        open.push(client);
    }
    let body = json!({"streams": ["all"], "filter": "n = 6"});
    let url = stage.ticket(&json!([1]), &body).await;
    let answer = get(stage.gateway.gateway.public, &url, "").await;
    assert_eq!(
        (answer.status, answer.json()["title"].as_str()),
        (429, Some("Too Many Different Filters"))
    );
}

on_both_sinks! {
    #[tokio::test]
    a_reader_gets_what_all_conditions_pass_and_nothing_else
}
