use http_body_util::BodyExt;

use serde_json::Value;

use super::{problem::RequestEcho, *};
use crate::{partition::TopicPartition, subscription::GapReason};

async fn explained(error: Error) -> (Response<()>, Value) {
    let request = http::Request::get("/v2/stream/nope?x=1").body(()).unwrap();
    let (head, body) = RequestEcho::of(&request)
        .add_body(error.into_response())
        .into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        Response::from_parts(head, ()),
        serde_json::from_slice(&body).unwrap(),
    )
}

#[tokio::test]
async fn an_unknown_stream_is_told_as_eventstreams_does() {
    let (head, body) = explained(SelectError::Unknown(vec!["nope".into(), "zip".into()]).into()).await;
    assert_eq!(head.status(), 400);
    let known = r#"{"status":400,"type":"not_found","title":"Stream Not Found",
        "detail":"Invalid streams: nope,zip","method":"GET","uri":"/v2/stream/nope?x=1"}"#;
    assert_eq!(body, serde_json::from_str::<Value>(known).unwrap());
}

#[tokio::test]
async fn a_fault_of_ours_keeps_its_cause_to_itself() {
    let (head, body) = explained(Error::panicked(&"index 7 of secret.rs")).await;
    assert_eq!(head.status(), 500);
    assert!(!body.to_string().contains("secret"), "{body}");
}

#[tokio::test]
async fn a_gap_is_told_with_its_data() {
    let gap = Gap {
        partition: TopicPartition {
            topic: "t".into(),
            partition: 0,
        },
        requested: Some(1),
        resumed: Some(9),
        reason: GapReason::Expired,
    };
    let (head, body) = explained(Error::Gap(gap)).await;
    assert_eq!(head.status(), 410);
    assert_eq!(body["gap"]["reason"], "expired");
}

#[tokio::test]
async fn who_cannot_be_answered_yet_is_told_when_to_come_back() {
    let retry_after = Duration::from_secs(5);
    let (head, _) = explained(Error::Undetermined { retry_after }).await;
    assert_eq!(head.headers()[header::RETRY_AFTER], "5");
}

#[tokio::test]
async fn who_has_too_many_is_told_as_eventstreams_does_and_when_to_come_back() {
    let (head, body) = explained(Refusal::Client.into()).await;
    assert_eq!(head.status(), 429);
    let known = r#"{"status":429,"type":"too_many_requests",
        "title":"Too Many Concurrent Connections From Your Client IP",
        "detail":"Your HTTP client is likely opening too many concurrent connections.",
        "method":"GET","uri":"/v2/stream/nope?x=1"}"#;
    assert_eq!(body, serde_json::from_str::<Value>(known).unwrap());
    let seconds: u64 = head.headers()[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((5..=15).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_full_host_is_no_fault_of_the_client() {
    let (head, _) = explained(Refusal::Host.into()).await;
    assert_eq!(head.status(), 503);
    assert!(head.headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn who_is_denied_is_not_asked_back() {
    let (head, body) = explained(Refusal::Denied.into()).await;
    assert_eq!(
        (head.status().as_u16(), body["type"].as_str()),
        (403, Some("forbidden"))
    );
    assert!(!head.headers().contains_key(header::RETRY_AFTER));
}

#[test]
fn a_challenge_has_parameters_and_none_that_is_empty() {
    let challenge = |scopes: &[&str]| {
        let error = Error::InsufficientScope {
            stream: "edits".into(),
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        };
        let value = error.problem_details().header.unwrap().1;
        value.to_str().unwrap().to_owned()
    };
    let refused = "Bearer realm=\"riverhead\", error=\"insufficient_scope\"";
    assert_eq!(
        challenge(&["a", "b c", "", "d\"e", "f"]),
        format!("{refused}, scope=\"a f\"")
    );
    assert_eq!(challenge(&["b c", "\u{e4}"]), refused);
}
