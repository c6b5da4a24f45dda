//! The certificates of both listeners.

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
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn load(config: &Config, metrics: &TlsMetrics) -> Result<Self, TlsFaults> {
        let http = config.http.tls.as_ref();
        let http = http.map(|https| TlsServer::load("http", &https.tls, metrics));
        let admin = config.admin.tls.as_ref();
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

    /// Looks at the files from now on. Must be called inside a runtime, with which it ends.
    pub(super) fn watch(&self, health: &Health) {
        for server in [&self.http, &self.admin].into_iter().flatten() {
            tokio::spawn(server.clone().watch(health.clone(), LOOK_INTERVAL));
        }
    }
}
