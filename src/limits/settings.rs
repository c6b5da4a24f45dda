//! What one client, and all together, may have.

use std::num::NonZeroU32;

/// The section `limits`. A client is an IPv4 address or an IPv6 /64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Streams that one client may have open on this host at a time; at most `streams_total`.
    pub streams_per_client: NonZeroU32,
    /// Streams that all clients together may have open on this host.
    pub streams_total: NonZeroU32,
    /// Connections that may be open without a stream: those that have asked nothing yet, and those between two requests.
    pub connections_without_stream: NonZeroU32,
    /// How many of them one client may have; at most all of them.
    pub connections_without_stream_per_client: NonZeroU32,
    /// Requests per minute that one client may go on making.
    pub requests_per_minute: NonZeroU32,
    /// Requests that one client may make at once before the rate above holds it.
    pub request_burst: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // A browser opens six connections to a host, and an office shares one address.
            streams_per_client: const { NonZeroU32::new(10).unwrap() },
            // What one process is measured to carry; two descriptors each would still fit the usual 20,000.
            streams_total: const { NonZeroU32::new(10_000).unwrap() },
            // Half of the descriptors that are kept beside those of streams.
            connections_without_stream: const { NonZeroU32::new(512).unwrap() },
            // A quarter: an office that opens its browsers at once, and still no host full of one address.
            connections_without_stream_per_client: const { NonZeroU32::new(128).unwrap() },
            // Ten a second: a client that reconnects in a hot loop makes hundreds.
            requests_per_minute: const { NonZeroU32::new(600).unwrap() },
            // Six seconds' worth: all streams of an office resuming at once, several times over.
            request_burst: const { NonZeroU32::new(60).unwrap() },
        }
    }
}
