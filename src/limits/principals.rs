//! Request rates of principals.
//!
//! Not here: the rates of addresses (`rate`), which always hold too.

use std::{num::NonZeroU32, sync::Arc};

use dashmap::DashMap;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};

use super::{Refusal, settings::PrincipalLimits};
use crate::client::ClientKey;

/// The token buckets of principals, grouped by rate. Rates come from the configuration and the file of keys, so there are few.
#[derive(Debug, Default)]
pub(super) struct PrincipalRates(DashMap<PrincipalQuota, Arc<DefaultKeyedRateLimiter<ClientKey>>>);

/// How many requests a principal may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PrincipalQuota {
    per_minute: NonZeroU32,
    /// At once.
    burst: NonZeroU32,
}

impl PrincipalQuota {
    /// Returns the quota of a principal with these limits, which may have so many streams where it has no limit of its own. Returns
    /// `None` if its requests are not counted.
    pub(super) fn of(limits: PrincipalLimits, streams: NonZeroU32) -> Option<Self> {
        let per_minute = limits.requests_per_minute?;
        let share = NonZeroU32::new(per_minute.get() / BURST_SHARE).unwrap_or(NonZeroU32::MIN);
        // After a restart all streams come back at once.
        let burst = share.max(limits.streams.unwrap_or(streams));
        Some(Self { per_minute, burst })
    }

    fn limiter(self) -> DefaultKeyedRateLimiter<ClientKey> {
        DefaultKeyedRateLimiter::keyed(Quota::per_minute(self.per_minute).allow_burst(self.burst))
    }
}

impl PrincipalRates {
    /// Counts a request of this principal.
    ///
    /// # Errors
    /// A [`Refusal`] if it comes too soon.
    pub(super) fn count(&self, principal: ClientKey, quota: PrincipalQuota) -> Result<(), Refusal> {
        let limiter = Arc::clone(&self.0.entry(quota).or_insert_with(|| Arc::new(quota.limiter())));
        limiter.check_key(&principal).map_err(|too_soon| {
            let wait = too_soon.wait_time_from(DefaultClock::default().now());
            Refusal::PrincipalRate(wait)
        })
    }

    /// Forgets principals whose bucket is full again: they are as good as new.
    pub(super) fn forget_idle(&self) {
        self.0.retain(|_, limiter| {
            limiter.retain_recent();
            limiter.shrink_to_fit();
            !limiter.is_empty()
        });
    }
}

/// The share of a minute's requests that may come at once at least: that of addresses by default.
const BURST_SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_principal_has_a_rate_of_its_own() {
        let rates = PrincipalRates::default();
        let [one, other] = [[1; 16], [2; 16]].map(ClientKey::of_principal);
        let answered = |key, rate| {
            let quota = quota(rate, None).unwrap();
            (0..100).take_while(|_| rates.count(key, quota).is_ok()).count()
        };
        assert_eq!(answered(one, 50), 5);
        assert_eq!(answered(other, 50), 5);
        assert_eq!(answered(one, 5), 2);
        assert!(matches!(
            rates.count(one, quota(50, None).unwrap()),
            Err(Refusal::PrincipalRate(_))
        ));
    }

    #[test]
    fn all_streams_of_a_principal_may_come_back_at_once_after_a_restart() {
        let burst = |rate, streams| quota(rate, streams).map(|quota| quota.burst.get());
        assert_eq!(burst(600, Some(100)), Some(100));
        assert_eq!(burst(600, Some(7)), Some(60));
        assert_eq!(burst(6, None), Some(2), "as many as its address may have");
        assert_eq!(burst(0, Some(100)), None);
    }

    /// Returns the quota of a principal with these limits, at addresses that may have two streams.
    fn quota(requests_per_minute: u32, streams: Option<u32>) -> Option<PrincipalQuota> {
        let limits = PrincipalLimits {
            streams: streams.and_then(NonZeroU32::new),
            requests_per_minute: NonZeroU32::new(requests_per_minute),
        };
        PrincipalQuota::of(limits, NonZeroU32::new(2).unwrap())
    }
}
