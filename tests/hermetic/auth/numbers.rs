//! A topic of numbers, of which a reader gets those that its claims name.

use riverhead::{
    auth::{Authenticator, settings::AuthSettings},
    catalog::{Catalog, Stream},
    metrics::AuthMetrics,
    sse::{SseMessage, SseReader},
};
use serde_json::Value;

use super::AuthGateway;
use crate::support::{
    gateway::{TestCertificates, TestClient, TestGateway, plenty},
    model::{ModelFixture, TOPIC},
};

/// Starts a gateway over 40 numbers. The stream `mine` has those in the reader's claim `numbers`, and `all` has all of them.
pub(super) fn start(settings: &AuthSettings) -> (AuthGateway, ModelFixture) {
    let auth_metrics = AuthMetrics::default();
    let authenticator = Authenticator::load(settings, &auth_metrics).unwrap();
    let fixture = ModelFixture::new(1);
    fixture.write(0, 40);
    let mut mine = Stream::new("mine", [TOPIC]);
    mine.only = Some("n in $numbers".into());
    let catalog = Catalog::new(vec![mine, Stream::new("all", [TOPIC])]).unwrap();
    let certificates = TestCertificates {
        auth: Some(authenticator.clone()),
        auth_metrics,
        ..TestCertificates::default()
    };
    let source = fixture.source.clone();
    let gateway = TestGateway::with_tls(catalog, source, plenty(), |_| {}, certificates);
    let gateway = AuthGateway {
        gateway,
        authenticator,
    };
    (gateway, fixture)
}

/// Reads until so many events have a number.
pub(super) async fn read(client: &mut TestClient, count: usize) -> Vec<SseMessage> {
    let (mut reader, mut messages) = (SseReader::new(1024 * 1024), Vec::new());
    while numbers(&messages).len() < count {
        let chunk = client.chunk().await;
        assert_ne!(chunk, "", "the stream ended");
        reader.push(chunk.as_bytes()).unwrap();
        messages.extend(std::iter::from_fn(|| reader.next_message()));
    }
    messages
}

/// Returns the numbers of events. Others, such as checkpoints, have none.
pub(super) fn numbers(messages: &[SseMessage]) -> Vec<u64> {
    let documents = messages
        .iter()
        .map(|message| serde_json::from_str(&message.data).unwrap());
    documents
        .filter_map(|document: Value| document["n"].as_u64())
        .collect()
}
