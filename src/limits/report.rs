//! A report for operators: how many streams each client holds, and which clients are refused.

use serde::Serialize;

use super::ClientStreams;
use crate::client::ClientKey;

/// The state of the limits, as `/admin/clients` shows it.
#[derive(Debug, Serialize)]
pub struct LimitsReport {
    /// Streams open now.
    pub streams: u32,
    /// The largest number of open streams.
    pub streams_total: u32,
    /// Clients that have an open stream.
    pub clients: usize,
    /// The clients with the most streams, at most 50.
    pub by_streams: Vec<ClientUsage>,
    /// The clients that are refused most, at most 50 of those refused in the last hour.
    pub by_refusals: Vec<RefusedClient>,
}

/// What one client holds.
#[derive(Debug, Serialize)]
pub struct ClientUsage {
    /// The client's address, or its IPv6 network.
    pub client: String,
    /// Whom the credential of its newest stream stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The number of its open streams.
    pub streams: u32,
    /// How long the oldest stream has been open.
    pub oldest_seconds: u64,
    /// How long the newest stream has been open.
    pub newest_seconds: u64,
}

impl ClientUsage {
    pub(super) fn new(client: ClientKey, held: &ClientStreams) -> Self {
        let (oldest, newest) = held.ages().unwrap_or_default();
        Self {
            client: client.to_string(),
            principal: held.principal().map(str::to_owned),
            streams: held.len(),
            oldest_seconds: oldest.as_secs(),
            newest_seconds: newest.as_secs(),
        }
    }
}

/// How often one client was refused.
#[derive(Debug, Serialize)]
pub struct RefusedClient {
    /// The client's address, or its IPv6 network.
    pub client: String,
    /// How often it was refused. Never too low.
    pub refusals: u64,
    /// How much too high `refusals` may be. Memory is bounded, and a new client takes over the count of the client that was
    /// refused least.
    pub overcounted_by_at_most: u64,
    /// The reason of the last refusal, see [`Refusal::name`](super::Refusal::name).
    pub last_reason: &'static str,
    /// How long ago it was first refused.
    pub first_seconds_ago: u64,
    /// How long ago it was last refused.
    pub last_seconds_ago: u64,
}

/// How many clients each list shows: more than a person on call reads.
pub(super) const MAX_SHOWN: usize = 50;
