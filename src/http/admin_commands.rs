//! The commands of the admin listener, and the check of the token that they need.
//!
//! Not here: their routes (`routes::commands`), and the check of hosts and origins that every admin request passes
//! (`routes::csrf`).

use std::sync::Arc;

use http::{HeaderMap, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    error::Error,
    routes::hosts::AllowedHosts,
    settings::{AdminSettings, AdminToken},
};
use crate::catalog::StreamName;

/// The commands, the token that authorizes them, and the names of the listener that takes them.
pub struct AdminCommands {
    /// The SHA-256 digest of the token, so that a comparison takes the same time whatever is sent. `None` allows no commands.
    token: Option<[u8; 32]>,
    hosts: AllowedHosts,
    pub(super) cluster_switch: Arc<dyn ClusterSwitch>,
}

/// Carries out the commands.
pub trait ClusterSwitch: Send + Sync + 'static {
    /// Switches `stream`, and the streams that share topics with it, to `cluster`. With `force` it does so even if that cluster
    /// does not serve them.
    ///
    /// # Errors
    /// When nothing was changed.
    fn activate_cluster(
        &self,
        stream: &StreamName,
        cluster: &str,
        force: bool,
    ) -> Result<Switched, SwitchError>;
}

/// The result of a command that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// The streams that moved.
    pub streams: Vec<String>,
    /// The cluster they were read from before.
    pub from: String,
    /// The cluster they are read from now. It equals `from` if there was nothing to change.
    pub to: String,
}

/// Why a command changed nothing, as text for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchError {
    /// The command names a stream or cluster that does not exist.
    Unknown(String),
    /// The command cannot be carried out in the present state.
    Conflict(String),
}

impl AdminCommands {
    /// Creates the commands under these settings. Without a token every command is refused.
    pub fn new(settings: &AdminSettings, cluster_switch: Arc<dyn ClusterSwitch>) -> Self {
        let digest = |token: &AdminToken| Sha256::digest(token.secret()).into();
        Self {
            token: settings.token.as_ref().map(digest),
            hosts: AllowedHosts::new(&settings.hosts),
            cluster_switch,
        }
    }

    /// Returns the host names of the admin listener. The clone follows later changes.
    pub fn hosts(&self) -> AllowedHosts {
        self.hosts.clone()
    }

    /// Whether a token is configured.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Checks the bearer token in these headers.
    ///
    /// # Errors
    /// 403 if no token is configured, 401 if the request has none or a wrong one.
    pub(super) fn authorize(&self, headers: &HeaderMap) -> Result<(), Error> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(token) = &self.token else {
            return Err(Error::NoCommands);
        };
        match text(header::AUTHORIZATION).and_then(|credentials| credentials.split_once(' ')) {
            Some((scheme, credentials))
                if scheme.eq_ignore_ascii_case("bearer")
                    && Sha256::digest(credentials.trim())[..] == token[..] =>
            {
                Ok(())
            }
            _ => Err(Error::NoToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::HeaderValue;

    use super::*;

    struct RefusingSwitch;

    impl ClusterSwitch for RefusingSwitch {
        fn activate_cluster(&self, _: &StreamName, _: &str, _: bool) -> Result<Switched, SwitchError> {
            Err(SwitchError::Unknown(String::new()))
        }
    }

    fn status(token: Option<&str>, credentials: Option<&str>) -> Option<u16> {
        let settings = AdminSettings {
            token: token.map(|token| token.parse().unwrap()),
            ..AdminSettings::default()
        };
        let mut headers = HeaderMap::new();
        if let Some(credentials) = credentials {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(credentials).unwrap());
        }
        let admitted = AdminCommands::new(&settings, Arc::new(RefusingSwitch)).authorize(&headers);
        admitted
            .err()
            .map(|error| error.into_response().status().as_u16())
    }

    #[test]
    fn only_who_knows_the_token_commands() {
        let token = Some("0123456789abcdef");
        let good = Some("Bearer 0123456789abcdef");
        assert_eq!(status(token, good), None);
        for credentials in [
            "0123456789abcdef",
            "Bearer",
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
        ] {
            assert_eq!(status(token, Some(credentials)), Some(401), "{credentials}");
        }
        assert_eq!(status(token, None), Some(401));
        assert_eq!(status(None, good), Some(403), "there are no commands");
    }
}
