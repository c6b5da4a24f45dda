//! The route `POST /v2/tickets`: a short-lived URL for a client that cannot send a header, such as the `EventSource` of browsers.
//!
//! Not here: what a ticket is (`auth`), and its check (`access`).

use std::{collections::BTreeSet, sync::Arc};

use axum::{Extension, body::Body, extract::State, response::Response};
use http::{HeaderMap, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::{
    access::{self, CookieOrigin},
    commands, cors,
};
use crate::{
    auth::{Principal, TicketError, TicketGrant},
    catalog::Selection,
    filter::{FilterBuilder, claims_of},
    http::{Error, Gateway, json},
};

/// The body of [`issue`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    streams: Vec<String>,
    filter: Option<String>,
}

/// Answers with a ticket for these streams, which the asker may read.
pub(super) async fn issue(
    State(gateway): State<Arc<Gateway>>,
    principal: Option<Extension<Arc<Principal>>>,
    cookie: Option<Extension<CookieOrigin>>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let authenticator = gateway
        .auth
        .as_ref()
        .filter(|auth| auth.makes_tickets())
        .ok_or(Error::NoSuchPath)?;
    let Extension(principal) = principal.ok_or(Error::CredentialRequired)?;
    // A page of our own origin can ask with the cookie itself.
    if cookie.is_some_and(|Extension(CookieOrigin { is_listed })| !is_listed) {
        return Err(Error::ForeignCookie);
    }
    let (head, body) = request.into_parts();
    if access::grant_of(&head.extensions).is_some() {
        return Err(Error::TicketForTicket);
    }
    if !is_json(&head.headers) {
        return Err(Error::BadCommand(
            "the body must be JSON, with `content-type: application/json`".to_owned(),
        ));
    }
    let wanted: TicketRequest = commands::read(body).await?;
    let selection = gateway.catalog.select(&wanted.streams.join(","))?;
    access::check(&gateway, Some(&principal), None, &selection)?;
    let filter = wanted.filter.filter(|filter| !filter.is_empty());
    if let Some(filter) = &filter {
        FilterBuilder::default().parse(filter)?;
    }
    let names: Vec<_> = selection.streams.iter().map(ToString::to_string).collect();
    let needed = needed_claims(&gateway, &selection);
    let grant = TicketGrant {
        streams: names.clone(),
        filter,
    };
    let issued = authenticator.issue_ticket(&principal, grant, |name| needed.contains(name));
    let (ticket, expires) = issued.map_err(|TicketError| Error::LongTicket)?;
    let expires = jiff::Timestamp::from_millisecond(expires).unwrap_or_default();
    let url = format!("/v2/stream/{}?ticket={ticket}", names.join(","));
    let document = json!({"ticket": ticket, "url": url, "expires": expires.to_string()});
    Ok(json::response(StatusCode::CREATED, &document)?)
}

/// Returns the names of the claims that the streams' filters need.
fn needed_claims(gateway: &Gateway, selection: &Selection) -> BTreeSet<String> {
    let streams = selection
        .streams
        .iter()
        .filter_map(|name| gateway.catalog.stream(name));
    let templates = streams.filter_map(|stream| stream.only.as_deref());
    templates.flat_map(claims_of).collect()
}

/// Whether the body is said to be JSON: a page of another origin cannot say so without a preflight.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The path of this route.
pub(super) const PATH: &str = cors::TICKETS;
