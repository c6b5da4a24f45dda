//! The bootstrap list, and whether a restart could still connect with it.

use std::collections::BTreeMap;

/// The addresses of the list, with the results of the last attempts to connect.
#[derive(Debug, Default)]
pub(super) struct Bootstrap {
    pub(super) list: Vec<String>,
    /// The result for each address that was tried, with the error if it took no connection.
    tried: BTreeMap<String, Result<(), String>>,
}

impl Bootstrap {
    pub(super) fn set(&mut self, list: Vec<String>) {
        self.tried.retain(|address, _| list.contains(address));
        self.list = list;
    }

    pub(super) fn record_attempt(&mut self, address: &str, outcome: Result<(), String>) {
        if self.list.iter().any(|own| own == address) {
            self.tried.insert(address.to_owned(), outcome);
        }
    }

    /// Returns how many addresses take connections. Returns `None` until all were tried.
    pub(super) fn reachable(&self) -> Option<usize> {
        (self.tried.len() == self.list.len()).then(|| self.tried.values().filter(|it| it.is_ok()).count())
    }

    /// Returns whether this address took a connection at the last attempt.
    pub(super) fn takes(&self, address: &str) -> bool {
        self.tried.get(address).is_some_and(Result::is_ok)
    }

    /// Returns the error of the last attempt for this address, if it failed.
    pub(super) fn fault(&self, address: &str) -> Option<&str> {
        self.tried.get(address)?.as_ref().err().map(String::as_str)
    }

    /// Lists the addresses that take no connections, each with its error.
    pub(super) fn dead(&self) -> String {
        let dead = self.tried.iter().filter_map(|(address, outcome)| {
            let why = outcome.as_ref().err()?;
            Some(format!("{address}: {why}"))
        });
        dead.collect::<Vec<_>>().join("; ")
    }
}
