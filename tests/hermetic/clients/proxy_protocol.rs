//! PROXY headers of a load balancer.

use riverhead::limits::settings::LimitSettings;

use super::{ADMITTED, REQUEST, STREAM, first_line, gateway, number};
use crate::support::{
    gateway::{TestClient, TestGateway, get},
    on_both_sinks,
};

/// Starts a gateway with one stream per client, and PROXY headers from 127.0.0.1 and 10/8.
fn behind_a_balancer() -> TestGateway {
    let limits = LimitSettings {
        streams_per_client: number(1),
        ..LimitSettings::default()
    };
    gateway(limits, |settings| {
        settings.proxy_protocol = true;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
}

fn turned_away(reason: &str) -> String {
    format!("riverhead_http_connections_turned_away_total{{reason=\"{reason}\"}}")
}

/// Returns a PROXY header of version 2: command, family, and the rest.
fn proxy_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// Returns a PROXY header for an IPv4 client.
fn speaks_for(client: [u8; 4]) -> Vec<u8> {
    proxy_header(
        0x21,
        0x11,
        &[&client[..], &[10, 0, 0, 1, 0x12, 0x67, 0, 80]].concat(),
    )
}

async fn a_balancer_says_for_whom_it_speaks() {
    let gateway = behind_a_balancer();
    let mut held = Vec::new();
    for (client, status) in [(1, "200"), (2, "200"), (1, "429")] {
        let bytes = [speaks_for([198, 51, 100, client]), REQUEST.into()].concat();
        let (socket, said) = first_line(&gateway, &bytes).await;
        assert_eq!(said, format!("HTTP/1.1 {status}"), "{client}");
        held.push(socket);
    }
    // Behind the balancer is a trusted proxy, which names its client. The same header of any other client is
    // ignored.
    for (source, client, status) in [
        ([10, 0, 0, 9], "198.51.100.3", "200"),
        ([10, 0, 0, 9], "198.51.100.3", "429"),
        ([198, 51, 100, 2], "198.51.100.4", "429"),
    ] {
        let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\nx-forwarded-for: {client}\r\n\r\n");
        let bytes = [speaks_for(source), request.into()].concat();
        let (socket, said) = first_line(&gateway, &bytes).await;
        assert_eq!(said, format!("HTTP/1.1 {status}"), "{source:?} for {client}");
        held.push(socket);
    }
}

async fn a_balancer_that_speaks_for_itself_is_its_own_client() {
    let gateway = behind_a_balancer();
    let bytes = [proxy_header(0x20, 0, &[]), REQUEST.into()].concat();
    let (_held, said) = first_line(&gateway, &bytes).await;
    assert_eq!(said, "HTTP/1.1 200");
    assert_eq!(first_line(&gateway, &bytes).await.1, "HTTP/1.1 429");
}

async fn a_proxy_header_comes_before_http_2_as_well() {
    let gateway = behind_a_balancer();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let bytes = [speaks_for([198, 51, 100, 1]), preface.to_vec()].concat();
    let (_, said) = first_line(&gateway, &bytes).await;
    assert_eq!(said.as_bytes()[3..5], [4, 0], "a SETTINGS frame");
}

async fn without_a_proxy_header_nothing_is_answered() {
    let gateway = behind_a_balancer();
    for rubbish in [
        REQUEST.as_bytes(),
        b"PROXY TCP4 198.51.100.1 10.0.0.1 4711 80\r\n",
        &proxy_header(0x21, 0x11, &[1, 2, 3]),
        &proxy_header(0x21, 0x11, &[0; 4000]),
    ] {
        assert_eq!(first_line(&gateway, rubbish).await.1, "");
    }
    assert_eq!(gateway.metric(&turned_away("bad_proxy_header")).await, 4.0);
    assert_eq!(gateway.metric(ADMITTED).await, 0.0);
    assert_eq!(get(gateway.admin, "/livez", "").await.status, 200);
}

async fn a_stranger_may_not_send_a_proxy_header() {
    let gateway = behind_a_balancer();
    let mut stranger = TestClient::from([127, 0, 0, 2], gateway.public).await;
    stranger.send("\r\n\r\n\0\r\nQUIT\n").await;
    gateway.until_metric(&turned_away("untrusted"), 1.0).await;
}

async fn where_no_proxy_header_is_due_one_is_rubbish() {
    let gateway = TestGateway::start(|_| {});
    let bytes = [speaks_for([198, 51, 100, 1]), REQUEST.into()].concat();
    assert_eq!(first_line(&gateway, &bytes).await.1, "HTTP/1.1 400");
}

on_both_sinks! {
    #[tokio::test]
    a_balancer_says_for_whom_it_speaks
    a_balancer_that_speaks_for_itself_is_its_own_client
    a_proxy_header_comes_before_http_2_as_well
    without_a_proxy_header_nothing_is_answered
    a_stranger_may_not_send_a_proxy_header
    where_no_proxy_header_is_due_one_is_rubbish
}
