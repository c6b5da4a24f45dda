//! Tickets are shown nowhere: not in errors, not to operators, not in `Debug` output.

use serde_json::{Value, json};

use crate::{
    auth::tickets::{Stage, ticket_in, ticket_key},
    support::gateway::{TestClient, get},
};

/// Asserts that no part of a ticket is in a text.
#[track_caller]
fn hides(ticket: &str, text: &str) {
    // What all of them begin with, and the id of the key, are no secrets.
    let secret = ticket.strip_prefix("rvt_").unwrap_or(ticket);
    for start in (6..secret.len() - 12).step_by(12) {
        assert!(!text.contains(&secret[start..start + 12]), "{text}");
    }
}

#[tokio::test]
async fn no_error_shows_a_ticket_wherever_it_stood() {
    let stage = Stage::new();
    let body = json!({"streams": ["scoped"], "filter": "n = 1"});
    let url = stage.ticket_of(&stage.token(json!({})), body).await;
    let ticket = ticket_in(&url);
    let many = "&x=1".repeat(5_000);
    for target in [
        url.clone() + "&since=yesterday",
        url.clone() + "&filter=a%3D",
        url.clone() + "&ticket=" + ticket,
        url.replace("scoped", "secret"),
        url.replace("scoped", "nowhere"),
        url.replace("/v2/stream/scoped", "/nowhere"),
        url.replace("/v2/stream/scoped", "/v2/tickets"),
        url.replace("/v2/stream/scoped", "http://other.example/nowhere"),
        url.replace("ticket=", "Ticket="),
        url.replace("ticket=", "t%69cket=") + "&since=x",
        url.replace("?ticket=", "&ticket="),
        url.replace("?ticket=", "%3Fticket%3D"),
        url.replace("?ticket=", "?since="),
        url.replace("?ticket=", "?filter="),
        url.replace("?ticket=", "?lastEventId="),
        url.replace("?ticket=", "?on_gap="),
        format!("/v2/stream/{ticket}"),
        format!("/v2/stream/open?Since={ticket}"),
        url.clone() + &many,
    ] {
        let answer = stage.gateway.ask(&target, "").await;
        assert!(answer.status >= 400, "{target}: {answer:?}");
        hides(ticket, &answer.body);
        hides(ticket, &answer.head);
        let uri: Value = answer.json()["uri"].clone();
        assert!(uri.as_str().unwrap().contains("..."), "{uri}");
    }
}

#[tokio::test]
async fn a_refusal_before_the_credential_is_looked_at_hides_it_too() {
    let stage = Stage::new();
    let url = stage.ticket().await;
    for request in [
        // Without a host, and with two.
        format!("GET {url} HTTP/1.1\r\nconnection: close\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n"),
        format!("POST {url} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        // No HTTP.
        format!("GET {url} HTTP/1.1\r\nhost : a\r\nconnection: close\r\n\r\n"),
        format!("GET {url} x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    ] {
        let mut client = TestClient::connect(stage.gateway.gateway.public).await;
        client.send(&request).await;
        let answer = client.answer().await;
        assert!(answer.status >= 400, "{request}: {answer:?}");
        hides(ticket_in(&url), &answer.body);
        let (document, is_http) = (
            answer.json(),
            !request.contains("host : ") && !request.contains(" x "),
        );
        let uri = document["uri"].as_str().unwrap();
        // What could not be read is not told.
        let expected = if is_http {
            "/v2/stream/scoped?ticket=..."
        } else {
            ""
        };
        assert_eq!(uri, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn operators_see_whose_a_ticket_is_and_not_the_ticket() {
    let stage = Stage::with(|auth| auth.ticket_keys = vec![ticket_key(b'k')]);
    let url = stage.ticket().await;
    let gateway = &stage.gateway.gateway;
    let mut client = TestClient::ask(gateway.public, &url, "").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let bad = stage.gateway.ask(&url.replace("rvt_", "rvt_A"), "").await;
    assert_eq!(bad.status, 401);
    let principal = stage
        .gateway
        .authenticator
        .check_ticket(ticket_in(&url), true)
        .unwrap();
    let mut texts = vec![
        format!("{:?}", stage.gateway.authenticator),
        format!("{:?}", stage.settings),
        format!("{principal:?} {principal}"),
    ];
    for path in ["/metrics", "/admin/clients", "/healthz"] {
        texts.push(get(gateway.admin, path, "").await.body);
    }
    assert!(texts.iter().any(|text| text.contains("token idp: somebody")));
    let key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
    assert_eq!(key.parse(), Ok(ticket_key(b'k')));
    for text in &texts {
        hides(ticket_in(&url), text);
        for secret in [key, "kkkkkkkk", "107, 107, 107"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
