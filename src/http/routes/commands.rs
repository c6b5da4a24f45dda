//! The routes of the admin listener that change something. They need POST and a token.
//!
//! Not here: the check of hosts and origins (`csrf`), and what the commands do (`admin_commands`).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use crate::{
    client::ClientKey,
    http::{Error, Gateway, SwitchError, Switched, json},
    limits::TooManyAttempts,
    metrics::AdminRefusal,
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
    let selection = gateway.catalog.select(&stream)?;
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

/// Checks the token of a command. A client that sent many wrong tokens is held back first.
///
/// # Errors
/// 429 after too many wrong tokens, 403 if no token is configured, 401 if the request has none or a wrong one.
async fn authorize(gateway: &Gateway, client: ClientKey, headers: &HeaderMap) -> Result<(), Error> {
    let (admission, metrics) = (&gateway.admission, &gateway.metrics);
    let auth_throttle = &admission.auth_throttle;
    let held = || admission.metrics.held_back();
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

/// Reads a command's body as JSON.
///
/// # Errors
/// 400 if it is longer than [`MAX_BODY`], or no such JSON.
async fn read<T: for<'a> Deserialize<'a>>(body: Body) -> Result<T, Error> {
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|error| Error::BadCommand(error.to_string()))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| Error::BadCommand(error.to_string()))
}

/// The longest body of a command, in bytes: enough for a name and a flag.
const MAX_BODY: usize = 4096;
