//! The routes of the admin listener that change something. They need POST and a token, whose check is here too.
//!
//! Not here: the check of hosts and origins (`csrf`), and what the commands do (`admin_commands`).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::json_body;
use crate::{
    auth::{Revocation, RevokeError},
    client::ClientKey,
    http::{Error, Gateway, SwitchError, Switched, json},
    limits::TooManyAttempts,
    metrics::AdminRefusal,
    position::Timestamp,
};

/// The body of [`activate`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivateRequest {
    cluster: String,
    #[serde(default)]
    force: bool,
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
    let selection = gateway.catalog.get().select(&stream)?;
    let [stream] = &selection.streams[..] else {
        return Err(Error::BadCommand("the path must name one stream".to_owned()));
    };
    let cluster_switch = &gateway.commands.cluster_switch;
    match cluster_switch.activate_cluster(stream, &command.cluster, command.force) {
        Ok(switched) => {
            let Switched { streams, from, to } = &switched;
            tracing::info!(
                %client,
                streams = streams.join(","),
                from,
                to,
                force = command.force,
                "a command to switch streams to a cluster was carried out"
            );
            Ok(json::response(StatusCode::OK, &switched)?)
        }
        Err(SwitchError::Unknown(why)) => Err(Error::BadCommand(why)),
        Err(SwitchError::Conflict(why)) => Err(Error::Conflict(why)),
    }
}

/// The body of [`revoke`]: one of the first three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeRequest {
    jti: Option<String>,
    subject: Option<String>,
    key: Option<String>,
    /// From when on the entry may be left out, in ISO 8601.
    expires: Option<String>,
}

impl RevokeRequest {
    fn revocation(self) -> Result<Revocation, Error> {
        match (self.jti, self.subject, self.key) {
            (Some(id), None, None) => Ok(Revocation::TokenId(id)),
            (None, Some(subject), None) => Ok(Revocation::Subject(subject)),
            (None, None, Some(name)) => Ok(Revocation::Key(name)),
            _ => {
                let why = "the body needs exactly one of `jti`, `subject` and `key`";
                Err(Error::BadCommand(why.to_owned()))
            }
        }
    }

    /// Returns from when on the entry may be left out, in milliseconds since the Unix epoch.
    fn until(&self) -> Result<Option<Timestamp>, Error> {
        let Some(text) = &self.expires else {
            return Ok(None);
        };
        let time: Result<jiff::Timestamp, _> = text.parse();
        let time = time.map_err(|_| Error::BadCommand("`expires` is not a time in ISO 8601".to_owned()))?;
        Ok(Some(time.as_millisecond()))
    }
}

/// `POST /admin/revocations` with `{"jti":"..."}`, `{"subject":"..."}` or `{"key":"..."}`. Whoever gets the answer can rely on it: the
/// revocation is in the file.
pub(super) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    Extension(client): Extension<ClientKey>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    authorize(&gateway, client, &head.headers).await?;
    let command: RevokeRequest = read(body).await?;
    let until = command.until()?;
    let revocation = command.revocation()?;
    let Some(authenticator) = gateway.auth.clone() else {
        return Err(Error::Conflict(
            "there is no [auth], so there is nothing to revoke".to_owned(),
        ));
    };
    // A task of its own: a client that gives up must not stop it half-way.
    let revoking = tokio::spawn(async move { authenticator.revoke(revocation, until).await });
    let revoked = revoking
        .await
        .map_err(|panic| Error::Internal(panic.to_string()))?;
    match revoked {
        Ok(streams) => {
            tracing::info!(%client, streams, "a command to revoke credentials was carried out");
            Ok(json::response(
                StatusCode::OK,
                &serde_json::json!({ "streams": streams }),
            )?)
        }
        Err(error @ RevokeError::NoFile) => Err(Error::Conflict(error.to_string())),
        Err(error @ RevokeError::Expired) => Err(Error::BadCommand(error.to_string())),
        Err(RevokeError::File(why)) => {
            tracing::error!(%client, why, "a command to revoke credentials failed; nothing is revoked");
            Err(Error::NotStored(format!("nothing is revoked: {why}")))
        }
    }
}

/// Checks the token of a command. A client that sent many wrong tokens is held back first.
///
/// # Errors
/// 429 after too many wrong tokens, 403 if no token is configured, 401 if the request has none or a wrong one.
async fn authorize(gateway: &Gateway, client: ClientKey, headers: &HeaderMap) -> Result<(), Error> {
    let (admission, metrics) = (&gateway.admission, &gateway.metrics);
    let auth_throttle = &admission.auth_throttle;
    let held = || _ = admission.metrics.held_back.inc();
    if let Err(TooManyAttempts) = auth_throttle.throttle(client, held).await {
        auth_throttle.record_failure(client);
        metrics.admin_refused(AdminRefusal::Guesses);
        return Err(Error::TooManyAttempts);
    }
    gateway.commands.authorize(headers).inspect_err(|error| {
        if let Error::NoToken = error {
            auth_throttle.record_failure(client);
            metrics.admin_refused(AdminRefusal::Token);
        }
    })
}

/// Checks the token of a request that only reads. Everybody may read if no token is configured, as everybody may read health. A request
/// without a token is no wrong guess: a page asks for it when it is refused.
///
/// # Errors
/// As [`authorize`], but no 403.
pub(super) async fn authorize_read(
    gateway: &Gateway,
    client: ClientKey,
    headers: &HeaderMap,
) -> Result<(), Error> {
    match headers.contains_key(header::AUTHORIZATION) {
        _ if !gateway.commands.has_token() => Ok(()),
        true => authorize(gateway, client, headers).await,
        false => Err(Error::NoTokenToRead),
    }
}

/// Reads a command's body as JSON.
///
/// # Errors
/// 400 if it is longer than [`MAX_BODY`], late, or no such JSON.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Error> {
    json_body::read(body, MAX_BODY).await.map_err(Error::BadCommand)
}

/// The longest body of a command, in bytes: enough for a name and a flag.
const MAX_BODY: usize = 4096;
