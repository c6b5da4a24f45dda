//! Tickets that programs get with their certificates.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use riverhead::limits::settings::PrincipalLimits;
use tokio_rustls::rustls::ClientConfig;

use super::{Stage, auditor, until};
use crate::{
    support::gateway::get,
    tls::client::{TLS13, connect},
};

/// Asks for a ticket for the stream `scoped`, with this header too.
async fn ticket(
    stage: &Stage,
    config: &Arc<ClientConfig>,
    (name, value): (&str, &str),
) -> Response<Incoming> {
    let connection = connect(config, stage.gateway.https.unwrap(), "localhost").await;
    let io = TokioIo::new(connection.unwrap());
    let (mut requests, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/v2/tickets")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header(name, value);
    let request = request
        .body(Full::<Bytes>::from(r#"{"streams":["scoped"]}"#))
        .unwrap();
    requests.send_request(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_a_ticket_with_its_certificate_until_the_entry_is_gone() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let auditor = auditor(&stage.clients);
    let [partner, auditor, nobody] =
        [Some(&partner), Some(&auditor), None].map(|own| stage.config(own, TLS13, &["http/1.1"]));
    for (config, header, status) in [
        (&partner, ("origin", "https://evil.example"), 401),
        (&partner, ("sec-fetch-site", "cross-site"), 401),
        (&auditor, ("accept", "*/*"), 403),
        (&nobody, ("accept", "*/*"), 401),
    ] {
        assert_eq!(
            ticket(&stage, config, header).await.status(),
            status,
            "{header:?}"
        );
    }
    let answer = ticket(&stage, &partner, ("accept", "*/*")).await;
    assert_eq!(answer.status(), 201);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let ticket: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let target = ticket["url"]
        .as_str()
        .unwrap()
        .strip_prefix("/v2/stream/")
        .unwrap();

    let mut open = stage.stream(&nobody, target, &[]).await;
    assert_eq!(open.status(), 200);
    until(&mut open, ":ok").await;
    let clients = get(stage.gateway.admin, "/admin/clients", "").await.body;
    assert!(clients.contains("certificate partner"), "{clients}");
    let mut changed = stage.settings.clone();
    changed.certificates.remove(0);
    stage.authenticator.reload(&changed).await.unwrap();
    until(&mut open, "").await;
    assert_eq!(stage.stream(&nobody, target, &[]).await.status(), 401);
    stage.authenticator.reload(&stage.settings).await.unwrap();
    assert_eq!(stage.stream(&nobody, target, &[]).await.status(), 200);
}
