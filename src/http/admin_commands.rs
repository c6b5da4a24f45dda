//! What the admin commands do, and the token that they need.
//!
//! Not here: their routes (`routes::commands`).

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

/// Who may command what.
pub struct AdminCommands {
    /// The digest of the token, so that comparing takes the same time whatever is sent.
    token: Option<[u8; 32]>,
    hosts: AllowedHosts,
    cluster_switch: Arc<dyn ClusterSwitch>,
}

/// What commands do.
pub trait ClusterSwitch: Send + Sync + 'static {
    /// Reads `stream`, and those that share topics with it, from `cluster`; by `force` also when that fails.
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

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// The streams that moved.
    pub streams: Vec<String>,
    /// The cluster they were read from.
    pub from: String,
    /// The one they are read from; the same when there was nothing to change.
    pub to: String,
}

/// Why nothing was changed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchError {
    /// There is no such thing.
    Unknown(String),
    /// It is not the time for it.
    Conflict(String),
}

impl AdminCommands {
    /// Commands under these settings. Without a token there are none.
    pub fn new(settings: &AdminSettings, cluster_switch: Arc<dyn ClusterSwitch>) -> Self {
        let digest = |token: &AdminToken| Sha256::digest(token.secret()).into();
        Self {
            token: settings.token.as_ref().map(digest),
            hosts: AllowedHosts::new(&settings.hosts),
            cluster_switch,
        }
    }

    /// The names under which the admin listener may be asked.
    pub fn hosts(&self) -> AllowedHosts {
        self.hosts.clone()
    }

    pub(super) fn cluster_switch(&self) -> &dyn ClusterSwitch {
        &*self.cluster_switch
    }

    /// Whether whoever sent these headers may command.
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
