//! The commands of the admin listener.

use crate::support::gateway::{TOKEN, TestClient, TestGateway};

/// Sends a command with one more header line, which identifies the sender.
async fn command(
    gateway: &TestGateway,
    method: &str,
    stream: &str,
    who: &str,
    body: &str,
) -> crate::support::gateway::TestResponse {
    let mut client = TestClient::connect(gateway.admin).await;
    let length = body.len();
    client
        .send(&format!(
            "{method} /admin/clusters/{stream}/active HTTP/1.1\r\nhost: localhost:8081\r\n{who}content-length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.answer().await
}

#[tokio::test]
async fn a_command_needs_post_a_token_and_sense() {
    let gateway = TestGateway::start(|_| {});
    let who = &format!("authorization: Bearer {TOKEN}\r\n");
    let done = command(
        &gateway,
        "POST",
        "mediawiki.recentchange",
        who,
        r#"{"cluster":"b"}"#,
    )
    .await;
    assert_eq!(done.status, 200);
    let moved = serde_json::json!({"streams": ["recentchange"], "from": "a", "to": "b"});
    assert_eq!(done.json(), moved);

    let get = command(&gateway, "GET", "recentchange", who, "").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let nobody = command(&gateway, "POST", "recentchange", "", r#"{"cluster":"b"}"#).await;
    assert_eq!(
        (nobody.status, nobody.header("www-authenticate")),
        (401, Some("Bearer realm=\"riverhead\""))
    );
    for (stream, body, status) in [
        ("recentchange", r#"{"cluster":"c"}"#, 400),
        ("recentchange", r#"{"cluster":"b","fource":true}"#, 400),
        ("recentchange", "", 400),
        ("recentchange", r#"{"cluster":"down"}"#, 409),
        ("recentchange", r#"{"cluster":"down","force":true}"#, 200),
        ("nope", r#"{"cluster":"b"}"#, 400),
        ("recentchange,revision", r#"{"cluster":"b"}"#, 400),
    ] {
        let answer = command(&gateway, "POST", stream, who, body).await;
        assert_eq!(answer.status, status, "{stream} {body}");
    }
    let large = format!("{{\"cluster\":\"{}\"}}", "b".repeat(5000));
    assert_eq!(
        command(&gateway, "POST", "recentchange", who, &large)
            .await
            .status,
        400
    );
}
