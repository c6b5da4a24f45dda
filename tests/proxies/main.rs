//! The client address that riverhead uses behind real proxies, configured as in docs/proxies.md, whatever
//! clients write into their headers. The table in that page is the result of this test.
//!
//! Needs nginx, HAProxy, curl, Node and Java: `./tests/run` installs them. `RIVERHEAD_WRITE_DOCS=1` rewrites
//! the table.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clients;
mod forms;
mod proxy;
#[path = "../support/mod.rs"]
mod support;

use std::{fmt::Write, time::Duration};

use forms::FORMS;
use proxy::{Kind, Proxy};
use riverhead::{client::ForwardedHeaders, limits::settings::LimitSettings};
use support::{
    docs::compare_with_docs,
    gateway::{TestClient, TestGateway, catalog, get, nothing},
};

const STREAM: &str = "/v2/stream/recentchange";
/// The page with the tables.
const PAGE: &str = "docs/proxies.md";
const OPEN: &str = "riverhead_streams_admitted";

/// The address of the client. No proxy has it.
const STRANGER: [u8; 4] = [127, 0, 0, 2];

/// Starts a gateway that trusts 127.0.0.1.
fn gateway(forwarded: ForwardedHeaders) -> TestGateway {
    TestGateway::limited(catalog(), nothing(), LimitSettings::default(), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        settings.forwarded = forwarded;
        // HAProxy notices that its client is gone when it has something to send.
        settings.heartbeat = Duration::from_millis(50);
    })
}

/// Returns the client key that the gateway counts the only open stream for.
async fn counted(gateway: &TestGateway) -> String {
    gateway.until_metric(OPEN, 1.0).await;
    let report = get(gateway.admin, "/admin/clients", "").await.json();
    report["by_streams"][0]["client"].as_str().unwrap().to_owned()
}

/// Returns the client key of a request through `proxy` with these header lines.
async fn taken_for(gateway: &TestGateway, proxy: &Proxy, lines: &str) -> String {
    let mut client = TestClient::from(STRANGER, proxy.address).await;
    let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n{lines}\r\n");
    client.send(&request).await;
    let head = client.head().await;
    let status = &head["HTTP/1.1 ".len()..][..3];
    if status != "200" {
        return format!("{status} of the proxy");
    }
    let counted = counted(gateway).await;
    client.reset();
    gateway.until_metric(OPEN, 0.0).await;
    match counted.as_str() {
        "127.0.0.2" => "the client".into(),
        "somebody behind 127.0.0.1" => "somebody".into(),
        other => other.into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx and HAProxy: ./tests/run"]
async fn a_stranger_behind_a_proxy_is_itself_or_somebody_whatever_it_writes() {
    let mut columns = Vec::new();
    for kind in Kind::ALL {
        let gateway = gateway(kind.believed());
        let proxy = Proxy::start(kind, gateway.public).await;
        let mut column = Vec::new();
        for (_, lines) in FORMS {
            column.push(taken_for(&gateway, &proxy, &forms::wire(lines)).await);
        }
        columns.push(column);
    }
    for (kind, column) in Kind::ALL.iter().zip(&columns) {
        for ((form, _), taken) in FORMS.iter().zip(column) {
            let is_fine = match taken.as_str() {
                "the client" => true,
                "somebody" => !kind.is_documented(),
                other => other.ends_with("of the proxy"),
            };
            assert!(is_fine, "{kind:?}: {form}: {taken}");
        }
    }
    compare_with_docs(PAGE, "forms", &table(&columns));
}

fn table(columns: &[Vec<String>]) -> String {
    let mut table = "| what the stranger sends | nginx, as above | HAProxy, as above | nginx that appends and drops nothing | HAProxy with `option forwardfor` alone |\n|---|---|---|---|---|\n".to_owned();
    for (row, (form, _)) in FORMS.iter().enumerate() {
        write!(table, "| {form} |").unwrap();
        for column in columns {
            write!(table, " {} |", column[row]).unwrap();
        }
        table.push('\n');
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx, curl, Node and Java: ./tests/run"]
async fn real_clients_behind_the_documented_proxy_are_themselves() {
    let gateway = gateway(ForwardedHeaders::XForwardedFor);
    let proxy = Proxy::start(Kind::Nginx, gateway.public).await;
    let mut table =
        "| client | no header | `X-Forwarded-For` | `Forwarded` | both |\n|---|---|---|---|---|\n".to_owned();
    for client in clients::ALL {
        write!(table, "| {} |", client.name()).unwrap();
        for headers in clients::HEADERS {
            let running = client.start(&format!("http://{}{STREAM}", proxy.address), headers);
            let counted = counted(&gateway).await;
            drop(running);
            gateway.until_metric(OPEN, 0.0).await;
            assert_eq!(counted, "127.0.0.1", "{} {headers:?}", client.name());
            table.push_str(" the client |");
        }
        table.push('\n');
    }
    compare_with_docs(PAGE, "clients", &table);
}
