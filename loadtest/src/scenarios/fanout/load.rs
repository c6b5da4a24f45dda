//! What clients request, and how much is written.

use std::fmt;

use serde::Serialize;

use crate::{
    ask::Ask,
    crowd::{ClientTask, address},
    server::{Kind, PARTITIONS},
};

/// A load. Every server gets it in turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// The number of clients.
    pub clients: usize,
    /// Records per second.
    pub rate: f64,
    /// The number of different filters of the clients, all of which pass every event; 0 for no filter.
    pub filters: usize,
    /// Further query parameters, such as `encoding=gzip`.
    pub query: String,
    /// Further keys of the stream in the configuration of riverhead, such as `annotate = true`.
    pub stream_keys: String,
}

impl Load {
    /// Returns whether this server supports the load: filters and the like exist in riverhead only.
    pub fn is_for(&self, kind: Kind) -> bool {
        let is_plain = self.filters == 0 && self.query.is_empty() && self.stream_keys.is_empty();
        kind.is_riverhead() || is_plain
    }

    /// Returns the request of a client that uses one of this many addresses.
    pub(super) fn task(&self, kind: Kind, target: &str, client: usize, addresses: usize) -> ClientTask {
        let from = address(self.place(client, addresses), addresses);
        let ask = Ask::new(self.target(target, client)).browser_from(from);
        let first = || (0..PARTITIONS as u64).collect();
        ClientTask {
            ask,
            // Every stream has begun before the first record is written.
            next: kind.begins_at_once().then(first),
        }
    }

    fn target(&self, target: &str, client: usize) -> String {
        let mut parts = Vec::new();
        if self.filters > 0 {
            // All numbers are above the bound. The condition on the last field makes the filter read the
            // whole event.
            let bound = 1 + client % self.filters;
            parts.push(format!("filter=n%20%3E%20-{bound}%20and%20exists%20pad"));
        }
        if !self.query.is_empty() {
            parts.push(self.query.clone());
        }
        if parts.is_empty() {
            return target.to_owned();
        }
        format!("{target}?{}", parts.join("&"))
    }

    /// Spreads filters over addresses, so that no address has more of them than necessary: a client key may
    /// have five.
    fn place(&self, client: usize, addresses: usize) -> usize {
        match self.filters {
            0 => client,
            filters if filters > addresses => (client % filters) % addresses,
            filters => client % (addresses - addresses % filters),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} clients, {}/s", self.clients, self.rate)?;
        if self.filters > 0 {
            write!(f, ", {} filters", self.filters)?;
        }
        if !self.query.is_empty() {
            write!(f, ", {}", self.query)?;
        }
        if !self.stream_keys.is_empty() {
            write!(f, ", {}", self.stream_keys)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn no_address_has_more_than_five_filters() {
        for filters in [1, 3, 7, 249, 250, 1_000, 1_250] {
            let load = Load {
                clients: 3_000,
                rate: 1.0,
                filters,
                query: String::new(),
                stream_keys: String::new(),
            };
            let mut of: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for client in 0..load.clients {
                let Ask { from, target, .. } = load.task(Kind::Riverhead, "/x", client, 250).ask;
                of.entry(from).or_default().insert(target);
            }
            assert!(of.values().all(|of| of.len() <= 5), "{filters}");
            let all: BTreeSet<_> = of.values().flatten().collect();
            assert_eq!(all.len(), filters);
        }
    }
}
