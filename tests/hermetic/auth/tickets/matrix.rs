//! Every kind of ticket, on streams with every kind of access.

use std::time::{Duration, Instant};

use riverhead::auth::Revocation;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    auth::{
        bearer,
        issuer::now,
        tickets::{ID, Stage, ticket_in, ticket_key},
    },
    support::gateway::DEADLINE,
};

/// A request with a ticket, and what is expected: the status, the `type` of a refusal, and its detail.
struct Case {
    name: &'static str,
    /// The query, from the `?` on.
    query: String,
    headers: String,
    status: u16,
    refusal: &'static str,
    detail: &'static str,
}

fn case(name: &'static str, query: &str, expected: (u16, &'static str, &'static str)) -> Case {
    let (status, refusal, detail) = expected;
    Case {
        name,
        query: query.to_owned(),
        headers: String::new(),
        status,
        refusal,
        detail,
    }
}

const GOOD: (u16, &str, &str) = (200, "", "");

const fn bad(detail: &'static str) -> (u16, &'static str, &'static str) {
    (401, "invalid_token", detail)
}

const SEVERAL: (u16, &str, &str) = (400, "invalid_request", "the request has more than one credential");

/// Changes one character of a ticket.
fn altered(ticket: &str, at: usize) -> String {
    let other = if ticket.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &ticket[..at], &ticket[at + 1..])
}

impl Stage {
    /// Returns the query of a good ticket for all three streams.
    async fn query(&self, credential: &str) -> String {
        let streams = json!({"streams": ["open", "scoped", "owned"]});
        let url = self.ticket_of(credential, streams).await;
        format!("?ticket={}", ticket_in(&url))
    }

