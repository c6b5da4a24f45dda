//! The bootstrap list: whether anybody would still be found with it.

use std::collections::BTreeMap;

/// Which addresses of the list took a connection when they were last tried.
#[derive(Debug, Default)]
pub(super) struct Bootstrap {
    pub(super) list: Vec<String>,
    /// Address -> why it took none, of those that were tried.
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

    /// How many take connections; `None` until all were tried.
    pub(super) fn reachable(&self) -> Option<usize> {
        (self.tried.len() == self.list.len()).then(|| self.tried.values().filter(|it| it.is_ok()).count())
    }

    /// Returns whether this address took a connection when it was last tried.
    pub(super) fn takes(&self, address: &str) -> bool {
        self.tried.get(address).is_some_and(Result::is_ok)
    }

    /// Why this address took none when it was last tried, if it took none.
    pub(super) fn fault(&self, address: &str) -> Option<&str> {
        self.tried.get(address)?.as_ref().err().map(String::as_str)
    }

    /// Those that take none, each with its reason.
    pub(super) fn dead(&self) -> String {
        let dead = self.tried.iter().filter_map(|(address, outcome)| {
            let why = outcome.as_ref().err()?;
            Some(format!("{address}: {why}"))
        });
        dead.collect::<Vec<_>>().join("; ")
    }
}
