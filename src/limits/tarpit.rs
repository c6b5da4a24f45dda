//! Delayed answers for clients that ignore refusals.
//!
//! Not here: which requests are refused, and the text of the answer.
//!
//! A client that reconnects in a hot loop makes hundreds of requests a second and ignores `Retry-After`. The answer is the only
//! thing it waits for.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota};
use tokio::{sync::Semaphore, time::sleep};

use crate::client::ClientKey;

/// Holds back refusals, a bounded number at a time.
#[derive(Debug)]
pub(super) struct Tarpit {
    /// Counts the refusals of a client that are answered at once.
    limiter: DefaultKeyedRateLimiter<ClientKey>,
    slots: Semaphore,
}

impl Tarpit {
    /// Creates an empty tarpit, in which no client has been refused yet.
    pub(super) fn new() -> Self {
        Self {
            limiter: DefaultKeyedRateLimiter::keyed(Quota::per_second(PER_SECOND).allow_burst(BURST)),
            slots: Semaphore::new(SLOTS),
        }
    }

    /// Waits 1 to 3 seconds if `client` is refused again and again. Calls `held` before the wait, if there is one.
    pub(super) async fn hold(&self, client: ClientKey, held: impl FnOnce()) {
        if self.limiter.check_key(&client).is_ok() {
            return;
        }
        // Without a free slot the answer is sent at once: a queue would grow as fast as requests come.
        if let Ok(_slot) = self.slots.try_acquire() {
            held();
            sleep(Duration::from_millis(fastrand::u64(HOLD_MS))).await;
        }
    }

    /// Forgets clients that have not been refused for a while.
    pub(super) fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// How many refusals of one client are answered at once, per second and in a row: an office that opens its browsers in the
/// morning is no hot loop.
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN;
const BURST: NonZeroU32 = const { NonZeroU32::new(10).unwrap() };

/// How many refusals are held back at a time. Each keeps a connection open, and with that a descriptor and some kilobytes. A
/// client in a hot loop waits for one answer at a time, so that there are rarely more than a handful.
const SLOTS: usize = 256;

/// How long a refusal is held back, in milliseconds. A client that made 1,000 requests a second then makes one in two seconds.
/// After a longer wait, a client would give up and open another connection.
const HOLD_MS: RangeInclusive<u64> = 1_000..=3_000;

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};
    use tokio::time::Instant;

    use super::*;

    fn client(number: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, number].into())
    }

    /// Returns a tarpit in which client 1 has used up all answers without delay.
    async fn exhausted() -> Tarpit {
        let tarpit = Tarpit::new();
        while tarpit.limiter.check_key(&client(1)).is_ok() {}
        tarpit
    }

    #[tokio::test(start_paused = true)]
    async fn a_hot_loop_waits_and_nobody_else() {
        let tarpit = exhausted().await;
        let (start, mut held) = (Instant::now(), false);
        tarpit.hold(client(1), || held = true).await;
        assert!(held);
        assert!((1.0..=3.1).contains(&start.elapsed().as_secs_f64()));
        assert!(tarpit.hold(client(2), || panic!("held")).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_tarpit_answers_at_once() {
        let tarpit = exhausted().await;
        let mut sitting = Box::pin(join_all((0..SLOTS).map(|_| tarpit.hold(client(1), || {}))));
        assert!((&mut sitting).now_or_never().is_none());
        assert_eq!(tarpit.slots.available_permits(), 0);
        assert!(tarpit.hold(client(1), || panic!("held")).now_or_never().is_some());
        sitting.await;
        assert_eq!(tarpit.slots.available_permits(), SLOTS);
    }
}
