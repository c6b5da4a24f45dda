//! The token buckets: which bucket a request is counted in, and how fast it refills.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::middleware::NoOpMiddleware;
use http::{Extensions, Request};
use tower_governor::{
    GovernorError,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use crate::{
    client::{CandidateAddrs, ClientAddr, ClientKey},
    limits::{LimitSettings, NetworkLimits, Networks, SITE_FACTOR},
};

/// The buckets of all clients, grouped by rate.
#[derive(Debug)]
pub(super) struct Buckets {
    usual: BucketGroup,
    networks: Networks<BucketGroup>,
}

impl Buckets {
    /// Creates the buckets for `settings`. They are full, unless `former` has buckets of the same rate, which are kept.
    pub(super) fn new(settings: &LimitSettings, former: Option<&Self>) -> Self {
        let quota = RateQuota {
            per_minute: settings.requests_per_minute,
            burst: settings.request_burst,
        };
        let usual = BucketGroup::new(quota, former.map(|former| &former.usual));
        let group = |network: &NetworkLimits| {
            let own = quota.of(network);
            if own == quota {
                return usual.clone();
            }
            BucketGroup::new(own, former.and_then(|former| former.networks.of(&network.cidr)))
        };
        let networks = settings.networks.iter();
        Self {
            networks: networks.map(|network| (network.cidr, group(network))).collect(),
            usual,
        }
    }

    /// Returns the buckets of the client of a request, and those of its /48. An unidentified client may have any of the candidate
    /// addresses.
    pub(super) fn of(&self, request: &Extensions) -> &BucketGroup {
        let client: Option<&ClientAddr> = request.get();
        let candidates: Option<&CandidateAddrs> = request.get();
        match client.and_then(|client| client.address()) {
            Some(address) => self.networks.get(address).unwrap_or(&self.usual),
            None => self.slowest(candidates.map_or(&[], |candidates| &candidates.0)),
        }
    }

    /// Returns the slowest group among those of `addresses` and the usual one, so that a client with a low limit gains nothing by
    /// headers that cannot be read.
    fn slowest(&self, addresses: &[IpAddr]) -> &BucketGroup {
        let own = addresses.iter().filter_map(|address| self.networks.get(*address));
        let rate = |group: &&BucketGroup| (group.quota.per_minute, group.quota.burst);
        own.chain([&self.usual]).min_by_key(rate).unwrap_or(&self.usual)
    }

    pub(super) fn forget_idle(&self) {
        self.groups().for_each(BucketGroup::forget_idle);
    }

    pub(super) fn clients(&self) -> usize {
        self.groups().map(|group| group.clients.limiter().len()).sum()
    }

    fn groups(&self) -> impl Iterator<Item = &BucketGroup> {
        let own = self.networks.values().filter(|it| it.quota != self.usual.quota);
        own.chain([&self.usual])
    }
}

/// A rate limiter of tower-governor.
pub(super) type LimiterConfig<K> = Arc<GovernorConfig<K, NoOpMiddleware>>;

/// Buckets with the same rate.
#[derive(Clone, Debug)]
pub(super) struct BucketGroup {
    quota: RateQuota,
    pub(super) clients: LimiterConfig<ClientKeyExtractor>,
    pub(super) sites: LimiterConfig<SiteKeyExtractor>,
}

impl BucketGroup {
    fn new(quota: RateQuota, former: Option<&Self>) -> Self {
        match former {
            Some(former) if former.quota == quota => former.clone(),
            _ => Self {
                quota,
                clients: quota.limiter(ClientKeyExtractor),
                sites: quota.times(SITE_FACTOR).limiter(SiteKeyExtractor),
            },
        }
    }

    fn forget_idle(&self) {
        self.clients.limiter().retain_recent();
        self.clients.limiter().shrink_to_fit();
        self.sites.limiter().retain_recent();
        self.sites.limiter().shrink_to_fit();
    }
}

/// How fast a bucket refills, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RateQuota {
    per_minute: NonZeroU32,
    burst: NonZeroU32,
}

impl RateQuota {
    /// Returns the quota of clients of `network`, whose own values replace these.
    fn of(self, network: &NetworkLimits) -> Self {
        Self {
            per_minute: network.requests_per_minute.unwrap_or(self.per_minute),
            burst: network.request_burst.unwrap_or(self.burst),
        }
    }

    fn times(self, factor: u32) -> Self {
        let times = |number: NonZeroU32| {
            NonZeroU32::new(factor).map_or(number, |factor| number.saturating_mul(factor))
        };
        Self {
            per_minute: times(self.per_minute),
            burst: times(self.burst),
        }
    }

    fn limiter<K: KeyExtractor>(self, by: K) -> LimiterConfig<K> {
        let config = GovernorConfigBuilder::default()
            .period(MINUTE / self.per_minute.get())
            .burst_size(self.burst.get())
            .key_extractor(by)
            .finish();
        match config {
            Some(config) => Arc::new(config),
            None => unreachable!(
                "period and burst are above zero: a minute has more nanoseconds than any rate has requests"
            ),
        }
    }
}

/// Counts by client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientKeyExtractor;

impl KeyExtractor for ClientKeyExtractor {
    type Key = ClientKey;

    fn extract<T>(&self, request: &Request<T>) -> Result<ClientKey, GovernorError> {
        let key = request.extensions().get().copied();
        key.ok_or(GovernorError::UnableToExtractKey)
    }
}

/// Counts by the client's IPv6 /48. An IPv4 address is a site of its own, whose bucket is never the first to be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SiteKeyExtractor;

impl KeyExtractor for SiteKeyExtractor {
    type Key = ClientKey;

    fn extract<T>(&self, request: &Request<T>) -> Result<ClientKey, GovernorError> {
        let key = ClientKeyExtractor.extract(request)?;
        Ok(key.site().unwrap_or(key))
    }
}

const MINUTE: Duration = Duration::from_secs(60);
