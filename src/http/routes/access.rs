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
use http::{Extensions, HeaderMap, HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;
use serde_json::Map;

use super::{certificate, cookie, cors::Cors, query::has_id};
use crate::{
    auth::{Authenticator, CredentialError, Principal, SessionGuard},
    catalog::{Access, Catalog, Selection, Stream, ticket_parameter},
    client::ClientKey,
    filter::{FilterBuilder, MissingClaim, OnlyBuilder},
    http::{Error, Gateway},
    limits::Evictable,
};

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
    let has_ticket = tickets(request.uri()).next().is_some();
    let read = credentials.read(&authenticator, &request);
    let principal = match read.transpose() {
        Some(presented) => {
            let is_allowed = request.extensions().get().is_some_and(|TakesCredentials(it)| *it);
            credentials.principal(&authenticator, presented, is_allowed).await
        }
        None => match certificate::principal(&authenticator, &credentials.cors, &request) {
            Some(principal) => credentials.counted(principal),
            None => return next.run(request).await,
        },
    };
    let mut response = match principal {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    // Shared caches must not give one principal's answer to another.
    let private = HeaderValue::from_static("private, no-store, no-transform");
    headers.insert(header::CACHE_CONTROL, private);
    if has_ticket {
        // Whatever is shown of this, the next page must not learn its URL.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
}

/// A credential as a request presents it.
enum Presented {
    /// In a header or a cookie.
    Credential(String),
    /// In the URL.
    Ticket {
        text: String,
        /// Whether the request takes up a stream again.
        resumes: bool,
    },
}

impl Credentials {
    /// Returns the credential of a request. That of a header and that of the URL go before a cookie, which a browser sends unasked.
    ///
    /// # Errors
    /// 400 if there are several, 403 for a cookie that a page of another origin has made the browser send.
    fn read(&self, authenticator: &Authenticator, request: &Request) -> Result<Option<Presented>, Error> {
        let (headers, uri) = (request.headers(), request.uri());
        let mut tickets = tickets(uri);
        match (bearer(headers)?, tickets.next(), tickets.next()) {
            (Some(_), Some(_), _) | (None, Some(_), Some(_)) => Err(Error::SeveralCredentials),
            (Some(credential), None, _) => Ok(Some(Presented::Credential(credential))),
            (None, Some(ticket), None) => Ok(Some(Presented::Ticket {
                text: percent_decode_str(ticket).decode_utf8_lossy().into_owned(),
                resumes: has_id(headers, uri),
            })),
            (None, None, _) => {
                let credential = cookie::find(headers, &authenticator.cookie())?;
                match credential.is_none() || cookie::counts(request.method(), headers, &self.cors) {
                    true => Ok(credential.map(Presented::Credential)),
                    false => Err(Error::ForeignCookie),
                }
            }
        }
    }

    async fn principal(
        &self,
        authenticator: &Authenticator,
        presented: Result<Presented, Error>,
        is_allowed: bool,
    ) -> Result<Arc<Principal>, Error> {
        let presented = presented?;
        if !is_allowed {
            return Err(Error::PlainCredential);
        }
        self.counted(match presented {
            Presented::Credential(credential) => authenticator.check(&credential).await,
            Presented::Ticket { text, resumes } => authenticator
                .check_ticket(&text, resumes)
                .map_err(CredentialError::from),
        })
    }

    /// Counts a request of a principal that has a request rate of its own.
    ///
    /// # Errors
    /// 429 above the rate, or what was wrong before.
    fn counted(&self, checked: Result<Arc<Principal>, CredentialError>) -> Result<Arc<Principal>, Error> {
        let principal = checked?;
        if principal.limits.requests_per_minute.is_some() {
            let key = ClientKey::of_principal(principal.id());
            self.gateway.admission.count_request(key, principal.limits)?;
        }
        Ok(principal)
    }
}

/// Returns the tickets in a URL.
fn tickets(uri: &Uri) -> impl Iterator<Item = &str> {
    ticket_parameter::values(uri.query().unwrap_or_default())
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
    // A tab is malformed, and not a scheme of another name: a bad credential is never taken for none.
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\t');
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER) && credential.first().is_none_or(is_end);
    is_bearer.then(|| credential.trim_ascii())
}

/// Returns the principal of a request that was authenticated.
pub(super) fn principal_of(request: &Extensions) -> Option<&Arc<Principal>> {
    request.get()
}

/// Adds a stream to the open ones of its principal, so that it ends if the credential is revoked, or gives less after a reload.
///
/// # Errors
/// 401 if it was revoked meanwhile.
pub(super) fn open_session(
    gateway: &Gateway,
    catalog: &Catalog,
    principal: Option<&Arc<Principal>>,
    selection: &Selection,
    stream: Weak<dyn Evictable>,
) -> Result<Option<SessionGuard>, Error> {
    let (Some(authenticator), Some(principal)) = (&gateway.auth, principal) else {
        return Ok(None);
    };
    let streams = selection.streams.iter();
    let streams = streams.filter_map(|name| catalog.stream(name));
    let needs = streams.filter_map(|stream| match &stream.access {
        Access::Public => None,
        Access::Scopes(scopes) => Some(scopes.clone()),
    });
    let session = authenticator.open_session(principal, needs.collect(), stream)?;
    Ok(Some(session))
}

/// Checks that the principal may read all of these streams. A request that names one that it may not read is refused whole. Returns the
/// conditions on what it may read of them.
///
/// # Errors
/// 401 if there is no principal where one is needed, 403 if it lacks a scope or a claim, or has a ticket for other streams.
pub(super) fn check(
    catalog: &Catalog,
    principal: Option<&Arc<Principal>>,
    selection: &Selection,
) -> Result<FilterBuilder, Error> {
    let mut filter = FilterBuilder::default();
    let grant = principal.and_then(|principal| principal.grant.as_ref());
    if catalog.is_restricted() || grant.is_some() {
        let mut only = OnlyBuilder::default();
        for name in &selection.streams {
            // Nobody may read a stream that is not known.
            let stream = catalog.stream(name).ok_or(Error::CredentialRequired)?;
            check_stream(principal, stream, &mut only)?;
        }
        filter.only(only);
    }
    if let Some(text) = grant.and_then(|grant| grant.filter.as_deref()) {
        filter.parse(text)?;
    }
    Ok(filter)
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
    if principal.is_some_and(|principal| !covers(principal, stream)) {
        return Err(Error::OutsideTicket(name()));
    }
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

/// Whether the ticket of a principal, if it has one, is for this stream. The stream may have got another name since.
fn covers(principal: &Principal, stream: &Stream) -> bool {
    let names = std::iter::once(&stream.name).chain(&stream.aliases);
    let grant = principal.grant.as_ref();
    grant.is_none_or(|grant| grant.covers(names.map(|name| &**name)))
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
        assert_eq!(read(&["Bearer\tabc"]), Ok(Some("abc".into())));
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