    async fn until_refused(&self, query: &str) {
        let start = Instant::now();
        while self.status(&format!("/_info{query}"), "").await == 200 {
            assert!(start.elapsed() < DEADLINE, "it never expires");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn cases(&self) -> Vec<Case> {
        let good = self.query(&self.token(json!({}))).await;
        // The key names no owner.
        let of_key = self
            .ticket_of(&self.api_key, json!({"streams": ["open", "scoped"]}))
            .await;
        let of_key = format!("?ticket={}", ticket_in(&of_key));
        // With the leeway it is accepted for another second or two.
        let expired = self.query(&self.token(json!({"exp": now() - 28}))).await;
        self.until_refused(&expired).await;
        let revoked = self.query(&self.token(json!({"jti": "revoked"}))).await;
        let revocation = Revocation::TokenId("revoked".into());
        self.gateway.authenticator.revoke(revocation, None).await.unwrap();
        let other = Self::with(|auth| auth.ticket_keys = vec![ticket_key(9)]);
        let other_key = other.query(&other.token(json!({}))).await;
        let ticket = ticket_in(&good);
        let token = bearer(&self.token(json!({})));
        let cookie = "cookie: __Secure-riverhead=rubbish\r\n";
        let with = |case: Case, headers: &str| Case {
            headers: headers.to_owned(),
            ..case
        };
        vec![
            case("good", &good, GOOD),
            case(
                "good, with escapes",
                &good.replace("ticket=rvt_", "t%69cket=%72vt_"),
                GOOD,
            ),
            case("good, of an API key", &of_key, GOOD),
            case("narrowed by a filter", &format!("{good}&filter=n%3D1"), GOOD),
            with(case("beside a cookie", &good, GOOD), cookie),
            case("expired", &expired, bad("the credential has expired")),
            with(
                case("expired, with an id", &expired, bad("the credential has expired")),
                ID,
            ),
            case("revoked", &revoked, bad("the credential was revoked")),
            with(
                case("revoked, with an id", &revoked, bad("the credential was revoked")),
                ID,
            ),
            case(
                "of another key",
                &other_key,
                bad("the ticket is sealed with an unknown key"),
            ),
            case(
                "altered in the id of its key",
                &format!("?ticket={}", altered(ticket, 5)),
                bad("the ticket is sealed with an unknown key"),
            ),
            case(
                "altered in its nonce",
                &format!("?ticket={}", altered(ticket, 15)),
                bad("the ticket was altered"),
            ),
            case(
                "altered in its content",
                &format!("?ticket={}", altered(ticket, 60)),
                bad("the ticket was altered"),
            ),
            case(
                "cut off",
                // At a multiple of four characters it is base64 all the same.
                &format!("?ticket={}", &ticket[..(ticket.len() - 1) / 4 * 4]),
                bad("the ticket was altered"),
            ),
            case("rubbish", "?ticket=rubbish", bad("the credential is malformed")),
            case("no text", "?ticket=%FF%FE%00", bad("the credential is malformed")),
            case(
                "long",
                &format!("?ticket=rvt_{}", "A".repeat(9_000)),
                bad("the credential is malformed"),
            ),
            case(
                "a token in its place",
                &format!("?ticket={}", self.token(json!({}))),
                bad("the credential is malformed"),
            ),
            case("two tickets", &format!("{good}&ticket={ticket}"), SEVERAL),
            with(case("beside a token", &good, SEVERAL), &token),
            with(case("rubbish beside a token", "?ticket=rubbish", SEVERAL), &token),
            with(
                case("in the header", "", bad("the credential is malformed")),
                &bearer(ticket),
            ),
        ]
    }
}

#[tokio::test]
async fn every_ticket_gets_what_it_is_worth_and_nothing_more() {
    let stage = Stage::new();
    for case in stage.cases().await {
        let Case {
            name, query, headers, ..
        } = &case;
        for stream in ["open", "scoped", "open,scoped", "owned", "open,scoped,owned"] {
            if *name == "good, of an API key" && stream.contains("owned") {
                continue;
            }
            let target = format!("/v2/stream/{stream}{query}");
            let topic = if stream.contains("scoped") {
                "scoped"
            } else {
                stream
            };
            let headers = headers.replace("eqiad.scoped", &format!("eqiad.{topic}"));
            let answer = stage.gateway.ask(&target, &headers).await;
            assert_eq!(answer.status, case.status, "{name} on {stream}: {answer:?}");
            if case.status != 200 {
                let document = answer.json();
                assert_eq!(document["type"], case.refusal, "{name}: {answer:?}");
                assert_eq!(document["detail"], case.detail, "{name}: {answer:?}");
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                assert!(challenge.starts_with("Bearer"), "{name}: {answer:?}");
            }
            let control = answer.header("cache-control");
            assert_eq!(
                control,
                Some("private, no-store, no-transform"),
                "{name}: {answer:?}"
            );
            let policy = answer.header("referrer-policy");
            let expected = query.contains("cket=").then_some("no-referrer");
            assert_eq!(policy, expected, "{name}: {answer:?}");
        }
        // It is worth as much on every path.
        let status = stage.status(&format!("/_info{query}"), headers).await;
        assert_eq!(status, case.status, "{name}");
    }
}

#[tokio::test]
async fn an_empty_or_misspelt_ticket_is_none() {
    let stage = Stage::new();
    let url = stage.ticket().await;
    for (query, open, scoped) in [
        ("?ticket=", 200, 401),
        ("?ticket", 200, 401),
        ("?tickets=x", 200, 401),
        ("?Ticket=x", 400, 401),
    ] {
        let status = async |stream| stage.status(&format!("/v2/stream/{stream}{query}"), "").await;
        assert_eq!(
            [status("open").await, status("scoped").await],
            [open, scoped],
            "{query}"
        );
    }
    let misspelt = stage.gateway.ask(&url.replace("scoped?t", "open?T"), "").await;
    let detail = misspelt.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.ends_with("did you mean 'ticket'?"), "{detail}");
}

#[tokio::test]
async fn a_request_may_narrow_a_ticket_and_never_widens_it() {
    let stage = Stage::new();
    let admin = stage.token(json!({"scope": "read admin"}));
    let both = stage
        .ticket_of(&admin, json!({"streams": ["scoped", "open"], "filter": "n > 1"}))
        .await;
    assert!(both.starts_with("/v2/stream/scoped,open?ticket=rvt_"), "{both}");
    let on = |streams: &str| both.replace("scoped,open", streams);
    for narrowed in ["scoped,open", "open,scoped", "scoped", "open"] {
        assert_eq!(stage.status(&on(narrowed), "").await, 200, "{narrowed}");
        assert_eq!(stage.status(&(on(narrowed) + "&filter=n%3D1"), "").await, 200);
    }
    // The token itself may read it.
    assert_eq!(stage.status("/v2/stream/secret", &bearer(&admin)).await, 200);
    for widened in ["secret", "scoped,secret", "scoped,open,secret"] {
        let answer = stage.gateway.ask(&on(widened), "").await;
        assert_eq!(answer.status, 403, "{widened}: {answer:?}");
        assert_eq!(answer.json()["detail"], "the ticket is not for stream 'secret'");
    }
    // Neither is a public stream part of a ticket that does not name it.
    let scoped = stage.ticket().await;
    assert_eq!(stage.status(&scoped.replace("scoped", "open"), "").await, 403);
    let bad_filter = stage.gateway.ask(&(both.clone() + "&filter=a%3D"), "").await;
    assert_eq!(bad_filter.json()["type"], "invalid_filter");
    // Together they are no more than one filter may be.
    let many: Vec<_> = (0..512).map(|n| n.to_string()).collect();
    let many = format!("&filter=n%20in%20({})", many.join(","));
    assert_eq!(stage.status(&(scoped + &many), "").await, 200);
    assert_eq!(stage.status(&(both + &many), "").await, 400);
}

#[tokio::test]
async fn pages_show_the_streams_of_the_ticket() {
    let stage = Stage::new();
    let token = stage.token(json!({"scope": "read admin"}));
    for streams in [json!(["scoped"]), json!(["open", "secret"])] {
        let url = stage.ticket_of(&token, json!({"streams": streams})).await;
        let ticket = ticket_in(&url);
        for page in ["/", "/v2/streams"] {
            let listing = stage
                .gateway
                .ask_http_1_0(&format!("{page}?ticket={ticket}"), "")
                .await;
            let document = listing.json();
            let shown = document["streams"].as_array().unwrap().iter();
            let names: Vec<_> = shown.map(|stream| stream["name"].clone()).collect();
            assert_eq!(json!(names), streams, "{listing:?}");
        }
        for stream in ["scoped", "open"] {
            let target = format!("/v2/streams/{stream}?ticket={ticket}");
            let status = stage.gateway.ask_http_1_0(&target, "").await.status;
            let expected = if streams[0] == stream { 200 } else { 403 };
            assert_eq!(status, expected, "{stream} with a ticket for {streams}");
        }
    }
}
