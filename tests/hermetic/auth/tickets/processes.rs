//! Tickets over restarts of the process, and what its log says of them.

use std::time::Duration;

use riverhead_brokers::eventually;
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::{
    auth::{api_keys, bearer, tickets::ticket_in},
    support::{
        brokers::Brokers,
        gateway::{TestClient, get},
    },
    tls::authority::Files,
};

/// The longest wait for a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// An id of the stream.
const ID: &str = "last-event-id: [{\"topic\":\"topic\",\"partition\":0,\"offset\":0}]\r\n";

/// Returns the plan of a gateway with an API key, and the key.
fn plan(brokers: &Brokers, files: &Files) -> (GatewayPlan, String) {
    let [key] = api_keys(files, [("partner", "read")]);
    let binary = env!("CARGO_BIN_EXE_riverhead");
    let plan = GatewayPlan::new(binary, brokers.addresses().to_vec(), "edits", &["topic"])
        .set(
            "RIVERHEAD_AUTH__KEYS_FILE",
            files.path("keys.toml").to_str().unwrap(),
        )
        .set("RIVERHEAD_HTTP__DRAIN", "0s")
        .set("RIVERHEAD_LOG__LEVEL", "trace");
    (plan, key)
}

/// Returns the URL of a ticket.
async fn ticket(gateway: &Gateway, key: &str) -> String {
    let body = json!({"streams": ["edits"]}).to_string();
    let mut client = TestClient::connect(gateway.http).await;
    let head = format!(
        "POST /v2/tickets HTTP/1.1\r\nhost: test\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        bearer(key),
        body.len()
    );
    client.send(&(head + &body)).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["url"].as_str().unwrap().to_owned()
}

/// Asserts that a ticket takes up a stream, and begins one.
async fn opens(gateway: &Gateway, url: &str) {
    for headers in [ID, ""] {
        let mut client = TestClient::ask(gateway.http, url, headers).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{}", gateway.log());
        assert_eq!(client.chunk().await, ":ok\n\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_works_over_hot_restarts_also_without_keys_in_the_configuration() {
    let (brokers, files) = (Brokers::start(&[("topic", 1)]), Files::new());
    let (plan, key) = plan(&brokers, &files);
    let mut first = block_in_place(|| plan.start()).unwrap();
    let of_first = ticket(&first, &key).await;
    opens(&first, &of_first).await;
    let second = block_in_place(|| first.hand_over(PATIENCE)).unwrap();
    block_in_place(|| assert_eq!(first.wait(PATIENCE).unwrap(), Some(0), "{}", first.log()));
    opens(&first, &of_first).await;
    let of_second = ticket(&first, &key).await;
    let _third = block_in_place(|| first.hand_over_by(second.pid, PATIENCE)).unwrap();
    block_in_place(|| first.wait_drained(2, PATIENCE)).unwrap();
    for url in [&of_first, &of_second] {
        opens(&first, url).await;
    }
    // A process that nobody has passed its key to makes others, and opens none of these.
    let other_files = Files::new();
    let (other, _) = self::plan(&brokers, &other_files);
    let stranger = block_in_place(|| other.start()).unwrap();
    let answer = get(stranger.http, &of_first, ID).await;
    assert_eq!(
        answer.json()["detail"],
        "the ticket is sealed with an unknown key"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_works_over_a_cold_restart_with_keys_in_the_configuration_and_no_log_shows_it() {
    let (brokers, files) = (Brokers::start(&[("topic", 1)]), Files::new());
    let (plan, api_key) = plan(&brokers, &files);
    let ticket_key = "c2VjcmV0IG9mIHRoZSB0aWNrZXRzIG9mIGEgdGVzdCE=";
    let with_key = |keys: &Value| plan.clone().set("RIVERHEAD_AUTH__TICKET_KEYS", &keys.to_string());
    let first = block_in_place(|| with_key(&json!([ticket_key])).start()).unwrap();
    let url = ticket(&first, &api_key).await;
    opens(&first, &url).await;
    let bad = get(first.http, &(url.clone() + "&since=x"), "").await;
    assert_eq!(bad.status, 400, "{bad:?}");
    // Lines are written behind the answer.
    block_in_place(|| {
        eventually(PATIENCE, "the stream and its principal in the log", || {
            let log = first.log();
            log.contains("stream started") && log.contains("key partner")
        });
    });
    let log = first.log();
    drop(first);
    let newer = "b3RoZXIgc2VjcmV0IG9mIHRpY2tldHMgb2YgYSB0ZXM=";
    let second = block_in_place(|| with_key(&json!([newer, ticket_key])).start()).unwrap();
    opens(&second, &url).await;
    let altered = get(second.http, &url.replace("rvt_", "rvt_A"), "").await;
    assert_eq!(altered.status, 401, "{altered:?}");
    let ticket = &ticket_in(&url)[10..];
    for log in [log, second.log()] {
        for secret in [
            ticket_key,
            newer,
            &api_key[..],
            &ticket[..20],
            &ticket[ticket.len() - 20..],
        ] {
            assert!(!log.contains(secret), "{secret} is in\n{log}");
        }
    }
}
