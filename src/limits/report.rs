//! Who has what, and who is refused, for those who run riverhead.

use serde::Serialize;

use super::client_streams::ClientStreams;
use crate::client::ClientKey;

/// The state of the limits, as `/admin/clients` shows it.
#[derive(Debug, Serialize)]
pub struct LimitsReport {
    /// Streams open now.
    pub streams: u32,
    /// As many as may be.
    pub streams_total: u32,
    /// Clients that have one.
    pub clients: usize,
    /// Who has most, at most 50.
    pub by_streams: Vec<ClientUsage>,
    /// Who is refused most, at most 50 of those refused in the last hour.
    pub by_refusals: Vec<RefusedClient>,
}

/// What one client has.
#[derive(Debug, Serialize)]
pub struct ClientUsage {
    /// The address, or the IPv6 network.
    pub client: String,
    /// How many streams.
    pub streams: u32,
    /// How long the oldest is open.
    pub oldest_seconds: u64,
    /// How long the newest is open.
    pub newest_seconds: u64,
}

impl ClientUsage {
    pub(super) fn new(client: ClientKey, held: &ClientStreams) -> Self {
        let (oldest, newest) = held.ages().unwrap_or_default();
        Self {
            client: client.to_string(),
            streams: held.len(),
            oldest_seconds: oldest.as_secs(),
            newest_seconds: newest.as_secs(),
        }
    }
}

/// What one client was refused.
#[derive(Debug, Serialize)]
pub struct RefusedClient {
    /// The address, or the IPv6 network.
    pub client: String,
    /// How often; never too low.
    pub refusals: u64,
    /// How much too high that may be: memory is bounded, and who is new takes over the count of who was refused least.
    pub overcounted_by_at_most: u64,
    /// Why, the last time; see [`Refusal::name`](super::Refusal::name).
    pub last_reason: &'static str,
    /// When it was first refused.
    pub first_seconds_ago: u64,
    /// When it was last refused.
    pub last_seconds_ago: u64,
}

/// How many of each are shown: more than a person on call reads.
pub(super) const SHOWN: usize = 50;
