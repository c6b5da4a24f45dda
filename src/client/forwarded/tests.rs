use proptest::{collection::vec, prelude::*};

use http::HeaderValue;

use super::*;
use crate::client::{ClientAddrSource, Ipv6Prefix, PeerAddr, TrustedNetworks, TrustedProxies};

const PROXY: &str = "10.0.0.1:4711";
const STRANGER: &str = "192.0.2.66:4711";

fn proxies(lists: ForwardedHeaders) -> TrustedProxies {
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
    TrustedProxies::new(
        TrustedNetworks::new(&trusted),
        ClientAddrSource::ForwardedHeaders(lists),
    )
}

/// Returns the client, or `Err` with the client that is counted instead and why, when these lines come from `peer` and 10/8 and
/// fd00::/8 are trusted.
fn told(lists: ForwardedHeaders, peer: &str, lines: &[(&str, &str)]) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let peer = PeerAddr(peer.parse().unwrap());
    proxies(lists)
        .client(peer, &headers)
        .map(|client| client.to_string())
        .map_err(|unidentified| format!("{}: {}", unidentified.client, unidentified.why))
}

fn asks(peer: &str, lines: &[(&str, &str)]) -> Result<String, String> {
    told(ForwardedHeaders::Both, peer, lines)
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

/// The result for an unidentified client behind the proxy.
fn unidentified(why: &str) -> Result<String, String> {
    Err(format!("somebody behind 10.0.0.1: {why}"))
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
        assert_eq!(plain(&header), ok("198.51.100.7"), "{header}");
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
fn a_proxy_that_does_not_say_for_whom_speaks_for_somebody() {
    assert_eq!(asks(PROXY, &[]), unidentified("missing"));
    assert_eq!(plain(""), unidentified("missing"));
    for rubbish in ["unknown", "198.51.100", "[::1", "1.2.3.4:x", "\u{e9}"] {
        assert_eq!(plain(rubbish), unidentified("malformed"), "{rubbish}");
    }
    for silent in ["", "proto=https", "by=10.0.0.1;proto=https, host=a"] {
        assert_eq!(standard(silent), unidentified("missing"), "{silent}");
    }
    for rubbish in [
        "for",
        "for=unknown",
        "for=_hidden",
        "for=198.51.100.7;for=198.51.100.8",
        "for=\"198.51.100.7",
        "for=198.51.100.7\"",
    ] {
        assert_eq!(standard(rubbish), unidentified("malformed"), "{rubbish}");
    }
    assert_eq!(plain(&"10.0.0.2, ".repeat(40)), unidentified("malformed"));
    assert_eq!(
        plain(&["10.0.0.2"; MAX_HOPS + 1].join(",")),
        unidentified("malformed")
    );
}

#[test]
fn empty_elements_and_lines_are_none() {
    for list in [
        "198.51.100.7,",
        ",198.51.100.7",
        "198.51.100.7, , 10.0.0.2,",
        ",,198.51.100.7,\t,",
    ] {
        assert_eq!(plain(list), ok("198.51.100.7"), "{list}");
    }
    for list in [
        "for=198.51.100.7,",
        ", ,for=198.51.100.7;",
        ";;for=198.51.100.7,, for=10.0.0.2;",
    ] {
        assert_eq!(standard(list), ok("198.51.100.7"), "{list}");
    }
    for name in ["x-forwarded-for", "forwarded"] {
        let said = if name == "forwarded" {
            "for=198.51.100.7"
        } else {
            "198.51.100.7"
        };
        for lines in [
            [(name, said), (name, "")],
            [(name, ""), (name, said)],
            [(name, said), (name, " , ")],
        ] {
            assert_eq!(asks(PROXY, &lines), ok("198.51.100.7"), "{lines:?}");
        }
        let other = if name == "forwarded" {
            "x-forwarded-for"
        } else {
            "forwarded"
        };
        assert_eq!(
            asks(PROXY, &[(name, said), (other, "")]),
            ok("198.51.100.7"),
            "{name}"
        );
    }
}

#[test]
fn forwarded_without_for_says_nothing_and_hides_who_is_left_of_it() {
    let beside = |standard| {
        asks(
            PROXY,
            &[("x-forwarded-for", "198.51.100.7"), ("forwarded", standard)],
        )
    };
    assert_eq!(beside("proto=https"), ok("198.51.100.7"));
    assert_eq!(beside("proto=https, by=_me"), ok("198.51.100.7"));
    for hiding in [
        "for=203.0.113.5, proto=https",
        "for=198.51.100.7, proto=https, for=10.0.0.2",
        "proto=https, for=10.0.0.2",
    ] {
        assert_eq!(standard(hiding), unidentified("malformed"), "{hiding}");
        assert_eq!(beside(hiding), unidentified("malformed"), "{hiding}");
    }
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
            assert_eq!(standard(&header), unidentified("malformed"), "{header}");
        }
    }
    assert_eq!(
        standard("for=1.2.3.4;x=\"a,\\\"b\", for=198.51.100.7"),
        unidentified("malformed")
    );
    assert_eq!(
        standard("for=1.2.3.4;x=\"a,b;\", for=198.51.100.7"),
        ok("198.51.100.7")
    );
}

