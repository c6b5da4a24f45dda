//! For how long a ticket is good: what it begins and takes up again, and what restarts and reloads mean for it.

use std::{
    fs,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use jsonwebtoken::Algorithm;
use riverhead::{
    auth::{Revocation, settings::AuthSettings},
    limits::settings::PrincipalLimits,
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    auth::{
        AuthGateway,
        issuer::{SigningKey, jwks, now},
        life::until,
        tickets::{ID, Stage, start, ticket_key},
    },
    support::{
        gateway::{DEADLINE, TestClient, get},
        on_both_sinks,
    },
};

/// What a reconnect gets, and a request that begins a stream.
async fn both(gateway: &AuthGateway, url: &str) -> [u16; 2] {
    [
        gateway.ask(url, ID).await.status,
        gateway.ask(url, "").await.status,
    ]
}

/// Waits until a request with these headers is refused.
async fn until_refused(gateway: &AuthGateway, url: &str, headers: &str) {
    let start = Instant::now();
    while gateway.ask(url, headers).await.status == 200 {
        assert!(start.elapsed() < DEADLINE, "it never expires");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_ticket_begins_a_stream_for_its_lifetime_and_takes_one_up_again_for_longer() {
    let stage = Stage::with(|auth| auth.ticket_lifetime = Duration::from_millis(1));
    let url = stage.ticket().await;
    until_refused(&stage.gateway, &url, "").await;
    let begun = stage.gateway.ask(&url, "").await;
    assert_eq!(begun.status, 401, "{begun:?}");
    assert_eq!(begun.json()["detail"], "the credential has expired");
    let id =
        "&lastEventId=%5B%7B%22topic%22%3A%22eqiad.scoped%22%2C%22partition%22%3A0%2C%22offset%22%3A7%7D%5D";
    for (more, headers, status) in [
        ("", ID, 200),
        (id, "", 200),
        (&id.replace("lastEventId", "last%5Fevent_id"), "", 200),
        (&id.replace("lastEventId", "Last-Event-ID"), "", 200),
        // An EventSource that has seen nothing yet has no id.
        ("&lastEventId=", "", 401),
        ("&lastEventId=%20", "last-event-id: \r\n", 401),
        ("&lasteventid=7", "", 401),
        ("", &format!("last-event-id: \r\n{ID}"), 200),
        // Only the id itself is at fault now.
        ("&lastEventId=rubbish", "", 400),
    ] {
        let answer = stage.gateway.ask(&(url.clone() + more), headers).await;
        assert_eq!(answer.status, status, "{more} {headers}: {answer:?}");
    }
}

#[tokio::test]
async fn later_than_that_it_is_good_for_nothing() {
    let stage = Stage::with(|auth| {
        auth.ticket_lifetime = Duration::from_millis(1);
        auth.ticket_resume = Duration::from_millis(1);
    });
    let url = stage.ticket().await;
    until_refused(&stage.gateway, &url, ID).await;
    assert_eq!(both(&stage.gateway, &url).await, [401, 401]);
    // It is for a beginning at least, whatever the other says.
    let stage = Stage::with(|auth| auth.ticket_resume = Duration::ZERO);
    let url = stage.ticket().await;
    assert_eq!(both(&stage.gateway, &url).await, [200, 200]);
}

#[tokio::test]
async fn no_restart_makes_a_ticket_bad() {
    let stage = Stage::new();
    let of_key = stage
        .ticket_of(&stage.api_key, json!({"streams": ["scoped"]}))
        .await;
    let urls = [stage.ticket().await, of_key];
    // A hot one passes on the random key.
    let successor = start(&stage.settings);
    successor
        .authenticator
        .take_ticket_key(b"of a version that is not known");
    for url in &urls {
        let answer = successor.ask(url, ID).await;
        assert_eq!(
            answer.json()["detail"],
            "the ticket is sealed with an unknown key"
        );
    }
    let passed_on = stage.gateway.authenticator.pass_on_ticket_key();
    successor.authenticator.take_ticket_key(&passed_on);
    for url in &urls {
        assert_eq!(both(&successor, url).await, [200, 200]);
    }
    let third = start(&stage.settings);
    third
        .authenticator
        .take_ticket_key(&successor.authenticator.pass_on_ticket_key());
    assert_eq!(both(&third, &urls[0]).await, [200, 200]);

    // With keys of the configuration a cold one is enough, and so is another replica.
    let stage = Stage::with(|auth| auth.ticket_keys = vec![ticket_key(1)]);
    let url = stage.ticket().await;
    assert_eq!(both(&start(&stage.settings), &url).await, [200, 200]);
    let rotated = AuthSettings {
        ticket_keys: vec![ticket_key(2), ticket_key(1)],
        ..stage.settings.clone()
    };
    assert_eq!(both(&start(&rotated), &url).await, [200, 200]);
}

#[tokio::test]
async fn no_reload_makes_a_ticket_bad_unless_access_has_ended() {
    let mut stage = Stage::new();
    let url = stage.ticket().await;
    let with_key = |key| move |auth: &mut AuthSettings| auth.ticket_keys.insert(0, ticket_key(key));
    stage.reload().await;
    assert_eq!(
        both(&stage.gateway, &url).await,
        [200, 200],
        "the random key stays"
    );
    with_key(1)(&mut stage.settings);
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &url).await, [200, 200], "also beside others");
    let of_first = stage.ticket().await;
    with_key(2)(&mut stage.settings);
    stage.settings.ticket_resume = Duration::ZERO;
    stage.settings.issuers[0].name = "renamed".into();
    stage.reload().await;
    for url in [&url, &of_first] {
        assert_eq!(both(&stage.gateway, url).await, [200, 200]);
    }
    // Whoever takes a key away means it.
    stage.settings.ticket_keys.pop();
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &of_first).await, [401, 401]);
    assert_eq!(both(&stage.gateway, &url).await, [200, 200]);
}

