//! The addresses that a broker advertises for the brokers of its cluster (`advertised.listeners`).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The newest answer that listed the brokers of a cluster.
#[derive(Debug)]
pub(super) struct AdvertisedAddresses {
    /// The `host:port` of the broker that answered.
    pub(super) by: String,
    /// The id and `host:port` of each broker in the answer.
    brokers: Vec<(i32, String)>,
    at: Instant,
}

impl AdvertisedAddresses {
    /// Creates it from an answer. `by` is librdkafka's name of the broker, such as `ssl://b1:9092/bootstrap`.
    pub(super) fn new(by: &str, brokers: Vec<(i32, String)>, at: Instant) -> Self {
        let by = by.split_once("://").map_or(by, |(_, rest)| rest);
        let by = by.rsplit_once('/').map_or(by, |(address, _)| address);
        Self {
            by: by.to_owned(),
            brokers,
            at,
        }
    }

    /// Describes the fault if the broker that answers advertises an address that does not. `errors` has the last error of each
    /// address.
    pub(super) fn astray(&self, errors: &BTreeMap<String, String>) -> Option<String> {
        let mut elsewhere = self.brokers.iter().filter(|(_, address)| *address != self.by);
        let (id, address, why) =
            elsewhere.find_map(|(id, address)| Some((id, address, errors.get(address)?)))?;
        let refuses = match why.contains("refused") {
            true => "which refuses connections",
            false => "which does not answer",
        };
        Some(format!(
            "{} answers and advertises broker {id} at {address}, {refuses}: {why} \
             (check advertised.listeners)",
            self.by
        ))
    }

    /// Returns whether the answer was given within `lately`.
    pub(super) fn is_fresh(&self, lately: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < lately
    }
}
