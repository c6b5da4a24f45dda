//! Clients that a trusted proxy names in a header, or does not name.

use std::num::NonZeroU32;

use riverhead::{
    client::ForwardedHeaders,
    http::settings::HttpSettings,
    limits::settings::{LimitSettings, NetworkLimits},
};
use tokio::net::TcpStream;

use super::{REQUEST, STREAM, first_line, gateway, number};
use crate::support::{
    gateway::{TestClient, TestGateway, get},
    on_both_sinks,
};

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

on_both_sinks! {
    #[tokio::test]
    the_header_that_was_agreed_on_makes_the_client
    a_header_that_the_proxy_does_not_set_takes_nobody_past_a_denial
    who_is_not_understood_has_the_limits_of_one_client_and_not_of_the_proxy
    who_is_held_short_gains_nothing_by_not_being_understood
    where_all_are_denied_nobody_is_let_in_for_being_behind_the_proxy
    the_header_that_the_proxy_sets_can_be_named
    a_client_header_that_is_missing_or_there_twice_is_somebodys
    networks_of_mapped_addresses_hold_the_clients_they_are_of
    probes_of_mapped_addresses_are_let_in_when_their_stream_is_full
}
