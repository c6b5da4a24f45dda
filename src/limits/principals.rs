//! Request rates of principals.
//!
//! Not here: the rates of addresses (`rate`), which always hold too.

use std::{num::NonZeroU32, sync::Arc};

use dashmap::DashMap;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};

use super::Refusal;
use crate::client::ClientKey;

/// The token buckets of principals, grouped by rate. Rates come from the configuration and the file of keys, so there are few.
#[derive(Debug, Default)]
pub struct PrincipalRates(DashMap<NonZeroU32, Arc<DefaultKeyedRateLimiter<ClientKey>>>);

impl PrincipalRates {
    /// Counts a request of this principal, which may make so many a minute.
    ///
    /// # Errors
    /// A [`Refusal`] if it comes too soon.
    pub fn count(&self, principal: ClientKey, per_minute: NonZeroU32) -> Result<(), Refusal> {
        let limiter = Arc::clone(
            &self
                .0
                .entry(per_minute)
                .or_insert_with(|| Arc::new(limiter(per_minute))),
        );
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

fn limiter(per_minute: NonZeroU32) -> DefaultKeyedRateLimiter<ClientKey> {
    let burst = NonZeroU32::new(per_minute.get() / BURST_SHARE).unwrap_or(NonZeroU32::MIN);
    DefaultKeyedRateLimiter::keyed(Quota::per_minute(per_minute).allow_burst(burst))
}

/// The share of a minute's requests that may come at once: that of addresses by default.
const BURST_SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_principal_has_a_rate_of_its_own() {
        let rates = PrincipalRates::default();
        let minute = |rate| NonZeroU32::new(rate).unwrap();
        let [one, other] = [[1; 16], [2; 16]].map(ClientKey::of_principal);
        let answered = |key, rate| {
            (0..100)
                .take_while(|_| rates.count(key, minute(rate)).is_ok())
                .count()
        };
        assert_eq!(answered(one, 50), 5);
        assert_eq!(answered(other, 50), 5);
        assert_eq!(answered(one, 5), 1);
        assert!(matches!(
            rates.count(one, minute(50)),
            Err(Refusal::PrincipalRate(_))
        ));
    }
}
