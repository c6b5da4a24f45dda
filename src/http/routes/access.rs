//! Who may read what: the credential of a request, and the access of the streams that it names.
//!
//! Not here: the check of a credential (`auth`), and what a refusal says (`error`).
//!
//! Where no credentials are configured, no header is looked at.

use std::sync::{Arc, Weak};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, HeaderValue, header};
use serde_json::Map;

use super::{cookie, cors::Cors};
use crate::{
    auth::{Authenticator, Principal, SessionGuard, TicketGrant},
    catalog::{Access, Parameter, Selection, Stream, decoded},
    client::ClientKey,
    filter::{MissingClaim, OnlyBuilder},
    http::{Error, Gateway, ticket_parameter},
    limits::Evictable,
};
use percent_encoding::percent_decode_str;

/// Whether a credential may come with this request: over TLS, or from whom `auth.plain` allows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakesCredentials(pub(super) bool);

/// What credentials are read and checked with.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) gateway: Arc<Gateway>,
    /// The pages that may send cookies.
    pub(super) cors: Arc<Cors>,
}

/// Checks the credential of a request, if it has one, and records whom it stands for. A bad one is refused on every path: whoever
/// sends one expects more than what strangers get.
pub(super) async fn authenticate(
    State(credentials): State<Credentials>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(authenticator) = credentials.gateway.auth.clone() else {
        return next.run(request).await;
    };
    let presented = match credentials.read(&authenticator, &request) {
        Ok(None) => return next.run(request).await,
        Ok(Some(presented)) => Ok(presented),
        Err(error) => Err(error),
    };
    let is_ticket = ticket_of(&request).next().is_some();
    let is_allowed = request.extensions().get().is_some_and(|TakesCredentials(it)| *it);
    let checked = credentials.check(&authenticator, presented, is_allowed).await;
    let mut response = match checked {
        Ok(checked) => {
            let extensions = request.extensions_mut();
            extensions.insert(checked.principal);
            checked.grant.map(|grant| extensions.insert(Arc::new(grant)));
            checked.cookie.map(|cookie| extensions.insert(cookie));
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    // Shared caches must not give one principal's answer to another.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store, no-transform"),
    );
    if is_ticket {
        // No page that is linked from here is to see the URL.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
}

/// A credential as a request presents it.
enum Presented {
    Header(String),
    Cookie(String, CookieOrigin),
    Ticket { text: String, resumes: bool },
}

/// Where the page is from that made the browser send a cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieOrigin {
    /// Whether its origin is a listed one, rather than our own or none.
    pub(super) is_listed: bool,
}

/// A credential that was checked.
struct Checked {
    principal: Arc<Principal>,
    grant: Option<TicketGrant>,
    cookie: Option<CookieOrigin>,
}

impl Credentials {
    /// Returns the credential of a request. That of a header goes before a cookie, which a browser sends unasked; so does a ticket.
    ///
    /// # Errors
    /// 400 if there are several, 403 for a cookie that a page of another origin has made the browser send.
    fn read<B>(
        &self,
        authenticator: &Authenticator,
        request: &http::Request<B>,
    ) -> Result<Option<Presented>, Error> {
        let headers = request.headers();
        let mut tickets = ticket_of(request);
        match (bearer(headers)?, tickets.next(), tickets.next()) {
            (Some(_), Some(_), _) | (_, _, Some(_)) => return Err(Error::SeveralCredentials),
            (Some(credential), None, None) => return Ok(Some(Presented::Header(credential))),
            (None, Some(ticket), None) => {
                let text = percent_decode_str(ticket).decode_utf8_lossy().into_owned();
                let resumes = resumes(request);
                return Ok(Some(Presented::Ticket { text, resumes }));
            }
            (None, None, None) => {}
        }
        let Some(credential) = cookie::find(headers, &authenticator.cookie())? else {
            return Ok(None);
        };
        if !cookie::counts(headers, &self.cors) {
            return Err(Error::ForeignCookie);
        }
        let is_listed = headers
            .get(header::ORIGIN)
            .is_some_and(|origin| self.cors.lists(origin));
        // A program sends no origin, and no page can make it ask.
        let is_page = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
        let origin = CookieOrigin {
            is_listed: is_listed || !is_page,
        };
        Ok(Some(Presented::Cookie(credential, origin)))
    }

    async fn check(
        &self,
        authenticator: &Authenticator,
        presented: Result<Presented, Error>,
        is_allowed: bool,
    ) -> Result<Checked, Error> {
        let presented = presented?;
        if !is_allowed {
            return Err(Error::PlainCredential);
        }
        let (principal, grant, cookie) = match presented {
            Presented::Header(credential) => (authenticator.check(&credential).await?, None, None),
            Presented::Cookie(credential, origin) => {
                (authenticator.check(&credential).await?, None, Some(origin))
            }
            Presented::Ticket { text, resumes } => {
                let (principal, grant) = authenticator.check_ticket(&text, resumes)?;
                (principal, Some(grant), None)
            }
        };
        if let Some(per_minute) = principal.limits.requests_per_minute {
            let key = ClientKey::of_principal(principal.id());
            self.gateway.admission.principal_rates.count(key, per_minute)?;
        }
        Ok(Checked {
            principal,
            grant,
            cookie,
        })
    }
}

/// Returns the values of the parameter `ticket`.
fn ticket_of<B>(request: &http::Request<B>) -> impl Iterator<Item = &str> {
    let query = request.uri().query().unwrap_or_default();
    ticket_parameter::values(query).filter(|ticket| !ticket.is_empty())
}

/// Whether a request takes up a stream again: it has an id.
fn resumes<B>(request: &http::Request<B>) -> bool {
    let in_header = request
        .headers()
        .get("last-event-id")
        .is_some_and(|id| !id.as_bytes().trim_ascii().is_empty());
    let mut pairs = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let is_id = |name: &str| Parameter::LastEventId.names().any(|own| own == decoded(name));
    in_header || pairs.any(|(name, value)| !value.is_empty() && is_id(name))
}

/// Returns what the ticket of a request is good for, if it came with one.
pub(super) fn grant_of(request: &Extensions) -> Option<&Arc<TicketGrant>> {
    request.get()
}

/// Returns the credential in the header `Authorization`. Other schemes than `Bearer` are none: a proxy in front of us may have
/// asked for them.
///
/// # Errors
/// 400 if there are several, which may mean different principals to us and to a proxy.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut credentials = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .filter_map(bearer_of);
    match (credentials.next(), credentials.next()) {
        (_, Some(_)) => Err(Error::SeveralCredentials),
        // A credential of other characters than ASCII is malformed.
        (Some(credential), None) => Ok(Some(String::from_utf8_lossy(credential).into_owned())),
        (None, None) => Ok(None),
    }
}

