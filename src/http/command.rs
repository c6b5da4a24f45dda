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

use super::{Gateway, error::Error, hosts::Hosts, json, settings::AdminSettings};
use crate::{catalog::StreamName, client::ClientKey, limits::TooManyGuesses, metrics::AdminRefusal};

/// Who may command what.
pub struct Commands {
    /// The digest of the token, so that comparing takes the same time whatever is sent.
    token: Option<[u8; 32]>,
    hosts: Hosts,
    helm: Arc<dyn Helm>,
}

/// What commands do.
pub trait Helm: Send + Sync + 'static {
    /// Reads `stream`, and those that share topics with it, from `cluster`; by `force` also when that fails.
    ///
    /// # Errors
    /// When nothing was changed.
    fn read_from(&self, stream: &StreamName, cluster: &str, force: bool) -> Result<Steered, NotSteered>;
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Steered {
    /// The streams that moved.
    pub streams: Vec<String>,
    /// The cluster they were read from.
    pub from: String,
    /// The one they are read from; the same when there was nothing to change.
    pub to: String,
}

/// Why nothing was changed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSteered {
    /// There is no such thing.
    Unknown(String),
    /// It is not the time for it.
    Conflict(String),
}

/// The body of [`activate`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    cluster: String,
    #[serde(default)]
    force: bool,
}

impl Commands {
    /// Commands under these settings. Without a token there are none.
    pub fn new(settings: &AdminSettings, helm: Arc<dyn Helm>) -> Self {
        let digest = |token: &super::settings::Token| Sha256::digest(token.secret()).into();
        Self {
            token: settings.token.as_ref().map(digest),
            hosts: Hosts::new(&settings.hosts),
            helm,
        }
    }

    /// The names under which the admin listener may be asked.
    pub fn hosts(&self) -> Hosts {
        self.hosts.clone()
    }

    /// Whether whoever sent these headers may command.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Error> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(token) = &self.token else {
            return Err(Error::NoCommands);
        };
        match text(header::AUTHORIZATION).and_then(|told| told.split_once(' ')) {
            Some((scheme, told))
                if scheme.eq_ignore_ascii_case("bearer") && Sha256::digest(told.trim())[..] == token[..] =>
            {
                Ok(())
            }
            _ => Err(Error::NoToken),
        }
    }
}

/// `POST /admin/clusters/{stream}/active` with `{"cluster":"...","force":false}`.
pub(super) async fn activate(
    State(gateway): State<Arc<Gateway>>,
    Path(stream): Path<String>,
    Extension(client): Extension<ClientKey>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    admit(&gateway, client, &head.headers).await?;
    let order: Order = read(body).await?;
    let selection = gateway.catalog.select(&stream)?;
    let [stream] = &selection.streams[..] else {
        return Err(Error::BadCommand("it names more than one stream".to_owned()));
    };
    match gateway
        .commands
        .helm
        .read_from(stream, &order.cluster, order.force)
    {
        Ok(steered) => {
            let Steered { streams, from, to } = &steered;
            tracing::info!(%client, streams = streams.join(","), from, to, force = order.force, "a command was obeyed");
            Ok(json::response(StatusCode::OK, &steered))
        }
        Err(NotSteered::Unknown(why)) => Err(Error::BadCommand(why)),
        Err(NotSteered::Conflict(why)) => Err(Error::Conflict(why)),
    }
}

/// Whether `client` may command: at once, or held back after many wrong tokens.
async fn admit(gateway: &Gateway, client: ClientKey, headers: &HeaderMap) -> Result<(), Error> {
    let Gateway {
        admission,
        commands,
        metrics,
        ..
    } = gateway;
    let guesses = &admission.guesses;
    let held = || admission.metrics.held_back();
    if let Err(TooManyGuesses) = guesses.patience(client, held).await {
        guesses.failed(client);
        metrics.admin_refused(AdminRefusal::Guesses);
        return Err(Error::TooManyGuesses);
    }
    commands.admit(headers).inspect_err(|error| {
        if let Error::NoToken = error {
            guesses.failed(client);
            metrics.admin_refused(AdminRefusal::Token);
        }
    })
}

async fn read<T: for<'a> Deserialize<'a>>(body: Body) -> Result<T, Error> {
    let body = Limited::new(body, LONGEST).collect().await;
    let body = body
        .map_err(|error| Error::BadCommand(error.to_string()))?
        .to_bytes();
    serde_json::from_slice(&body).map_err(|error| Error::BadCommand(error.to_string()))
}

/// The longest body of a command, in bytes: a name and a flag.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::HeaderValue;

    use super::*;

    struct Nothing;

    impl Helm for Nothing {
        fn read_from(&self, _: &StreamName, _: &str, _: bool) -> Result<Steered, NotSteered> {
            Err(NotSteered::Unknown(String::new()))
        }
    }

    fn status(token: Option<&str>, told: Option<&str>) -> Option<u16> {
        let settings = AdminSettings {
            token: token.map(|token| token.parse().unwrap()),
            ..AdminSettings::default()
        };
        let mut headers = HeaderMap::new();
        if let Some(told) = told {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(told).unwrap());
        }
        let admitted = Commands::new(&settings, Arc::new(Nothing)).admit(&headers);
        admitted
            .err()
            .map(|error| error.into_response().status().as_u16())
    }

    #[test]
    fn only_who_knows_the_token_commands() {
        let token = Some("0123456789abcdef");
        let good = Some("Bearer 0123456789abcdef");
        assert_eq!(status(token, good), None);
        for told in [
            "0123456789abcdef",
            "Bearer",
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
        ] {
            assert_eq!(status(token, Some(told)), Some(401), "{told}");
        }
        assert_eq!(status(token, None), Some(401));
        assert_eq!(status(None, good), Some(403), "there are no commands");
    }
}
