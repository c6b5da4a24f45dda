//! The limits in force at a moment, as a lookup by address.
//!
//! Not here: what is counted against them (`open_streams`, `quotas`, `rate`).

use std::{net::IpAddr, num::NonZeroU32};

use super::{LimitSettings, NetworkLimits, Networks};
use crate::client::{CandidateAddrs, ClientAddr, ClientKey, UnidentifiedClient};

/// The settings, indexed by network. A reload makes another one. Streams admitted under this one stay.
#[derive(Debug)]
pub struct Policy {
    pub(super) settings: LimitSettings,
    /// Whether an address may use the gateway at all.
    access: Networks<bool>,
    /// The denied networks, regardless of `allow`.
    denied: Networks<()>,
    networks: Networks<NetworkLimits>,
    probes: Networks<()>,
}

impl Policy {
    pub(super) fn new(settings: &LimitSettings) -> Self {
        let denied = settings.deny.iter().map(|net| (*net, false));
        let allowed = settings.allow.iter().map(|net| (*net, true));
        let networks = settings.networks.iter();
        Self {
            access: denied.chain(allowed).collect(),
            denied: settings.deny.iter().map(|net| (*net, ())).collect(),
            networks: networks.map(|network| (network.cidr, network.clone())).collect(),
            probes: settings.probes.iter().map(|net| (*net, ())).collect(),
            settings: settings.clone(),
        }
    }

    /// Returns whether every request of `client` is refused.
    pub fn denies(&self, client: ClientAddr) -> bool {
        match client.address() {
            Some(address) => self.access.get(address).is_some_and(|allowed| !allowed),
            None => client.proxy().is_some_and(|proxy| self.denies_one_of(&[proxy])),
        }
    }

    /// Returns whether an unidentified client behind a proxy is refused: it is if any address that the request names is denied.
    pub fn denies_unidentified(&self, request: &UnidentifiedClient) -> bool {
        self.denies(request.client) || self.denies_one_of(&request.candidates.0)
    }

    /// Returns whether a client that may have any of these addresses is refused. `allow` applies to known addresses only.
    fn denies_one_of(&self, addresses: &[IpAddr]) -> bool {
        let is_denied = |address: &IpAddr| self.denied.get(*address).is_some();
        addresses.iter().any(is_denied)
    }

    /// Returns the key that `client` is counted under.
    pub fn key(&self, client: ClientAddr) -> ClientKey {
        client.key(self.settings.ipv6_prefix)
    }

    /// Returns how many streams `client` may have. An unidentified client may have no more than any of those that its request
    /// names, so that a client with a low limit gains nothing by headers that cannot be read.
    pub(super) fn stream_limit(&self, client: ClientAddr, candidates: &CandidateAddrs) -> u32 {
        let usual = self.settings.streams_per_client;
        let own = |address: IpAddr| self.networks.get(address)?.streams_per_client;
        let limit = match client.address() {
            Some(address) => own(address).unwrap_or(usual),
            None => candidates
                .0
                .iter()
                .filter_map(|address| own(*address))
                .fold(usual, NonZeroU32::min),
        };
        limit.get()
    }

    /// Returns how many streams the clients may have that may have most.
    pub(super) fn most_streams(&self) -> NonZeroU32 {
        let networks = self.settings.networks.iter();
        let own = networks.filter_map(|network| network.streams_per_client);
        own.fold(self.settings.streams_per_client, NonZeroU32::max)
    }

    /// Returns how many clients may read streams called `name`: `u32::MAX` if there is no limit.
    pub fn client_limit(&self, name: &str) -> u32 {
        let own = self.settings.max_clients.get(name).copied();
        own.unwrap_or(self.settings.clients_per_stream)
            .map_or(u32::MAX, NonZeroU32::get)
    }

    /// Returns whether `client` is a probe, which checks that the public is served.
    pub(super) fn is_probe(&self, client: ClientAddr) -> bool {
        let probe = client.address().and_then(|address| self.probes.get(address));
        probe.is_some()
    }

    /// Returns how many streams may be open in all.
    pub(super) fn total(&self) -> u32 {
        self.settings.streams_total.get()
    }

    /// Returns how many streams may be open, reserved slots aside, for a client of this class to get one more.
    pub(super) fn slots_for(&self, class: ClientClass) -> u32 {
        let slots = self.total() - self.reserved();
        match class {
            ClientClass::New => slots,
            // The two shares may overlap on a host for a handful of streams.
            ClientClass::Existing => slots.saturating_sub(self.total().div_ceil(NEWCOMER_SHARE)),
        }
    }

    /// Returns how many slots are reserved for probes, which use them when no other is free.
    pub(super) fn reserved(&self) -> u32 {
        if self.probes.is_empty() {
            0
        } else {
            PROBE_SLOTS.min(self.total() / 2)
        }
    }
}

/// Whether a client has a stream already. It decides how many of the host's slots it can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientClass {
    /// The client has no stream.
    New,
    /// The client has at least one stream.
    Existing,
}

/// How many times the streams and requests of one client an IPv6 /48 may have.
///
/// The holder of a /48 has 65,536 clients of a /64 each. A site with eight busy networks is well served, and one that makes up
/// addresses is still limited.
pub(super) const SITE_FACTOR: u32 = 8;

/// The share of all streams that is kept for clients that have none yet: an eighth, and at least one.
///
/// Without it, clients that open all they may would fill the host and leave nothing for a client that comes for the first time.
/// Half would idle while present clients are refused. A hundredth is gone as soon as an audience in one place connects.
const NEWCOMER_SHARE: u32 = 8;

