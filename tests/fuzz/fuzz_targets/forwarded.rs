//! Whatever a client writes into the headers that name the client, it gains nothing: behind a proxy it keeps
//! its identity, or becomes somebody behind that proxy, and is denied wherever it was.
//!
//! The first two bytes of the input choose the client and how its proxy writes. Each following line is a
//! header that the client sends: `x` (X-Forwarded-For), `f` (Forwarded) or `c` (the configured header), a
//! colon, and its value.
#![no_main]

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use libfuzzer_sys::fuzz_target;
use riverhead::{
    client::{ClientAddrSource, ClientAddr, ForwardedHeaders, PeerAddr, TrustedProxies, TrustedNetworks, UnidentifiedClient},
    limits::{Admission, Policy, settings::LimitSettings},
    metrics::LimitMetrics,
};

const PLAIN: HeaderName = HeaderName::from_static("x-forwarded-for");
const AGREED: HeaderName = HeaderName::from_static("x-client-ip");
const PROXY: &str = "10.0.0.1:4711";

/// The senders: a denied one, an allowed one, one without a rule, and the same for IPv6.
const SENDERS: [&str; 6] = [
    "192.0.2.66",
    "198.51.100.7",
    "203.0.113.5",
    "2001:db8:66::1",
    "2001:db8:7::1",
    "2001:db8:5::1",
];

fuzz_target!(|input: &[u8]| {
    let [sender, style, text @ ..] = input else { return };
    let sender: IpAddr = SENDERS[usize::from(*sender) % SENDERS.len()]
        .parse()
        .expect("an address");
    let stranger = lines(text);
    for setup in SETUPS {
        gains_nothing(setup, sender, Style(*style), &stranger);
    }
    for source in SETUPS.iter().map(Setup::source) {
        let unknown = PeerAddr(SocketAddr::new(sender, 4711));
        assert_eq!(
            proxies(source).client(unknown, &stranger),
            Ok(sender.into()),
            "no proxy"
        );
    }
});

/// The header that is trusted, and the one that the proxy sets.
struct Setup {
    lists: Option<ForwardedHeaders>,
    sets: &'static [&'static str],
}

const SETUPS: &[Setup] = &[
    Setup {
        lists: Some(ForwardedHeaders::Both),
        sets: &["x-forwarded-for"],
    },
    Setup {
        lists: Some(ForwardedHeaders::Both),
        sets: &["forwarded"],
    },
    Setup {
        lists: Some(ForwardedHeaders::Both),
        sets: &["x-forwarded-for", "forwarded"],
    },
    Setup {
        lists: Some(ForwardedHeaders::XForwardedFor),
        sets: &["x-forwarded-for"],
    },
    Setup {
        lists: Some(ForwardedHeaders::Forwarded),
        sets: &["forwarded"],
    },
    Setup {
        lists: None,
        sets: &["x-client-ip"],
    },
];

impl Setup {
    fn source(&self) -> ClientAddrSource {
        self.lists.map_or(ClientAddrSource::Header(AGREED), ClientAddrSource::ForwardedHeaders)
    }
}

/// How a proxy writes the address that it sees.
#[derive(Clone, Copy)]
struct Style(u8);

impl Style {
    fn has(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }

    /// Returns the hop as it is written in this header.
    fn hop(self, name: &HeaderName, address: IpAddr) -> String {
        let in_brackets = match address {
            IpAddr::V6(address) => format!("[{address}]"),
            IpAddr::V4(address) => address.to_string(),
        };
        if name != FORWARDED {
            return match self.0 & 3 {
                0 | 1 => address.to_string(),
                2 => in_brackets,
                _ => format!("{in_brackets}:4711"),
            };
        }
        let node = match self.0 & 3 {
            0 | 1 => in_brackets,
            2 => format!("{in_brackets}:4711"),
            _ => format!("{in_brackets}:_web"),
        };
        let quoted = if node.contains(':') {
            format!("\"{node}\"")
        } else {
            node
        };
        match self.has(2) {
            true => format!("for={quoted};proto=https;by=\"_me\""),
            false => format!("for={quoted}"),
        }
    }

