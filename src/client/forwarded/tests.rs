use proptest::{collection::vec, prelude::*};

use super::*;
use crate::client::Ipv6Prefix;

const PROXY: &str = "10.0.0.1:4711";
const STRANGER: &str = "192.0.2.66:4711";

/// Who asks, or `Err` with who is counted instead, when these lines come from `peer` and 10/8 and fd00::/8 are trusted.
fn asks(peer: &str, lines: &[(&str, &str)]) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
    let peer = PeerAddr(peer.parse().unwrap());
    ClientAddr::forwarded(peer, &headers, &trusted)
        .map(|client| client.to_string())
        .map_err(|Unforwarded(proxy)| proxy.to_string())
}

fn plain(value: &str) -> Result<String, String> {
    asks(PROXY, &[("x-forwarded-for", value)])
}

fn standard(value: &str) -> Result<String, String> {
    asks(PROXY, &[("forwarded", value)])
}

fn ok(address: &str) -> Result<String, String> {
    Ok(address.to_owned())
}

fn proxy() -> Result<String, String> {
    Err("10.0.0.1".to_owned())
}

#[test]
fn what_a_stranger_forwards_changes_nothing() {
    for name in ["x-forwarded-for", "forwarded", "x-client-ip"] {
        assert_eq!(asks(STRANGER, &[(name, "for=198.51.100.1")]), ok("192.0.2.66"));
        assert_eq!(asks(STRANGER, &[(name, "198.51.100.1")]), ok("192.0.2.66"));
        assert_eq!(asks(STRANGER, &[(name, "10.0.0.1")]), ok("192.0.2.66"));
    }
}

#[test]
fn a_chain_through_two_trusted_proxies_finds_the_client() {
    assert_eq!(plain("198.51.100.7, 10.0.0.2"), ok("198.51.100.7"));
    assert_eq!(plain("203.0.113.5, 198.51.100.7,10.0.0.2"), ok("198.51.100.7"));
    let lines = [
        ("x-forwarded-for", "203.0.113.5, 198.51.100.7"),
        ("x-forwarded-for", "10.0.0.2"),
    ];
    assert_eq!(asks(PROXY, &lines), ok("198.51.100.7"));
    assert_eq!(asks("[::ffff:10.0.0.1]:9", &lines), ok("198.51.100.7"));
    assert_eq!(
        standard("for=203.0.113.5, for=198.51.100.7;proto=https, for=10.0.0.2"),
        ok("198.51.100.7")
    );
}

#[test]
fn what_the_client_wrote_is_not_looked_at() {
    for claim in ["", "unknown, ", "\u{fffd}, ", "1.2.3.4, ,", "a b c, "] {
        let header = format!("{claim}198.51.100.7");
        let expected = if claim.is_ascii() {
            ok("198.51.100.7")
        } else {
            proxy()
        };
        assert_eq!(plain(&header), expected, "{header}");
    }
}

#[test]
fn a_client_within_the_trusted_network_is_the_farthest_address() {
    assert_eq!(plain("10.0.0.9, 10.0.0.2"), ok("10.0.0.9"));
}

#[test]
fn addresses_are_read_in_every_form_proxies_write() {
    for (hop, address) in [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
    ] {
        assert_eq!(plain(hop), ok(address), "{hop}");
        assert_eq!(
            standard(&format!("proto=https;For=\"{hop}\";by=_me")),
            ok(address),
            "{hop}"
        );
    }
}

#[test]
fn neighbours_in_one_64_behind_a_proxy_share_a_key() {
    let key = |hop: &str| {
        ClientAddr::from(plain(hop).unwrap().parse::<IpAddr>().unwrap()).key(Ipv6Prefix::default())
    };
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
}

#[test]
fn a_proxy_that_does_not_say_for_whom_counts_as_itself() {
    assert_eq!(asks(PROXY, &[]), proxy());
    for rubbish in [
        "",
        "unknown",
        "198.51.100.7,",
        "198.51.100",
        "[::1",
        "1.2.3.4:x",
        "\u{e9}",
    ] {
        assert_eq!(plain(rubbish), proxy(), "{rubbish}");
    }
    for rubbish in [
        "",
        "for",
        "for=unknown",
        "for=_hidden",
        "proto=https",
        "for=198.51.100.7;for=198.51.100.8",
        "for=\"198.51.100.7",
        "for=198.51.100.7\"",
        "for=198.51.100.7,",
    ] {
        assert_eq!(standard(rubbish), proxy(), "{rubbish}");
    }
    assert_eq!(plain(&"10.0.0.2, ".repeat(40)), proxy());
    assert_eq!(plain(&["10.0.0.2"; MAX_HOPS + 1].join(",")), proxy());
}

#[test]
fn a_quote_that_a_stranger_opens_hides_nobody() {
    for begun in [
        "for=1.2.3.4;x=\"",
        "for=1.2.3.4;x=\"\\",
        "for=1.2.3.4;x=\"a\\\"",
        "for=\"",
    ] {
        for appended in [
            "for=198.51.100.7",
            "for=\"198.51.100.7\"",
            "for=\"198.51.100.7\";by=\"_a\"",
        ] {
            let header = format!("{begun}, {appended}");
            assert_eq!(standard(&header), proxy(), "{header}");
        }
    }
    assert_eq!(standard("for=1.2.3.4;x=\"a,\\\"b\", for=198.51.100.7"), proxy());
    assert_eq!(
        standard("for=1.2.3.4;x=\"a,b;\", for=198.51.100.7"),
        ok("198.51.100.7")
    );
}

#[test]
fn the_header_that_the_proxy_does_not_set_is_no_way_in() {
    let both = |plain, standard| asks(PROXY, &[("x-forwarded-for", plain), ("forwarded", standard)]);
    assert_eq!(both("198.51.100.7", "for=198.51.100.7"), ok("198.51.100.7"));
    assert_eq!(both("198.51.100.7", "for=1.2.3.4"), proxy());
    assert_eq!(both("198.51.100.7", "rubbish"), proxy());
    assert_eq!(both("rubbish", "for=198.51.100.7"), proxy());
}

proptest! {
    #[test]
    fn no_header_panics_and_none_of_a_stranger_matters(
        plain in vec(any::<u8>(), 0..200),
        standard in r#"((for|by)="?(10\.0\.0\.2|\[?2001:db8::1\]?(:80)?|[a-z,;\\"]*)"?[,;] ?){0,40}"#,
    ) {
        let mut headers = HeaderMap::new();
        let values = [HeaderValue::from_bytes(&plain), HeaderValue::from_str(&standard)];
        for (name, value) in [X_FORWARDED_FOR, header::FORWARDED].into_iter().zip(values) {
            headers.extend(value.ok().map(|value| (Some(name), value)).into_iter().collect::<Vec<_>>());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let _ = ClientAddr::forwarded(PeerAddr(PROXY.parse().unwrap()), &headers, &trusted);
        let stranger = PeerAddr(STRANGER.parse().unwrap());
        prop_assert_eq!(ClientAddr::forwarded(stranger, &headers, &trusted), Ok(stranger.into()));
    }
}
