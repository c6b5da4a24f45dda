//! What changes something: on the admin listener, by POST, with a token. Not here: under which names, and from which pages
//! (`guard`).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hosts::AllowedHosts;
use crate::{
    catalog::StreamName,
    client::ClientKey,
    http::{Gateway, error::Error, json, settings::AdminSettings},
    limits::TooManyAttempts,
    metrics::AdminRefusal,
};

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

/// The body of [`activate`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivateRequest {
    cluster: String,
    #[serde(default)]
    force: bool,
}

impl AdminCommands {
    /// Commands under these settings. Without a token there are none.
    pub fn new(settings: &AdminSettings, cluster_switch: Arc<dyn ClusterSwitch>) -> Self {
        let digest = |token: &crate::http::settings::AdminToken| Sha256::digest(token.secret()).into();
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

    /// Whether whoever sent these headers may command.
    fn authorize(&self, headers: &HeaderMap) -> Result<(), Error> {
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

/// `POST /admin/clusters/{stream}/active` with `{"cluster":"...","force":false}`.
pub(in crate::http) async fn activate(
    State(gateway): State<Arc<Gateway>>,
    Path(stream): Path<String>,
    Extension(client): Extension<ClientKey>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    authorize(&gateway, client, &head.headers).await?;
    let command: ActivateRequest = read(body).await?;
    let selection = gateway.catalog.select(&stream)?;
    let [stream] = &selection.streams[..] else {
        return Err(Error::BadCommand("it names more than one stream".to_owned()));
    };
    match gateway
        .commands
        .cluster_switch
        .activate_cluster(stream, &command.cluster, command.force)
    {
        Ok(switched) => {
            let Switched { streams, from, to } = &switched;
            tracing::info!(%client, streams = streams.join(","), from, to, force = command.force, "a command was obeyed");
            Ok(json::response(StatusCode::OK, &switched))
        }
        Err(SwitchError::Unknown(why)) => Err(Error::BadCommand(why)),
        Err(SwitchError::Conflict(why)) => Err(Error::Conflict(why)),
    }
}

/// Whether `client` may command: at once, or held back after many wrong tokens.
async fn authorize(gateway: &Gateway, client: ClientKey, headers: &HeaderMap) -> Result<(), Error> {
    let Gateway {
        admission,
        commands,
        metrics,
        ..
    } = gateway;
    let auth_throttle = &admission.auth_throttle;
    let held = || admission.metrics.held_back();
    if let Err(TooManyAttempts) = auth_throttle.throttle(client, held).await {
        auth_throttle.record_failure(client);
        metrics.admin_refused(AdminRefusal::Guesses);
        return Err(Error::TooManyAttempts);
    }
    commands.authorize(headers).inspect_err(|error| {
        if let Error::NoToken = error {
            auth_throttle.record_failure(client);
            metrics.admin_refused(AdminRefusal::Token);
        }
    })
}

async fn read<T: for<'a> Deserialize<'a>>(body: Body) -> Result<T, Error> {
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body
        .map_err(|error| Error::BadCommand(error.to_string()))?
        .to_bytes();
    serde_json::from_slice(&body).map_err(|error| Error::BadCommand(error.to_string()))
}

/// The longest body of a command, in bytes: a name and a flag.
const MAX_BODY: usize = 4096;

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
