//! The certificates of both listeners, and the keys of their session tickets.

use zeroize::Zeroizing;

use super::core_dumps;
use crate::{
    config::Config,
    health::Health,
    metrics::TlsMetrics,
    tls::{LOOK_INTERVAL, TlsFaults, TlsServer},
};

/// The certificates of the listeners that have TLS. Clones share them.
#[derive(Clone)]
pub(super) struct TlsServers {
    pub(super) http: Option<TlsServer>,
    pub(super) admin: Option<TlsServer>,
}

impl TlsServers {
    /// Reads the files that the configuration names. If it names any, the memory of this process is in no core dump from now on.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn load(config: &Config, metrics: &TlsMetrics) -> Result<Self, TlsFaults> {
        let (http, admin) = (config.http.tls.as_ref(), config.admin.tls.as_ref());
        if http.is_some() || admin.is_some() {
            core_dumps::exclude_memory();
        }
        let http = http.map(|https| TlsServer::load("http", &https.tls, metrics));
        let admin = admin.map(|tls| TlsServer::load("admin", tls, metrics));
        let (http, admin) = TlsFaults::both(http.transpose(), admin.transpose())?;
        Ok(Self { http, admin })
    }

    /// Applies the settings of a new configuration. Adding or removing TLS needs a restart.
    pub(super) fn reload(&self, config: &Config) {
        if let (Some(server), Some(https)) = (&self.http, &config.http.tls) {
            server.reload(&https.tls);
        }
        if let (Some(server), Some(tls)) = (&self.admin, &config.admin.tls) {
            server.reload(tls);
        }
    }

    /// Returns the keys of session tickets that a successor gets, each with the number of its listener.
    pub(super) fn pass_on_ticket_keys(&self) -> impl Iterator<Item = (u8, Zeroizing<Vec<u8>>)> {
        self.listeners()
            .filter_map(|(number, server)| Some((number, server.pass_on_ticket_keys()?)))
    }

    /// Takes the keys that a predecessor had for the listener with this number, if there is one.
    pub(super) fn take_ticket_keys(&self, listener: u8, keys: &[u8]) {
        let own = self.listeners().find(|(own, _)| *own == listener);
        if let Some((_, server)) = own {
            server.take_ticket_keys(keys);
        }
    }

    /// Returns the listeners that have TLS, each with its number in messages to a successor.
    fn listeners(&self) -> impl Iterator<Item = (u8, &TlsServer)> {
        let all = [(1, &self.http), (2, &self.admin)];
        all.into_iter()
            .filter_map(|(number, server)| Some((number, server.as_ref()?)))
    }

    /// Looks at the files from now on. Must be called inside a runtime, with which it ends.
    pub(super) fn watch(&self, health: &Health) {
        for (_, server) in self.listeners() {
            tokio::spawn(server.clone().watch(health.clone(), LOOK_INTERVAL));
        }
    }
}
