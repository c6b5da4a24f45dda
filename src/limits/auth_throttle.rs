//! Throttling of clients that send commands with a wrong token again and again.
//!
//! Not here: what the token is, and how a request carries it (`http`).
//!
//! A token cannot be guessed (it has at least 96 bits). But trying costs processor time and log lines, and should be noticed.

use std::{collections::HashMap, ops::RangeInclusive, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::log_sampler::LogSampler;
use crate::client::ClientKey;

/// Holds back clients whose tokens were wrong, before their next token is checked.
#[derive(Debug)]
pub struct AuthThrottle {
    /// Until when each client's failures count. Each failure moves the time one second ahead.
    failed: Mutex<HashMap<ClientKey, Instant>>,
    slots: Semaphore,
    lines: LogSampler,
}

/// Too many attempts are held back already, so this one is refused without checking its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyAttempts;

impl AuthThrottle {
    /// Creates a throttle without any failures.
    pub(super) fn new() -> Self {
        Self {
            failed: Mutex::default(),
            slots: Semaphore::new(SLOTS),
            lines: LogSampler::new(),
        }
    }

    /// Waits before a token of `client` is checked: not at all, or 1 to 3 seconds after many wrong ones. Calls `held` before the
    /// wait, if there is one.
    ///
    /// # Errors
    /// [`TooManyAttempts`] if too many attempts wait already.
    pub async fn throttle(&self, client: ClientKey, held: impl FnOnce()) -> Result<(), TooManyAttempts> {
        if !self.is_throttled(client) {
            return Ok(());
        }
        let _slot = self.slots.try_acquire().map_err(|_| TooManyAttempts)?;
        held();
        sleep(Duration::from_millis(fastrand::u64(HOLD_MS))).await;
        Ok(())
    }

    /// Records that `client` sent a wrong token or none, or was refused unchecked.
    pub fn record_failure(&self, client: ClientKey) {
        self.note(client);
        if let Some(left_out) = self.lines.take() {
            tracing::warn!(%client, left_out, "a command was refused: its token is wrong or missing");
        }
    }

    fn note(&self, client: ClientKey) {
        let now = Instant::now();
        let mut failed = self.failed.lock();
        if failed.len() >= MAX_CLIENTS && !failed.contains_key(&client) {
            failed.retain(|_, until| *until > now);
            // A flood of addresses displaces entries at random: each displaced client has failed as well.
            if failed.len() >= MAX_CLIENTS
                && let Some(other) = failed.keys().next().copied()
            {
                failed.remove(&other);
            }
        }
        let until = failed.entry(client).or_insert(now);
        *until = (*until).max(now) + PENALTY;
        // However many failures there were, a minute without any is enough.
        *until = (*until).min(now + PENALTY * MAX_PENALTIES);
    }

    fn is_throttled(&self, client: ClientKey) -> bool {
        let until = self.failed.lock().get(&client).copied();
        until.is_some_and(|until| until > Instant::now() + PENALTY * FREE_ATTEMPTS)
    }

    /// Forgets clients that have not failed for a while.
    pub(super) fn forget_idle(&self) {
        let now = Instant::now();
        self.failed.lock().retain(|_, until| *until > now);
    }
}

/// How many wrong tokens in a row are answered at once, for a person who looks for the right one.
const FREE_ATTEMPTS: u32 = 10;

/// How long each failure counts.
const PENALTY: Duration = Duration::from_secs(1);

/// How many failures count at most.
const MAX_PENALTIES: u32 = 60;

/// How many attempts are held back at a time: half of the connections that the admin listener has without one being closed.
const SLOTS: usize = 32;

/// How long an attempt is held back, in milliseconds.
const HOLD_MS: RangeInclusive<u64> = 1_000..=3_000;

/// How many clients are remembered.
const MAX_CLIENTS: usize = 1_024;

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    async fn guessing() -> AuthThrottle {
        let auth_throttle = AuthThrottle::new();
        (0..=FREE_ATTEMPTS).for_each(|_| auth_throttle.record_failure(client(1)));
        auth_throttle
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_mistakes_cost_nothing_and_many_cost_time() {
        let auth_throttle = AuthThrottle::new();
        for _ in 0..FREE_ATTEMPTS {
            let at_once = auth_throttle
                .throttle(client(1), || panic!("held"))
                .now_or_never();
            assert_eq!(at_once, Some(Ok(())));
            auth_throttle.record_failure(client(1));
        }
        auth_throttle.record_failure(client(1));
        let (start, mut held) = (Instant::now(), false);
        assert_eq!(auth_throttle.throttle(client(1), || held = true).await, Ok(()));
        assert!(held && start.elapsed() >= Duration::from_secs(1));
        let other = auth_throttle
            .throttle(client(2), || panic!("held"))
            .now_or_never();
        assert_eq!(other, Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn ninety_thousand_tries_are_a_handful_that_are_looked_at() {
        let auth_throttle = guessing().await;
        let tries = join_all((0..90_000).map(|_| auth_throttle.throttle(client(1), || {}))).await;
        assert_eq!(tries.iter().filter(|tried| tried.is_ok()).count(), SLOTS);
        for _ in 0..90_000 {
            auth_throttle.record_failure(client(1));
        }
        tokio::time::advance(PENALTY * MAX_PENALTIES).await;
        assert!(!auth_throttle.is_throttled(client(1)), "a minute forgives");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_addresses_takes_no_more_memory_than_is_given() {
        let auth_throttle = AuthThrottle::new();
        for number in 0..10 * MAX_CLIENTS as u32 {
            auth_throttle.record_failure(client(number));
        }
        assert_eq!(auth_throttle.failed.lock().len(), MAX_CLIENTS);
        tokio::time::advance(PENALTY).await;
        auth_throttle.forget_idle();
        assert!(auth_throttle.failed.lock().is_empty());
    }
}
