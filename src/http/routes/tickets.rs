//! The route `POST /v2/tickets`: a short-lived URL for clients that cannot send a header, such as the `EventSource` of browsers.
//!
//! Not here: what a ticket is (`auth`), and how a request that shows one is checked (`access`).

use std::{collections::BTreeSet, sync::Arc};

use axum::{Extension, body::Body, extract::State, response::Response};
use http::{HeaderValue, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::{access, json_body, target::STREAMS};
use crate::{
    auth::{Principal, TicketError, TicketGrant},
    catalog::{Catalog, Selection, StreamName},
    filter::{Filter, claims_of},
    http::{Error, Gateway, json},
};

/// The body of [`issue`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    streams: Vec<String>,
    filter: Option<String>,
}

/// `POST /v2/tickets` with `{"streams":["..."],"filter":"..."}`: answers with a ticket for streams that the asker may read.
pub(super) async fn issue(
    State(gateway): State<Arc<Gateway>>,
    principal: Option<Extension<Arc<Principal>>>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let authenticator = gateway.auth.as_ref().ok_or(Error::NoSuchPath)?;
    let Extension(principal) = principal.ok_or(Error::CredentialRequired)?;
    if principal.grant.is_some() {
        return Err(Error::TicketForTicket);
    }
    let (head, body) = request.into_parts();
    if !json_body::is_json(&head.headers) {
        return Err(Error::NotJson);
    }
    let wanted: TicketRequest = json_body::read(body, MAX_BODY).await.map_err(Error::BadBody)?;
    let catalog = gateway.catalog.get();
    let selection = catalog.select(&wanted.streams.join(","))?;
    access::check(&catalog, Some(&principal), &selection)?;
    let grant = grant(&selection, wanted.filter)?;
    let needed = needed_claims(&catalog, &selection);
    let issued = authenticator.issue_ticket(&principal, grant, needed);
    let issued = issued.map_err(|TicketError| Error::LongTicket)?;
    let names = selection.streams.iter().map(StreamName::as_str);
    let url = format!(
        "{STREAMS}{}?ticket={}",
        names.collect::<Vec<_>>().join(","),
        issued.text
    );
    let expires = jiff::Timestamp::from_millisecond(issued.begins_until);
    let expires = expires.map_err(|error| Error::Internal(error.to_string()))?;
    let document = json!({"ticket": issued.text, "url": url, "expires": expires.to_string()});
    let mut response = json::response(StatusCode::CREATED, &document)?;
    let no_referrer = HeaderValue::from_static("no-referrer");
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, no_referrer);
    Ok(response)
}

/// Returns what the ticket is good for.
///
/// # Errors
/// 400 if the filter is none. The streams of the ticket could not be read with it.
fn grant(selection: &Selection, filter: Option<String>) -> Result<TicketGrant, Error> {
    let filter = filter.filter(|filter| !filter.is_empty());
    if let Some(filter) = &filter {
        Filter::parse(filter)?;
    }
    let streams = selection.streams.iter().map(ToString::to_string);
    Ok(TicketGrant {
        streams: streams.collect(),
        filter,
    })
}

/// Returns the names of the claims that filters of these streams are made of.
fn needed_claims(catalog: &Catalog, selection: &Selection) -> BTreeSet<String> {
    let streams = selection.streams.iter();
    let streams = streams.filter_map(|name| catalog.stream(name));
    let templates = streams.filter_map(|stream| stream.only.as_deref());
    templates.flat_map(claims_of).collect()
}

/// The longest body, in bytes: a filter that fits into a ticket, with escapes, and the names of streams.
const MAX_BODY: usize = 8 * 1024;
