//! What a broker that answers says of where the others are, as its `advertised.listeners` has it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The newest answer that told the brokers of a cluster.
#[derive(Debug)]
pub(super) struct AdvertisedAddresses {
    /// The `host:port` that answered.
    by: String,
    /// The id and `host:port` of each broker that it told of.
    brokers: Vec<(i32, String)>,
    at: Instant,
}

impl AdvertisedAddresses {
    /// `by` is librdkafka's name of the broker, such as `ssl://b1:9092/bootstrap`.
    pub(super) fn new(by: &str, brokers: Vec<(i32, String)>, at: Instant) -> Self {
        let by = by.split_once("://").map_or(by, |(_, rest)| rest);
        let by = by.rsplit_once('/').map_or(by, |(address, _)| address);
        Self {
            by: by.to_owned(),
            brokers,
            at,
        }
    }

    /// Whether this address has answered within `lately`.
    pub(super) fn is_by(&self, address: &str, lately: Duration, now: Instant) -> bool {
        self.by == address && self.is_fresh(lately, now)
    }

    /// Returns the `host:port` that answered.
    pub(super) fn by(&self) -> &str {
        &self.by
    }

    /// Returns what is wrong when the one that answers sends us to addresses that do not; `errors` has what was said against
    /// each.
    pub(super) fn astray(&self, errors: &BTreeMap<String, String>) -> Option<String> {
        let elsewhere = self.brokers.iter().filter(|(_, address)| *address != self.by);
        let (id, address, why) = elsewhere
            .filter_map(|(id, address)| Some((id, address, errors.get(address)?)))
            .next()?;
        let refuses = if why.contains("refused") {
            "which refuses"
        } else {
            "which does not answer"
        };
        Some(format!(
            "{} answers, and says that broker {id} is at {address}, {refuses}: {why} (see advertised.listeners)",
            self.by
        ))
    }

    /// Returns whether it was given within `lately`.
    pub(super) fn is_fresh(&self, lately: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < lately
    }
}
