//! The end of a credential, as the stream that came with it meets it: a warning before, and the end of the stream.
//!
//! Not here: revocation (`auth`), which ends a stream as an eviction does (`evict`).

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::{auth::Principal, position::Timestamp, subscription::EventFormat};

/// When a stream ends with its credential, and when the client is told before.
#[derive(Debug)]
pub(in crate::http) struct Expiry {
    /// When the credential expires, without leeway.
    expires: Timestamp,
    /// When the client is told. `None` once it was.
    warns_at: Option<Instant>,
    /// When the stream ends.
    pub(super) ends_at: Instant,
    /// Whether the warning waits for the first event or heartbeat: a client that is told first of all may not listen yet.
    pub(super) waits: bool,
}

impl Expiry {
    /// Returns when a stream that begins at `now`, in milliseconds since the Unix epoch, ends with the credential of this principal.
    /// Returns `None` for a credential that does not expire.
    pub(in crate::http) fn of(principal: &Principal, now: Timestamp) -> Option<Self> {
        let (expires, until) = (principal.expires?, principal.accepted_until?);
        let start = Instant::now();
        let left = millis(until - now);
        // Not earlier than in the middle of what is left: a client that comes back must not be cut off at once again.
        let earlier = fastrand::u64(..=SPREAD.min(left / 2).as_millis() as u64);
        let warning = millis(expires - now).checked_sub(WARNING);
        Some(Self {
            expires,
            warns_at: Some(start + warning.unwrap_or_default()),
            ends_at: start + left - Duration::from_millis(earlier),
            waits: warning.is_none(),
        })
    }

    /// Returns when something is to be done next.
    pub(super) fn deadline(&self) -> Instant {
        let warning = self.warns_at.filter(|_| !self.waits);
        warning.map_or(self.ends_at, |warning| warning.min(self.ends_at))
    }

    /// Returns the warning if it is due. It is returned once.
    pub(super) fn take_warning(&mut self, format: EventFormat) -> Option<Bytes> {
        let is_due = |at: &Instant| !self.waits && *at <= Instant::now();
        self.warns_at.take_if(|at| is_due(at))?;
        let expires = jiff::Timestamp::from_millisecond(self.expires).unwrap_or_default();
        let data = format!("{{\"expires\":\"{expires}\"}}");
        Some(Bytes::from(match format {
            EventFormat::Sse => format!("event: expiring\ndata: {data}\n\n"),
            EventFormat::Ndjson => format!("{{\"expiring\":{data}}}\n"),
        }))
    }
}

fn millis(time: Timestamp) -> Duration {
    Duration::from_millis(time.clamp(0, MAX_MILLIS) as u64)
}

/// How long before the end a client is told: enough to get another credential from an issuer that is slow.
const WARNING: Duration = Duration::from_secs(30);

/// Over how much time before the end streams end whose credentials expire together, so that their clients do not come back together.
const SPREAD: Duration = Duration::from_secs(10);

/// The longest wait, in milliseconds: a hundred years. Longer ones may be more than a timer takes.
const MAX_MILLIS: Timestamp = 100 * 365 * 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::auth::tests::principal_until;

    const NOW: Timestamp = 1_800_000_000_000;

    /// Returns the expiry of a token that expires so many milliseconds from now, with a leeway of 30 s.
    fn expiry(expires_in: Timestamp) -> Expiry {
        let principal = principal_until(NOW + expires_in, 30_000);
        Expiry::of(&principal, NOW).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_told_once_30_s_before_the_end() {
        let mut expiry = expiry(60_000);
        assert!(!expiry.waits);
        assert_eq!(expiry.deadline(), Instant::now() + Duration::from_secs(30));
        assert_eq!(expiry.take_warning(EventFormat::Sse), None);
        advance(Duration::from_secs(30)).await;
        let told = expiry.take_warning(EventFormat::Sse).unwrap();
        assert_eq!(
            &told[..],
            b"event: expiring\ndata: {\"expires\":\"2027-01-15T08:01:00Z\"}\n\n"
        );
        assert_eq!(expiry.take_warning(EventFormat::Sse), None);
        assert_eq!(expiry.deadline(), expiry.ends_at);
    }

    #[tokio::test(start_paused = true)]
    async fn with_less_left_the_warning_waits_for_the_first_event() {
        let mut expiry = expiry(10_000);
        assert!(expiry.waits);
        assert_eq!(expiry.take_warning(EventFormat::Ndjson), None);
        expiry.waits = false;
        let told = expiry.take_warning(EventFormat::Ndjson).unwrap();
        assert_eq!(
            &told[..],
            b"{\"expiring\":{\"expires\":\"2027-01-15T08:00:10Z\"}}\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_end_spread_over_the_last_seconds_and_none_after_the_leeway() {
        let start = Instant::now();
        let ends: Vec<_> = (0..1_000).map(|_| expiry(60_000).ends_at - start).collect();
        let (first, last) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
        assert!(
            *first >= Duration::from_secs(80) && *first < Duration::from_secs(81),
            "{first:?}"
        );
        assert!(
            *last <= Duration::from_secs(90) && *last > Duration::from_secs(89),
            "{last:?}"
        );
        // Whoever comes back shortly before the end has half of the rest at least.
        let rest = expiry(-28_000).ends_at - start;
        assert!(
            (Duration::from_secs(1)..=Duration::from_secs(2)).contains(&rest),
            "{rest:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_without_an_end_and_one_with_a_distant_one_are_no_special_case() {
        let mut endless = principal_until(NOW, 0);
        (endless.expires, endless.accepted_until) = (None, None);
        assert!(Expiry::of(&endless, NOW).is_none());
        let distant = principal_until(253_402_300_799_000, 0);
        assert!(
            Expiry::of(&distant, NOW).unwrap().ends_at > Instant::now() + Duration::from_secs(3_000_000_000)
        );
    }
}
