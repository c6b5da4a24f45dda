//! Connections without a request, and clients that a proxy does not name, over real sockets.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use riverhead::{
    client::ForwardedHeaders,
    http::settings::HttpSettings,
    limits::settings::{LimitSettings, NetworkLimits},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, catalog, get, nothing},
    on_both_sinks,
};

const STREAM: &str = "/v2/stream/recentchange";
const ADMITTED: &str = "riverhead_streams_admitted";
const WAITING: &str = "riverhead_http_connections_without_stream";
const REQUEST: &str = "GET /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\n\r\n";

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn gateway(limits: LimitSettings, change: impl FnOnce(&mut HttpSettings)) -> TestGateway {
    TestGateway::limited(catalog(), nothing(), limits, change)
}

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

/// Returns the first line of the response to these bytes, or nothing if the connection is closed.
async fn first_line(gateway: &TestGateway, bytes: &[u8]) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(gateway.public).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut line = vec![0; "HTTP/1.1 200".len()];
    let said = match timeout(DEADLINE, socket.read_exact(&mut line)).await.unwrap() {
        Ok(_) => String::from_utf8(line).unwrap(),
        Err(_) => String::new(),
    };
    (socket, said)
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

async fn the_header_that_was_agreed_on_makes_the_client() {
    let limits = LimitSettings {
        streams_per_client: number(1),
        ..LimitSettings::default()
    };
    let gateway = gateway(limits, |settings| {
        settings.client_header = Some("x-client-ip".parse().unwrap());
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let mut held = Vec::new();
    for (line, status) in [
        ("x-client-ip: 198.51.100.1", "200"),
        ("x-client-ip: 198.51.100.1", "429"),
        (
            "x-client-ip: 198.51.100.1\r\nx-forwarded-for: 198.51.100.2",
            "429",
        ),
        ("x-client-ip: 198.51.100.2", "200"),
        ("x-forwarded-for: 198.51.100.3", "200"),
        ("x-forwarded-for: 198.51.100.4", "429"),
    ] {
        let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n{line}\r\n\r\n");
        let (socket, said) = first_line(&gateway, request.as_bytes()).await;
        assert_eq!(said, format!("HTTP/1.1 {status}"), "{line}");
        held.push(socket);
    }
    assert_eq!(gateway.metric("riverhead_http_unforwarded_total").await, 2.0);
}

/// Starts a gateway with 127/8 as a trusted proxy with high limits of its own. 198.51.100/24 is denied except
/// for .7. Any other client has one stream.
fn with_standing(change: impl FnOnce(&mut LimitSettings, &mut HttpSettings)) -> TestGateway {
    let mut own = NetworkLimits::new("127.0.0.0/8".parse().unwrap());
    own.streams_per_client = NonZeroU32::new(100);
    let mut limits = LimitSettings {
        streams_per_client: number(1),
        networks: vec![own],
        deny: vec!["198.51.100.0/24".parse().unwrap()],
        allow: vec!["198.51.100.7/32".parse().unwrap(), "127.0.0.0/8".parse().unwrap()],
        probes: vec!["127.0.0.0/8".parse().unwrap()],
        ..LimitSettings::default()
    };
    let mut settings = HttpSettings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..HttpSettings::default()
    };
    change(&mut limits, &mut settings);
    gateway(limits, |rigs| {
        rigs.trusted_proxies = settings.trusted_proxies;
        rigs.forwarded = settings.forwarded;
        rigs.client_header = settings.client_header;
    })
}

/// Returns the status of a stream whose head has these lines, and its connection.
async fn asked(gateway: &TestGateway, lines: &[&str]) -> (TcpStream, String) {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n{lines}\r\n");
    let (socket, said) = first_line(gateway, request.as_bytes()).await;
    (socket, said["HTTP/1.1 ".len()..].to_owned())
}

const HOSTILE: [&str; 7] = [
    "forwarded: for=203.0.113.9",
    "forwarded: for=unknown",
    "forwarded: for=\"",
    "forwarded: rubbish",
    "forwarded: for=127.0.0.1, proto=https",
    "forwarded: for=203.0.113.9;for=203.0.113.9",
    "forwarded: \u{e9}",
];

async fn a_header_that_the_proxy_does_not_set_takes_nobody_past_a_denial() {
    let gateway = with_standing(|_, _| {});
    for hostile in HOSTILE {
        let (_, said) = asked(&gateway, &["x-forwarded-for: 198.51.100.1", hostile]).await;
        assert_eq!(said, "403", "{hostile}");
        // Not even an allowed address, since it may be any client.
        let (_, said) = asked(&gateway, &["x-forwarded-for: 198.51.100.7", hostile]).await;
        assert_eq!(said, "403", "{hostile}");
    }
    let (_, said) = asked(
        &gateway,
        &["x-forwarded-for: 203.0.113.9", "forwarded: for=198.51.100.1"],
    )
    .await;
    assert_eq!(said, "403", "any address that is named counts");
    let (_held, said) = asked(&gateway, &["x-forwarded-for: 198.51.100.7"]).await;
    assert_eq!(said, "200");
}

async fn who_is_not_understood_has_the_limits_of_one_client_and_not_of_the_proxy() {
    let gateway = with_standing(|_, _| {});
    let mut held = Vec::new();
    for (number, hostile) in HOSTILE.iter().enumerate() {
        let client = format!("x-forwarded-for: 203.0.113.{number}");
        let (socket, said) = asked(&gateway, &[&client, hostile]).await;
        // Never a 400, which ends an EventSource.
        assert_eq!(said, if number == 0 { "200" } else { "429" }, "{hostile}");
        held.push(socket);
    }
    let (socket, said) = asked(&gateway, &[]).await;
    assert_eq!(said, "429", "a header that is missing is as bad");
    held.push(socket);
    assert_eq!(gateway.metric("riverhead_http_unforwarded_total").await, 8.0);
    let report = get(gateway.admin, "/admin/clients", "").await.json();
    assert_eq!(report["by_streams"][0]["client"], "somebody behind 127.0.0.1");
    // For the other proxy, and for clients that are known, nothing changes.
    let mut other = TestClient::from([127, 0, 0, 2], gateway.public).await;
    other.send(REQUEST).await;
    assert!(other.head().await.starts_with("HTTP/1.1 200 "));
    let (_own, said) = asked(&gateway, &["x-forwarded-for: 127.0.0.1"]).await;
    assert_eq!(said, "200", "the operator's own probe");
    let (_client, said) = asked(&gateway, &["x-forwarded-for: 203.0.113.1"]).await;
    assert_eq!(said, "200");
}

async fn who_is_held_short_gains_nothing_by_not_being_understood() {
    let gateway = with_standing(|limits, _| {
        limits.streams_per_client = number(3);
        let mut dormitory = NetworkLimits::new("192.0.2.0/24".parse().unwrap());
        dormitory.streams_per_client = Some(number(1));
        limits.networks.push(dormitory);
    });
    let ask = async |client: &str| {
        let client = format!("x-forwarded-for: {client}");
        asked(&gateway, &[&client, "forwarded: rubbish"]).await
    };
    let (_first, said) = ask("192.0.2.1").await;
    assert_eq!(said, "200");
    let (_, said) = ask("192.0.2.1").await;
    assert_eq!(
        said, "429",
        "one of a network of one stream, whoever it says to be"
    );
    let (_, said) = ask("203.0.113.1, 192.0.2.1").await;
    assert_eq!(said, "429", "any address that is named counts");
    let (_second, said) = ask("203.0.113.1").await;
    assert_eq!(said, "200");
}

async fn where_all_are_denied_nobody_is_let_in_for_being_behind_the_proxy() {
    let gateway = with_standing(|limits, _| {
        limits.deny = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    });
    for hostile in HOSTILE {
        let (_, said) = asked(&gateway, &["x-forwarded-for: 203.0.113.1", hostile]).await;
        assert_eq!(said, "403", "{hostile}");
    }
    assert_eq!(asked(&gateway, &[]).await.1, "403");
    let (_held, said) = asked(&gateway, &["x-forwarded-for: 198.51.100.7"]).await;
    assert_eq!(said, "200");
    // The proxy's health checks.
    for path in ["/livez", "/readyz", "/LIVEZ/"] {
        assert_eq!(get(gateway.public, path, "").await.status, 200, "{path}");
        let of_somebody = get(gateway.public, path, "x-forwarded-for: 203.0.113.9\r\n").await;
        assert_eq!(of_somebody.status, 403, "{path}");
    }
    assert_eq!(gateway.metric("riverhead_http_unforwarded_total").await, 8.0);
}

async fn the_header_that_the_proxy_sets_can_be_named() {
    for (forwarded, believed, other) in [
        (
            ForwardedHeaders::XForwardedFor,
            "x-forwarded-for: 203.0.113.9",
            "forwarded: for=203.0.113.1",
        ),
        (
            ForwardedHeaders::Forwarded,
            "forwarded: for=203.0.113.9",
            "x-forwarded-for: 203.0.113.1",
        ),
    ] {
        let gateway = with_standing(|_, settings| settings.forwarded = forwarded);
        let (_held, said) = asked(&gateway, &[other, believed]).await;
        assert_eq!(said, "200");
        let report = get(gateway.admin, "/admin/clients", "").await.json();
        assert_eq!(report["by_streams"][0]["client"], "203.0.113.9");
        let (_, said) = asked(&gateway, &[believed, "forwarded-for: 1.2.3.4"]).await;
        assert_eq!(said, "429");
        assert_eq!(gateway.metric("riverhead_http_unforwarded_total").await, 0.0);
    }
}

async fn a_client_header_that_is_missing_or_there_twice_is_somebodys() {
    let gateway = with_standing(|_, settings| settings.client_header = Some("x-client-ip".parse().unwrap()));
    let denied = "x-client-ip: 198.51.100.1";
    for lines in [
        [denied, "x-client-ip: 203.0.113.9"],
        ["x-client-ip: 203.0.113.9", denied],
        [denied, "x-client-ip: rubbish"],
        ["x-client-ip: 203.0.113.9, 198.51.100.1", "a: b"],
    ] {
        assert_eq!(asked(&gateway, &lines).await.1, "403", "{lines:?}");
    }
    let (_held, said) = asked(&gateway, &[]).await;
    assert_eq!(said, "200");
    let twice = ["x-client-ip: 203.0.113.9", "x-client-ip: 203.0.113.9"];
    assert_eq!(asked(&gateway, &twice).await.1, "429");
}

async fn networks_of_mapped_addresses_hold_the_clients_they_are_of() {
    let mapped = |net: &str| net.parse().unwrap();
    let gateway = with_standing(|limits, settings| {
        settings.trusted_proxies = vec![mapped("::ffff:127.0.0.0/104")];
        limits.deny = vec![mapped("::ffff:198.51.100.0/120")];
        limits.allow = vec![mapped("::ffff:198.51.100.7/128")];
        let mut campus = NetworkLimits::new(mapped("::ffff:203.0.113.0/120"));
        campus.streams_per_client = NonZeroU32::new(2);
        campus.request_burst = NonZeroU32::new(4);
        limits.networks = vec![campus];
    });
    assert_eq!(asked(&gateway, &["x-forwarded-for: 198.51.100.1"]).await.1, "403");
    let (_allowed, said) = asked(&gateway, &["x-forwarded-for: 198.51.100.7"]).await;
    assert_eq!(said, "200");
    let mut held = Vec::new();
    for status in ["200", "200", "429"] {
        let (socket, said) = asked(&gateway, &["x-forwarded-for: ::ffff:203.0.113.1"]).await;
        assert_eq!(said, status);
        held.push(socket);
    }
}

async fn probes_of_mapped_addresses_are_let_in_when_their_stream_is_full() {
    let gateway = with_standing(|limits, _| {
        limits.clients_per_stream = NonZeroU32::new(1);
        limits.probes = vec!["::ffff:203.0.113.9/128".parse().unwrap()];
    });
    let (_only, said) = asked(&gateway, &["x-forwarded-for: 203.0.113.1"]).await;
    assert_eq!(said, "200");
    let (_, said) = asked(&gateway, &["x-forwarded-for: 203.0.113.2"]).await;
    assert_ne!(said, "200", "there is room for one");
    let (_probe, said) = asked(&gateway, &["x-forwarded-for: 203.0.113.9"]).await;
    assert_eq!(said, "200");
}

/// Returns limits of this many connections without a stream, in total and per client.
fn idle_limits(total: u32, per_client: u32) -> LimitSettings {
    LimitSettings {
        connections_without_stream: number(total),
        connections_without_stream_per_client: number(per_client),
        ..LimitSettings::default()
    }
}

async fn silent_connections_of_one_address_push_each_other_out_and_nobody_else() {
    let gateway = gateway(idle_limits(20, 4), |_| {});
    let mut neighbour = TestClient::from([127, 0, 0, 2], gateway.public).await;
    // One byte, which shows that the connection is accepted.
    neighbour.send("G").await;
    gateway.until_metric(WAITING, 1.0).await;
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut client = TestClient::connect(gateway.public).await;
        client.send("G").await;
        crowd.push(client);
    }
    let sent_away = "riverhead_http_connections_sent_away_total{reason=\"client\"}";
    gateway.until_metric(sent_away, 56.0).await;
    assert_eq!(gateway.metric(WAITING).await, 5.0);
    // The oldest are closed, with a reset. The newest and the neighbor get answers.
    crowd[0].error().await;
    let newest = crowd.last_mut().unwrap();
    newest.send("ET /livez HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(newest.answer().await.status, 200);
    neighbour.send(&REQUEST[1..]).await;
    assert!(neighbour.head().await.starts_with("HTTP/1.1 200 "));
    gateway.until_metric(ADMITTED, 1.0).await;
}

async fn streams_do_not_count_as_connections_without_one() {
    let gateway = gateway(idle_limits(2, 2), |_| {});
    let mut streams = Vec::new();
    for open in 1..=6 {
        let mut client = TestClient::stream(gateway.public, STREAM).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        gateway.until_metric(ADMITTED, f64::from(open)).await;
        gateway.until_metric(WAITING, 0.0).await;
        streams.push(client);
    }
    let _silent = [
        TestClient::connect(gateway.public).await,
        TestClient::connect(gateway.public).await,
    ];
    gateway.until_metric(ADMITTED, 6.0).await;
}

/// A proxy that keeps idle connections to the gateway, with and without required PROXY headers.
async fn idle_connections_of_a_trusted_proxy_count_too() {
    for proxy_protocol in [false, true] {
        let gateway = gateway(idle_limits(8, 2), |settings| {
            settings.proxy_protocol = proxy_protocol;
            settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        });
        let mut idle = Vec::new();
        for _ in 0..20 {
            let mut client = TestClient::connect(gateway.public).await;
            // The first byte of either, which shows that the connection is accepted.
            client.send(if proxy_protocol { "\r" } else { "G" }).await;
            idle.push(client);
        }
        let sent_away = "riverhead_http_connections_sent_away_total{reason=\"host\"}";
        gateway.until_metric(sent_away, 12.0).await;
        gateway.until_metric(WAITING, 8.0).await;
        idle[0].error().await;
        drop(idle);
        gateway.until_metric(WAITING, 0.0).await;
    }
}

/// A small slowloris: hundreds of connections from several addresses send a byte now and then, and a client
/// connects last.
async fn a_crowd_that_trickles_keeps_nobody_out() {
    let gateway = gateway(idle_limits(64, 32), |_| {});
    let mut crowd = Vec::new();
    for index in 0..300_u16 {
        // Some are closed to make room, perhaps before they have noticed that they were accepted.
        if let Ok(mut client) = TestClient::try_from([127, 0, 1, (index % 8) as u8], gateway.public).await {
            _ = client
                .try_send("GET /v2/stream/recentchange HTTP/1.1\r\nx: ")
                .await;
            crowd.push(client);
        }
    }
    let start = Instant::now();
    let mut honest = TestClient::from([127, 0, 0, 2], gateway.public).await;
    honest.send(REQUEST).await;
    assert!(honest.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(honest.chunk().await, ":ok\n\n");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(gateway.metric(WAITING).await <= 64.0);
    drop(crowd);
    gateway.until_metric(WAITING, 0.0).await;
}

on_both_sinks! {
    #[tokio::test]
    a_balancer_says_for_whom_it_speaks
    a_balancer_that_speaks_for_itself_is_its_own_client
    a_proxy_header_comes_before_http_2_as_well
    without_a_proxy_header_nothing_is_answered
    a_stranger_may_not_send_a_proxy_header
    where_no_proxy_header_is_due_one_is_rubbish
    the_header_that_was_agreed_on_makes_the_client
    a_header_that_the_proxy_does_not_set_takes_nobody_past_a_denial
    who_is_not_understood_has_the_limits_of_one_client_and_not_of_the_proxy
    who_is_held_short_gains_nothing_by_not_being_understood
    where_all_are_denied_nobody_is_let_in_for_being_behind_the_proxy
    the_header_that_the_proxy_sets_can_be_named
    a_client_header_that_is_missing_or_there_twice_is_somebodys
    networks_of_mapped_addresses_hold_the_clients_they_are_of
    probes_of_mapped_addresses_are_let_in_when_their_stream_is_full
    silent_connections_of_one_address_push_each_other_out_and_nobody_else
    streams_do_not_count_as_connections_without_one
    idle_connections_of_a_trusted_proxy_count_too
}

on_both_sinks! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    a_crowd_that_trickles_keeps_nobody_out
}