/// How many streams are kept for probes, if there are any: two probes that check four things at once.
const PROBE_SLOTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PeerAddr;

    fn address(text: &str) -> ClientAddr {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    fn all_named(texts: &[&str]) -> CandidateAddrs {
        CandidateAddrs(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn nets(texts: &[&str]) -> Vec<ipnet::IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn of_allow_and_deny_the_closer_one_counts() {
        let policy = Policy::new(&LimitSettings {
            deny: nets(&["0.0.0.0/0", "192.0.2.66/32"]),
            allow: nets(&["192.0.2.0/24"]),
            ..LimitSettings::default()
        });
        assert!(policy.denies(address("198.51.100.1")));
        assert!(!policy.denies(address("192.0.2.1")));
        assert!(policy.denies(address("192.0.2.66")));
        assert!(policy.denies(address("::ffff:192.0.2.66")));
        assert!(!policy.denies(address("2001:db8::1")), "nobody spoke of IPv6");
    }

    #[test]
    fn a_network_may_have_more_or_less_than_the_rest() {
        let mut campus = NetworkLimits::new("198.51.100.0/24".parse().unwrap());
        campus.streams_per_client = NonZeroU32::new(100);
        let mut dormitory = NetworkLimits::new("198.51.100.64/26".parse().unwrap());
        dormitory.streams_per_client = NonZeroU32::new(2);
        let policy = Policy::new(&LimitSettings {
            networks: vec![campus, dormitory],
            ..LimitSettings::default()
        });
        let streams = |text| policy.stream_limit(address(text), &CandidateAddrs::default());
        assert_eq!(streams("198.51.100.1"), 100);
        assert_eq!(streams("198.51.100.65"), 2);
        assert_eq!(streams("198.51.101.1"), 10);
        assert_eq!(policy.most_streams().get(), 100);
    }

    #[test]
    fn somebody_behind_a_proxy_has_nothing_that_its_proxy_has() {
        let mut proxies = NetworkLimits::new("10.0.0.0/8".parse().unwrap());
        proxies.streams_per_client = NonZeroU32::new(100);
        let policy = Policy::new(&LimitSettings {
            networks: vec![proxies],
            probes: nets(&["10.0.0.1/32"]),
            deny: nets(&["192.0.2.0/24"]),
            allow: nets(&["192.0.2.7/32"]),
            ..LimitSettings::default()
        });
        let proxy = PeerAddr("10.0.0.1:4711".parse().unwrap());
        let unidentified = ClientAddr::behind(proxy);
        let streams = |client, candidates: &[&str]| policy.stream_limit(client, &all_named(candidates));
        assert_eq!(
            (streams(proxy.into(), &[]), streams(unidentified, &[])),
            (100, 10)
        );
        assert_eq!(
            streams(unidentified, &["10.0.0.1"]),
            10,
            "more is for those who are known"
        );
        assert!(policy.is_probe(proxy.into()) && !policy.is_probe(unidentified));
        assert_ne!(policy.key(proxy.into()), policy.key(unidentified));
        assert!(!policy.denies(unidentified));
        let is_denied =
            |text: &str| policy.denies_one_of(&["198.51.100.1", text].map(|it| it.parse().unwrap()));
        assert!(is_denied("192.0.2.1"));
        assert!(is_denied("192.0.2.7"), "`allow` passes nobody who is not known");
        assert!(!is_denied("198.51.100.2"));
    }

    #[test]
    fn somebody_behind_a_proxy_has_no_more_than_any_of_those_that_are_named() {
        let network = |cidr: &str, streams| NetworkLimits {
            streams_per_client: NonZeroU32::new(streams),
            ..NetworkLimits::new(cidr.parse().unwrap())
        };
        let policy = Policy::new(&LimitSettings {
            networks: vec![network("192.0.2.0/24", 2), network("198.51.100.0/24", 5)],
            ..LimitSettings::default()
        });
        let unidentified = ClientAddr::behind(PeerAddr("10.0.0.1:4711".parse().unwrap()));
        for (candidates, streams) in [
            (&["192.0.2.1"][..], 2),
            (&["203.0.113.1", "198.51.100.1"], 5),
            (&["198.51.100.1", "192.0.2.1"], 2),
            (&["192.0.2.1", "198.51.100.1"], 2),
            (&["203.0.113.1"], 10),
            (&[], 10),
        ] {
            assert_eq!(
                policy.stream_limit(unidentified, &all_named(candidates)),
                streams,
                "{candidates:?}"
            );
        }
        let known = address("203.0.113.1");
        assert_eq!(policy.stream_limit(known, &CandidateAddrs::default()), 10);
    }

    #[test]
    fn where_all_are_denied_somebody_is_too() {
        let policy = Policy::new(&LimitSettings {
            deny: nets(&["0.0.0.0/0"]),
            allow: nets(&["10.0.0.0/8"]),
            ..LimitSettings::default()
        });
        let proxy = PeerAddr("10.0.0.1:4711".parse().unwrap());
        assert!(!policy.denies(proxy.into()));
        assert!(policy.denies(ClientAddr::behind(proxy)));
    }

    #[test]
    fn shares_are_kept_from_those_they_are_not_for_and_a_tiny_host_still_serves() {
        let of = |total, probes: &[&str]| {
            let policy = Policy::new(&LimitSettings {
                streams_total: NonZeroU32::new(total).unwrap(),
                probes: nets(probes),
                ..LimitSettings::default()
            });
            let slots = |class| policy.slots_for(class);
            [
                policy.reserved(),
                slots(ClientClass::New),
                slots(ClientClass::Existing),
            ]
        };
        assert_eq!(of(800, &[]), [0, 800, 700]);
        assert_eq!(of(800, &["192.0.2.1/32"]), [8, 792, 692]);
        assert_eq!(of(1, &["192.0.2.1/32"]), [0, 1, 0]);
    }
}