    /// Appends the hop: to the last line, or as a new line.
    fn append(self, headers: &mut HeaderMap, name: &HeaderName, hop: &str) {
        let mut line = Vec::new();
        if self.has(3) {
            let separator: &[u8] = if self.has(4) { b"," } else { b", " };
            for there in headers.get_all(name) {
                line.extend_from_slice(there.as_bytes());
                line.extend_from_slice(separator);
            }
            headers.remove(name);
        }
        line.extend_from_slice(hop.as_bytes());
        headers.append(name, HeaderValue::from_bytes(&line).expect("a value"));
    }
}

fn gains_nothing(setup: &Setup, sender: IpAddr, style: Style, stranger: &HeaderMap) {
    let (mut alone, mut headers) = (HeaderMap::new(), stranger.clone());
    for name in setup.sets.iter().copied().map(HeaderName::from_static) {
        let name = &name;
        for headers in [&mut alone, &mut headers] {
            // A proxy that sets its own header overwrites it. One that does not makes it appear twice.
            if *name == AGREED && !style.has(5) {
                headers.remove(name);
            }
            match *name == AGREED {
                true => drop(headers.append(name, style.hop(name, sender).parse().expect("a value"))),
                false => style.append(headers, name, &style.hop(name, sender)),
            }
            if style.has(6) && *name != AGREED {
                style.append(headers, name, &style.hop(name, [10, 0, 0, 2].into()));
            }
        }
    }
    let peer = PeerAddr(PROXY.parse().expect("an address"));
    let proxies = proxies(setup.source());
    let (without, with) = (proxies.client(peer, &alone), proxies.client(peer, &headers));
    assert_eq!(without, Ok(sender.into()), "{alone:?}");
    let client = match &with {
        Ok(client) => {
            assert_eq!(*client, sender.into(), "{headers:?}");
            *client
        }
        Err(somebody) => {
            assert_eq!(somebody.client, ClientAddr::behind(peer));
            assert!(somebody.candidates.0.contains(&sender), "{headers:?}");
            somebody.client
        }
    };
    for policy in POLICIES.iter() {
        assert!(
            !is_denied(policy, &without) || is_denied(policy, &with),
            "{headers:?}"
        );
        let key = policy.key(client);
        assert!(key == policy.key(sender.into()) || key == policy.key(ClientAddr::behind(peer)));
        assert_ne!(key, policy.key(peer.into()));
    }
}

fn is_denied(policy: &Policy, sender: &Result<ClientAddr, UnidentifiedClient>) -> bool {
    match sender {
        Ok(client) => policy.denies(*client),
        Err(somebody) => policy.denies_unidentified(somebody),
    }
}

fn proxies(source: ClientAddrSource) -> TrustedProxies {
    TrustedProxies::new(
        TrustedNetworks::new(&["10.0.0.0/8".parse().expect("a network")]),
        source,
    )
}

/// One policy that denies some, one that allows some, and one with rules by address family.
static POLICIES: LazyLock<[Arc<Policy>; 3]> = LazyLock::new(|| {
    let policy = |deny: &[&str], allow: &[&str]| {
        let networks = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().expect("a network"))
                .collect()
        };
        let settings = LimitSettings {
            deny: networks(deny),
            allow: networks(allow),
            ..LimitSettings::default()
        };
        Admission::new(&settings, LimitMetrics::default()).policy()
    };
    [
        policy(&["192.0.2.0/24", "2001:db8:66::/48"], &[]),
        policy(
            &["0.0.0.0/0", "::/0"],
            &["198.51.100.0/24", "2001:db8:7::/48", "10.0.0.0/8"],
        ),
        policy(&["::/0"], &["2001:db8:7::/48"]),
    ]
});

/// Returns the client's headers. Bytes that no header can contain are left out.
fn lines(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n').take(64) {
        let (name, value) = match line {
            [b'x', b':', value @ ..] => (PLAIN, value),
            [b'f', b':', value @ ..] => (FORWARDED, value),
            [b'c', b':', value @ ..] => (AGREED, value),
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}