fn bearer_of(value: &HeaderValue) -> Option<&[u8]> {
    let value = value.as_bytes().trim_ascii();
    let (scheme, credential) = value.split_at_checked(BEARER.len()).unwrap_or((value, b""));
    let is_bearer =
        scheme.eq_ignore_ascii_case(BEARER) && credential.first().is_none_or(|byte| *byte == b' ');
    is_bearer.then(|| credential.trim_ascii())
}

/// Returns the principal of a request that was authenticated.
pub(super) fn principal_of(request: &Extensions) -> Option<&Arc<Principal>> {
    request.get()
}

/// Adds a stream to the open ones of its principal, so that it ends if the credential is revoked.
///
/// # Errors
/// 401 if it was revoked meanwhile.
pub(super) fn open_session(
    gateway: &Gateway,
    principal: Option<&Arc<Principal>>,
    stream: Weak<dyn Evictable>,
) -> Result<Option<SessionGuard>, Error> {
    match (&gateway.auth, principal) {
        (Some(authenticator), Some(principal)) => Ok(Some(authenticator.open_session(principal, stream)?)),
        _ => Ok(None),
    }
}

/// Checks that the principal may read all of these streams. A request that names one that it may not read is refused whole. Returns the
/// condition on what it may read of them.
///
/// # Errors
/// 401 if there is no principal where one is needed, 403 if it lacks a scope or a claim.
pub(super) fn check(
    gateway: &Gateway,
    principal: Option<&Arc<Principal>>,
    grant: Option<&Arc<TicketGrant>>,
    selection: &Selection,
) -> Result<OnlyBuilder, Error> {
    let mut only = OnlyBuilder::default();
    if let Some(grant) = grant {
        let outside = selection
            .streams
            .iter()
            .find(|name| !grant.streams.iter().any(|own| own == name.as_str()));
        if let Some(outside) = outside {
            return Err(Error::OutsideTicket(outside.to_string()));
        }
        grant
            .filter
            .as_deref()
            .map(|filter| only.also(filter))
            .transpose()?;
    }
    if !gateway.catalog.is_restricted() {
        return Ok(only);
    }
    for name in &selection.streams {
        let stream = gateway.catalog.stream(name).ok_or(Error::CredentialRequired)?;
        check_stream(principal, stream, &mut only)?;
    }
    Ok(only)
}

fn check_stream(
    principal: Option<&Arc<Principal>>,
    stream: &Stream,
    only: &mut OnlyBuilder,
) -> Result<(), Error> {
    let scopes = match &stream.access {
        Access::Public => None,
        Access::Scopes(scopes) => Some(scopes),
    };
    let needs_principal = scopes.is_some() || stream.only.is_some();
    let name = || stream.name.to_string();
    match (principal, scopes) {
        (None, _) if needs_principal => return Err(Error::CredentialRequired),
        (Some(principal), Some(scopes)) if !principal.has_one_of(scopes) => {
            let scopes = scopes.clone();
            return Err(Error::InsufficientScope {
                stream: name(),
                scopes,
            });
        }
        _ => {}
    }
    let none = Map::new();
    let claims = principal.map_or(&none, |principal| &principal.claims);
    let topics = stream.topics.iter().map(|topic| &**topic);
    let added = only.stream(topics, stream.only.as_deref(), claims);
    added.map_err(|MissingClaim| Error::ClaimMissing { stream: name() })
}

/// Whether the principal may read this stream.
pub(super) fn may_read(principal: Option<&Arc<Principal>>, stream: &Stream) -> bool {
    check_stream(principal, stream, &mut OnlyBuilder::default()).is_ok()
}

const BEARER: &[u8] = b"bearer";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<String>, String> {
        let values = values
            .iter()
            .map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
        bearer(&HeaderMap::from_iter(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn only_bearer_is_a_credential() {
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(read(&["bEARER  abc "]), Ok(Some("abc".into())));
        assert_eq!(
            read(&["Bearer"]),
            Ok(Some(String::new())),
            "an empty one is bad, and not none"
        );
        for other in ["", "Basic abc", "Bearerabc", "Digest Bearer abc", "beare abc"] {
            assert_eq!(read(&[other]), Ok(None), "{other}");
        }
        assert_eq!(read(&["Basic abc", "Bearer abc"]), Ok(Some("abc".into())));
    }

    #[test]
    fn of_two_credentials_none_is_chosen() {
        assert!(read(&["Bearer abc", "Bearer abc"]).is_err());
        assert!(read(&["Bearer", "Bearer abc"]).is_err());
    }
}
