//! Ending many streams at once, spread so that other clients do not wait for all of it.

use std::{sync::Weak, time::Duration};

use tokio::time::sleep;

use super::{EvictReason, Evictable};

/// Ends these streams a few at a time. All of them were told to end within half a second.
pub async fn evict_all(streams: Vec<(Weak<dyn Evictable>, EvictReason)>) {
    for turn in streams.chunks(streams.len().div_ceil(TURNS).max(1)) {
        for (stream, why) in turn {
            if let Some(stream) = stream.upgrade() {
                stream.evict(*why);
            }
        }
        sleep(SPREAD / TURNS as u32).await;
    }
}

/// Over how much time the streams end. All of them have to be gone within a second.
const SPREAD: Duration = Duration::from_millis(400);

/// In how many turns.
const TURNS: usize = 40;
