//! Any request to either listener, beyond the bytes of HTTP: it is answered without a panic and without an
//! internal error, a refusal is explained to a page of any origin, and the ids of a stream mean its position.
//!
//! The first byte of the input chooses the listener, the version and the peer, and the second one the id that
//! is tried. Then the request follows in the form of HTTP/1.1, with LF between its lines.
#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../support/model/mod.rs"]
mod model;
mod request_kit;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use libfuzzer_sys::{Corpus, fuzz_target};
use riverhead::sse::SseMessage;

use request_kit::{Answer, Case, Gateway, Listener};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(case) = Case::read(input) else {
        return Corpus::Reject;
    };
    // Its clock moves only when all tasks wait, so a heartbeat comes at once.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(holds(&case));
    Corpus::Keep
});

async fn holds(case: &Case) {
    let gateway = Gateway::new();
    let answer = gateway.answer(case, case.headers.clone()).await;
    match case.listener {
        Listener::Admin => is_for_operators(case, &answer),
        Listener::Public => is_for_strangers(case, &answer),
    }
    if answer.status.is_client_error() {
        is_explained(case, answer).await;
    } else if case.listener == Listener::Public && answer.is_stream() && case.method == Method::GET {
        is_resumable(case, &gateway, answer).await;
    }
}

fn is_for_strangers(case: &Case, answer: &Answer) {
    assert!(!answer.status.is_server_error(), "{case:?}: {}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    if case.is_from_denied() {
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}

fn is_for_operators(case: &Case, answer: &Answer) {
    let is_health = ["/healthz", "/readyz", "/livez"].iter().any(|path| {
        let own = case.uri.path();
        own.strip_suffix('/').unwrap_or(own).eq_ignore_ascii_case(path)
    });
    assert!(
        !answer.status.is_server_error() || is_health,
        "{case:?}: {}",
        answer.status
    );
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let sites = case.headers.get_all("sec-fetch-site").iter();
    let is_foreign = sites
        .into_iter()
        .any(|site| site == "cross-site" || site == "same-site");
    let hosts: Vec<_> = case.headers.get_all(header::HOST).iter().collect();
    let is_unknown = hosts
        .iter()
        .any(|host| host.as_bytes().ends_with(b"evil.example"));
    if is_foreign || is_unknown || hosts.len() > 1 {
        assert!(answer.status.is_client_error(), "{case:?}: {}", answer.status);
    }
    if case.method == Method::POST && answer.status.is_success() {
        let token = case.headers.get(header::AUTHORIZATION);
        assert!(token.is_some_and(|token| token.as_bytes().ends_with(request_kit::TOKEN.as_bytes())));
    }
}

/// Asserts that a refusal has its document, which a browser shows to any page.
async fn is_explained(case: &Case, answer: Answer) {
    let status = answer.status.as_u16();
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let bytes = answer.all().await;
    let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(document["status"], status, "{case:?}");
    for field in ["type", "title", "detail", "method", "uri"] {
        assert!(document[field].is_string(), "{case:?}: {document}");
    }
}

async fn is_resumable(case: &Case, gateway: &Gateway, answer: Answer) {
    let is_sse = answer.header("content-type") == Some("text/event-stream; charset=utf-8");
    let mut stream = answer.stream();
    stream.read().await;
    if !is_sse {
        return are_documents(&stream.bytes());
    }
    assert!(stream.bytes().starts_with(b":ok\n\n"), "{case:?}");
    let events = stream.messages();
    let ids: Vec<_> = events.iter().filter_map(|event| event.id.clone()).collect();
    // A client that wants no gap is refused where another one receives a gap.
    if stream.has_ended() || ids.is_empty() || case.mentions("on_gap") {
        return;
    }
    let tried = usize::from(case.tried) % ids.len();
    let seen = events
        .iter()
        .position(|event| event.id.as_ref() == Some(&ids[tried]));
    let resumed = gateway.answer(case, with_id(&case.headers, &ids[tried])).await;
    assert_eq!(resumed.status, StatusCode::OK, "{case:?}: {}", ids[tried]);
    gateway.fixture.write(0, 2);
    gateway.fixture.write(1, 2);
    stream.read().await;
    let mut resumed = resumed.stream();
    resumed.read().await;
    let rest = data(stream.messages().split_off(seen.expect("the event") + 1));
    let resumed = resumed.messages();
    let is_told = resumed.iter().any(|message| message.event == "gap");
    let resumed = data(resumed);
    // A position ahead of the log, which the case invented, is replaced by the log's end when it is checked:
    // each client receives a gap, with the end at that time.
    if is_told {
        let is_of_rest = |one| rest.contains(one);
        assert!(
            resumed.iter().all(is_of_rest),
            "{case:?}: {}: {rest:?} {resumed:?}",
            ids[tried]
        );
        return;
    }
    assert_eq!(rest, resumed, "{case:?}: {}", ids[tried]);
}

/// Returns the headers with this id in place of any other.
fn with_id(headers: &HeaderMap, id: &str) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert("last-event-id", HeaderValue::from_str(id).expect("a value"));
    headers
}

/// Returns the data of records, sorted. Those of different partitions may arrive in any order.
fn data(messages: Vec<SseMessage>) -> Vec<String> {
    let events = messages.into_iter().filter(|message| message.event == "message");
    let mut data: Vec<_> = events.map(|message| message.data).collect();
    let count = data.len();
    data.sort();
    data.dedup();
    assert_eq!(data.len(), count, "a record arrived twice");
    data
}

fn are_documents(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        serde_json::from_slice::<serde_json::Value>(line).expect("a document");
    }
}