#[tokio::test]
async fn a_ticket_is_worth_no_more_than_its_credential_is_now() {
    let mut stage = Stage::new();
    let streams = json!({"streams": ["scoped", "open"]});
    let of_key = stage.ticket_of(&stage.api_key, streams.clone()).await;
    let of_token = stage.ticket_of(&stage.token(json!({})), streams.clone()).await;
    let narrow = stage
        .ticket_of(
            &stage.token(json!({"aud": ["https://stream.example", "b"]})),
            streams,
        )
        .await;
    let open = |url: &str| url.replace("scoped,open", "open");
    let keys = fs::read_to_string(stage.files.path("keys.toml")).unwrap();

    // A scope less: the stream that needs it is refused, and no other.
    stage
        .files
        .write("keys.toml", &keys.replace("\"read\"", "\"other\""));
    stage.settings.issuers[0].scopes = "roles".into();
    stage.reload().await;
    for url in [&of_key, &of_token] {
        assert_eq!(both(&stage.gateway, url).await, [403, 403]);
        assert_eq!(stage.status(&open(url), "").await, 200);
    }
    // One more, which the key did not have when the ticket was made.
    stage
        .files
        .write("keys.toml", &keys.replace("\"read\"", "\"read\", \"other\""));
    stage.settings.issuers[0].scopes = "scope".into();
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &of_key).await, [200, 200]);

    // What the issuer would not get accepted any more.
    stage.settings.issuers[0].audience = vec!["b".into()];
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &of_token).await, [401, 401]);
    assert_eq!(both(&stage.gateway, &narrow).await, [200, 200]);
    let other = SigningKey::new("other", Algorithm::EdDSA);
    let own = fs::read_to_string(stage.files.path("jwks.json")).unwrap();
    stage.files.write("jwks.json", &jwks(&[&other]));
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &narrow).await, [401, 401]);
    stage.files.write("jwks.json", &own);
    stage.settings.issuers[0].issuer = "https://other.example".into();
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &narrow).await, [401, 401]);

    // A key that now expires, one with another secret under the same name, and none.
    stage
        .files
        .write("keys.toml", &format!("{keys}expires = '2020-01-01T00:00:00Z'\n"));
    stage.reload().await;
    assert_eq!(both(&stage.gateway, &of_key).await, [401, 401]);
    let (before, digest) = keys.split_once("sha256 = \"").unwrap();
    let other = format!("{before}sha256 = \"{}{}", "0".repeat(64), &digest[64..]);
    for keys in [&*other, ""] {
        stage.files.write("keys.toml", keys);
        stage.reload().await;
        assert_eq!(both(&stage.gateway, &of_key).await, [401, 401]);
    }
    stage
        .files
        .write("keys.toml", &keys.replace("partner", "renamed"));
    stage.reload().await;
    assert_eq!(
        both(&stage.gateway, &of_key).await,
        [200, 200],
        "it is the same key"
    );
    let revocation = Revocation::Key("renamed".into());
    stage
        .gateway
        .authenticator
        .revoke(revocation, None)
        .await
        .unwrap();
    assert_eq!(both(&stage.gateway, &of_key).await, [401, 401]);
}

