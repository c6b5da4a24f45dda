//! The check of credentials, and its files.

use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{
    auth::{AuthFaults, Authenticator},
    config::Config,
    metrics::{AuthMetrics, Registry},
};

/// The check of credentials, if any are looked at. Clones share it.
#[derive(Clone)]
pub(super) struct Authentication {
    authenticator: Option<Authenticator>,
    metrics: AuthMetrics,
}

impl Authentication {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn load(config: &Config) -> Result<Self, AuthFaults> {
        let metrics = AuthMetrics::default();
        let settings = config.auth.as_ref();
        let authenticator = settings.map(|settings| Authenticator::load(settings, &metrics));
        Ok(Self {
            authenticator: authenticator.transpose()?,
            metrics,
        })
    }

    pub(super) fn authenticator(&self) -> Option<Authenticator> {
        self.authenticator.clone()
    }

    /// Registers the metrics, if credentials are looked at.
    pub(super) fn register(&self, registry: &mut Registry) {
        if self.authenticator.is_some() {
            self.metrics.add_to(registry);
        }
    }

    /// Fetches the keys of issuers from now on. Must be called inside a runtime, with which it ends.
    pub(super) fn start(&self) {
        self.authenticator.iter().for_each(Authenticator::start);
    }

    /// Waits for the keys of issuers, but not for long.
    pub(super) async fn first_keys(&self) {
        if let Some(authenticator) = &self.authenticator {
            authenticator.first_keys().await;
        }
    }

    /// Returns the random key of tickets that a successor gets, if credentials are looked at.
    pub(super) fn pass_on_ticket_key(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.authenticator.as_ref().map(Authenticator::pass_on_ticket_key)
    }

    /// Takes the random key of a predecessor.
    pub(super) fn take_ticket_key(&self, key: &[u8]) {
        if let Some(authenticator) = &self.authenticator {
            authenticator.take_ticket_key(key);
        }
    }

    /// Returns a future that applies the settings of a new configuration, and reads the files again. Adding or removing the section
    /// needs a restart. Must be polled inside a runtime.
    pub(super) fn reload(&self, config: &Config) -> impl Future<Output = ()> + Send + use<> {
        let parts = self.authenticator.clone().zip(config.auth.clone());
        async move {
            let Some((authenticator, settings)) = parts else {
                return;
            };
            match authenticator.reload(&settings).await {
                Ok(()) => tracing::info!("the files of authentication were read again and apply"),
                Err(faults) => tracing::error!(
                    "the files of authentication cannot be used; the previous ones still apply:\n{faults}"
                ),
            }
        }
    }

    /// Applies for so long what another process revokes, because two serve during a hot restart. Must be called inside a runtime.
    pub(super) fn follow_revocations(&self, duration: Duration) {
        if let Some(authenticator) = self.authenticator.clone() {
            // The task ends with the runtime, if not before.
            tokio::spawn(async move { timeout(duration, authenticator.follow_revocations()).await });
        }
    }
}
