//! Whose word on who asks is taken, and where that word stands.

use http::{HeaderMap, HeaderName};

use super::{ClientAddr, PeerAddr, Trusted, Unforwarded, forwarded};

/// The proxies that are trusted, and how they say for whom they speak.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    trusted: Trusted,
    header: Option<HeaderName>,
}

impl Proxies {
    /// Peers that are `trusted` are believed: what they say in `header`, or without one in `X-Forwarded-For` and `Forwarded`.
    pub fn new(trusted: Trusted, header: Option<HeaderName>) -> Self {
        Self { trusted, header }
    }

    /// Whether this is one of them.
    pub fn trusts(&self, client: ClientAddr) -> bool {
        self.trusted
            .networks()
            .iter()
            .any(|net| net.contains(&client.address()))
    }

    /// Who sent a request with `headers` that came from `peer`.
    ///
    /// With a header of its own nothing else counts: a proxy that sets one of them passes on what a stranger put into the
    /// others. It must be there once and hold one address, because whoever sets it overwrites it.
    ///
    /// # Errors
    /// When a proxy does not say for whom, or not so that it can be understood.
    pub fn client(&self, peer: PeerAddr, headers: &HeaderMap) -> Result<ClientAddr, Unforwarded> {
        let own = ClientAddr::from(peer);
        let Some(header) = &self.header else {
            return ClientAddr::forwarded(peer, headers, &self.trusted.networks());
        };
        if !self.trusts(own) {
            return Ok(own);
        }
        let mut lines = headers.get_all(header).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(Unforwarded(own));
        };
        let said = line.to_str().ok().map(str::trim);
        said.and_then(forwarded::address).ok_or(Unforwarded(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "192.0.2.66:4711";
    const PROXY: &str = "10.0.0.1:4711";

    /// Who asks when these lines come from `peer`, and `X-Client-IP` of 10/8 is believed.
    fn asks(peer: &str, lines: &[(&'static str, &str)]) -> Result<String, String> {
        let header = HeaderName::from_static("x-client-ip");
        let proxies = Proxies::new(Trusted::new(&["10.0.0.0/8".parse().unwrap()]), Some(header));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let client = proxies.client(PeerAddr(peer.parse().unwrap()), &headers);
        client
            .map(|client| client.to_string())
            .map_err(|Unforwarded(proxy)| proxy.to_string())
    }

    #[test]
    fn the_header_that_was_agreed_on_says_who_asks() {
        for (value, client) in [
            ("198.51.100.7", "198.51.100.7"),
            (" 198.51.100.7 ", "198.51.100.7"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(
                asks(PROXY, &[("x-client-ip", value)]),
                Ok(client.into()),
                "{value}"
            );
        }
    }

    #[test]
    fn no_other_header_counts_beside_it() {
        let others = [
            ("x-forwarded-for", "203.0.113.5"),
            ("forwarded", "for=203.0.113.5"),
        ];
        assert_eq!(asks(PROXY, &others), Err("10.0.0.1".into()));
        let lines = [others[0], ("x-client-ip", "198.51.100.7"), others[1]];
        assert_eq!(asks(PROXY, &lines), Ok("198.51.100.7".into()));
    }

    #[test]
    fn what_is_said_twice_or_not_understood_is_the_proxys_own() {
        for value in [
            "unknown",
            "",
            "198.51.100.7, 203.0.113.5",
            "198.51.100",
            "UNKNOWN",
        ] {
            assert_eq!(
                asks(PROXY, &[("x-client-ip", value)]),
                Err("10.0.0.1".into()),
                "{value}"
            );
        }
        let twice = [("x-client-ip", "198.51.100.7"), ("x-client-ip", "198.51.100.7")];
        assert_eq!(asks(PROXY, &twice), Err("10.0.0.1".into()));
    }

    #[test]
    fn a_stranger_cannot_say_it() {
        assert_eq!(
            asks(STRANGER, &[("x-client-ip", "198.51.100.7")]),
            Ok("192.0.2.66".into())
        );
    }
}