#[test]
fn the_header_that_the_proxy_does_not_set_is_no_way_in() {
    let both = |plain, standard| asks(PROXY, &[("x-forwarded-for", plain), ("forwarded", standard)]);
    assert_eq!(both("198.51.100.7", "for=198.51.100.7"), ok("198.51.100.7"));
    assert_eq!(
        both("198.51.100.7", "for=\"198.51.100.7:_x\";by=_y"),
        ok("198.51.100.7")
    );
    assert_eq!(both("198.51.100.7", "for=1.2.3.4"), unidentified("contradictory"));
    assert_eq!(both("198.51.100.7", "rubbish"), unidentified("malformed"));
    assert_eq!(both("rubbish", "for=198.51.100.7"), unidentified("malformed"));
    assert_eq!(both("198.51.100.7", "for=unknown"), unidentified("malformed"));
}

#[test]
fn a_header_that_is_not_believed_is_not_looked_at() {
    let lines = |plain, standard| [("x-forwarded-for", plain), ("forwarded", standard)];
    for standard in ["for=1.2.3.4", "rubbish", "for=\"", ""] {
        let lines = lines("198.51.100.7", standard);
        assert_eq!(
            told(ForwardedHeaders::XForwardedFor, PROXY, &lines),
            ok("198.51.100.7"),
            "{standard}"
        );
    }
    for plain in ["1.2.3.4", "rubbish", ""] {
        let lines = lines(plain, "for=198.51.100.7");
        assert_eq!(
            told(ForwardedHeaders::Forwarded, PROXY, &lines),
            ok("198.51.100.7"),
            "{plain}"
        );
    }
    let only = lines("", "for=198.51.100.7");
    assert_eq!(
        told(ForwardedHeaders::XForwardedFor, PROXY, &only),
        unidentified("missing")
    );
}

/// A header as hostile as the grammar allows, and beyond.
fn hostile() -> impl Strategy<Value = String> {
    r#"((for|by|For)="?(10\.0\.0\.2|192\.0\.2\.1|\[?2001:db8::1\]?(:80)?|unknown|[a-z,;\\"]*)"?[,;]? ?){0,20}"#
}

proptest! {
    #[test]
    fn no_header_panics_and_none_of_a_stranger_matters(plain in vec(any::<u8>(), 0..200), standard in hostile()) {
        let mut headers = HeaderMap::new();
        let values = [HeaderValue::from_bytes(&plain), HeaderValue::from_str(&standard)];
        for (name, value) in LISTS.iter().cloned().zip(values) {
            headers.extend(value.ok().map(|value| (Some(name), value)).into_iter().collect::<Vec<_>>());
        }
        let stranger = PeerAddr(STRANGER.parse().unwrap());
        for lists in ForwardedHeaders::ALL {
            let _ = proxies(lists).client(PeerAddr(PROXY.parse().unwrap()), &headers);
            prop_assert_eq!(proxies(lists).client(stranger, &headers), Ok(stranger.into()));
        }
    }

    /// A proxy that appends to `X-Forwarded-For` passes on what a stranger wrote before, and all of `Forwarded`.
    #[test]
    fn nothing_that_a_stranger_writes_makes_it_somebody_else(
        plain in r#"[0-9a-f.,:"\\\[\] ]{0,60}"#,
        standard in hostile(),
        believed in prop_oneof![Just(ForwardedHeaders::Both), Just(ForwardedHeaders::XForwardedFor)],
    ) {
        let plain = format!("{plain}, 192.0.2.66");
        let client = told(believed, PROXY, &[("x-forwarded-for", &plain), ("forwarded", &standard)]);
        let is_itself = client == ok("192.0.2.66");
        let is_somebody = client.as_ref().is_err_and(|client| client.starts_with("somebody behind 10.0.0.1"));
        prop_assert!(is_itself || is_somebody, "{:?}", client);
    }

    /// A client that is hidden by its own text is still among the candidates.
    #[test]
    fn who_is_not_understood_is_named(standard in hostile()) {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "192.0.2.66".parse().unwrap());
        headers.insert("forwarded", standard.parse().unwrap());
        if let Err(unidentified) = proxies(ForwardedHeaders::Both).client(PeerAddr(PROXY.parse().unwrap()), &headers) {
            prop_assert!(unidentified.candidates.0.contains(&[192, 0, 2, 66].into()), "{:?}", unidentified);
        }
    }
}

#[test]
fn a_header_that_is_full_of_words_is_looked_at_from_its_end() {
    let commas = ",".repeat(31_000);
    assert_eq!(plain(&format!("{commas}198.51.100.7")), ok("198.51.100.7"));
    assert_eq!(
        plain(&format!("203.0.113.5{commas}198.51.100.7,10.0.0.2")),
        ok("198.51.100.7")
    );
    assert_eq!(plain(&format!("198.51.100.7{commas}")), unidentified("malformed"));
    // The part that is cut off leaves no other address.
    let rest = format!(
        "{},10.0.0.2",
        ",".repeat(MAX_LINE_BYTES - "8.51.100.7".len() - ",10.0.0.2".len())
    );
    assert_eq!(plain(&format!("198.51.100.7{rest}")), unidentified("malformed"));
    let semicolons = ";".repeat(MAX_LINE_BYTES);
    assert_eq!(
        standard(&format!("{semicolons}for=198.51.100.7")),
        unidentified("malformed")
    );
    assert_eq!(
        plain(&format!(
            "{}198.51.100.7:_{}",
            "10.0.0.2,".repeat(2),
            "x".repeat(300)
        )),
        unidentified("malformed")
    );
}