async fn a_stream_of_a_ticket_ends_with_its_credential() {
    let stage = Stage::new();
    let open = async |url: &str| {
        let mut client = TestClient::ask(stage.gateway.gateway.public, url, "").await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        client
    };
    // With the leeway it is accepted for six more seconds.
    let exp = now() - 24;
    let streams = json!({"streams": ["scoped"]});
    let url = stage
        .ticket_of(&stage.token(json!({ "exp": exp })), streams)
        .await;
    let mut client = open(&url).await;
    let before = until(&mut client, |chunk| chunk.starts_with("event: expiring\n")).await;
    assert_eq!(before, [":ok\n\n", ":\n"], "behind the first heartbeat");
    until(&mut client, str::is_empty).await;
    assert!(now() <= exp + 30, "after the end");
    // Streams end spread over the last seconds before that.
    until_refused(&stage.gateway, &url, ID).await;
    assert_eq!(both(&stage.gateway, &url).await, [401, 401]);

    let (revoked, other) = (
        stage.ticket().await,
        stage
            .ticket_of(&stage.api_key, json!({"streams": ["scoped"]}))
            .await,
    );
    let (mut client, mut goes_on) = (open(&revoked).await, open(&other).await);
    let ended = stage
        .gateway
        .authenticator
        .revoke(Revocation::TokenId("1".into()), None);
    assert_eq!(ended.await, Ok(1));
    let start = Instant::now();
    until(&mut client, str::is_empty).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(both(&stage.gateway, &revoked).await, [401, 401]);
    until(&mut goes_on, |chunk| chunk == ":\n").await;
}

on_both_sinks! {
    #[tokio::test]
    a_stream_of_a_ticket_ends_with_its_credential
}

#[tokio::test]
async fn the_streams_of_all_tickets_of_a_principal_count_as_its_own() {
    let limits = PrincipalLimits {
        streams: NonZeroU32::new(2),
        requests_per_minute: None,
    };
    let stage = Stage::with(|auth| auth.limits = limits);
    let urls = [stage.ticket().await, stage.ticket().await];
    let streams = [&urls[0], &urls[1]].map(|url| TestClient::ask(stage.gateway.gateway.public, url, ""));
    let mut clients = futures_util::future::join_all(streams).await;
    for client in &mut clients {
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
    let refused = stage.gateway.ask(&urls[0], "").await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.json()["title"], "Too Many Streams Of This Principal");
    let report = get(stage.gateway.gateway.admin, "/admin/clients", "")
        .await
        .json();
    assert_eq!(report["by_streams"][0]["principal"], "token idp: somebody");
    let open = "riverhead_auth_streams_open{kind=\"token\",name=\"idp\"}";
    assert_eq!(stage.gateway.gateway.metric(open).await, 2.0);
    let checked = "riverhead_auth_credentials_total{kind=\"ticket\",name=\"idp\",result=\"ok\"}";
    assert_eq!(stage.gateway.gateway.metric(checked).await, 3.0);
    drop(clients);
    let start = Instant::now();
    while stage.status(&urls[0], "").await != 200 {
        assert!(start.elapsed() < DEADLINE, "the slots are not free");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_requests_with_tickets_count_at_the_rate_of_the_principal() {
    let limits = PrincipalLimits {
        streams: NonZeroU32::new(3),
        requests_per_minute: NonZeroU32::new(30),
    };
    let stage = Stage::with(|auth| auth.limits = limits);
    let url = stage.ticket().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(stage.status(&url, "").await);
    }
    assert_eq!(statuses, [200, 200, 429], "making it was one of three requests");
}
