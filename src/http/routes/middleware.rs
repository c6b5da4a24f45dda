//! The service of a listener: what all its routes have in common, before and after the router.
//!
//! Not here: limits themselves (`limits`), and the table of errors (`error`).

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    BoxError, Router,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use tower::{ServiceExt, service_fn};

use super::{
    access::TakesCredentials,
    cors::Cors,
    csrf::CsrfProtection,
    redirect::HttpsRedirect,
    request_form, router,
    target::{is_asterisk_form, is_health_check, normalize_target},
};
use crate::{
    auth::settings::PlainPolicy,
    client::{ClientAddr, ClientKey, ForwardedError, PeerAddr, TrustedProxies},
    http::{Error, Gateway, RequestEcho, RequestHandler, settings::CorsSettings},
    limits::Refusal,
};

/// The router of a listener, behind what all of its routes have in common.
#[derive(Clone)]
pub(in crate::http) struct HttpService {
    router: Router,
    gateway: Arc<Gateway>,
    /// The proxies that are trusted to name the client.
    proxies: TrustedProxies,
    /// Whether `limits.deny` applies. It does not on the admin listener, so that operators cannot lock themselves out.
    checks_deny_list: bool,
    /// Keeps pages of other origins from reading what only operators may. `None` on the public listener.
    csrf_protection: Option<Arc<CsrfProtection>>,
    /// Sends clients to another listener. `None` on listeners that answer.
    redirect: Option<HttpsRedirect>,
    /// Which pages may read the responses. On the admin listener none may.
    cors: Arc<Cors>,
    /// Whether its connections are encrypted.
    is_tls: bool,
}

impl HttpService {
    /// Creates the service of the public listener.
    pub(in crate::http) fn public(gateway: &Arc<Gateway>, proxies: TrustedProxies) -> Self {
        let cors = Arc::new(Cors::of(&gateway.settings.cors));
        Self {
            router: router::public(gateway, &cors),
            cors,
            gateway: Arc::clone(gateway),
            proxies,
            checks_deny_list: true,
            csrf_protection: None,
            redirect: None,
            is_tls: false,
        }
    }

    /// Returns the service of a listener that answers nothing but this redirect, and health checks.
    pub(in crate::http) fn with_redirect(self, redirect: Option<HttpsRedirect>) -> Self {
        Self { redirect, ..self }
    }

    /// Returns the same service for a listener whose connections are encrypted.
    pub(in crate::http) fn over_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    /// Creates the service of the admin listener.
    pub(in crate::http) fn admin(gateway: &Arc<Gateway>) -> Self {
        let csrf_protection = CsrfProtection::new(gateway.commands.hosts(), gateway.metrics.clone());
        Self {
            router: router::admin(gateway),
            cors: Arc::new(Cors::of(&CorsSettings::default())),
            gateway: Arc::clone(gateway),
            proxies: TrustedProxies::default(),
            checks_deny_list: false,
            csrf_protection: Some(Arc::new(csrf_protection)),
            redirect: None,
            is_tls: false,
        }
    }

    /// Finds out which client sent the request, and records it in the request's extensions. Returns the client's key, and whether
    /// the client is denied. Returns `None` if the request has no peer address.
    fn identify_client<B>(&self, request: &mut Request<B>) -> Option<(ClientKey, bool)> {
        let peer = *request.extensions().get::<PeerAddr>()?;
        let policy = self.gateway.admission.policy();
        let (client, is_denied) = match self.proxies.client(peer, request.headers()) {
            Ok(client) => (client, policy.denies(client)),
            // A health check of a proxy itself is on behalf of no client.
            Err(unidentified) if unidentified.why == ForwardedError::Missing && is_health_check(request) => {
                (unidentified.client, policy.denies(peer.into()))
            }
            Err(unidentified) => {
                self.gateway.admission.record_unidentified(&unidentified);
                let is_denied = policy.denies_unidentified(&unidentified);
                request.extensions_mut().insert(unidentified.candidates);
                (unidentified.client, is_denied)
            }
        };
        let key = policy.key(client);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(key);
        Some((key, self.checks_deny_list && is_denied))
    }

    /// Whether a credential may come with this request.
    fn takes_credentials<B>(&self, plain: PlainPolicy, request: &Request<B>) -> bool {
        let peer = request.extensions().get::<PeerAddr>();
        match plain {
            _ if self.is_tls => true,
            PlainPolicy::Always => true,
            PlainPolicy::Never => false,
            // With the PROXY protocol only trusted proxies connect.
            PlainPolicy::Proxies => {
                let is_near = |PeerAddr(peer): &PeerAddr| peer.ip().to_canonical().is_loopback();
                let is_trusted = |peer: &PeerAddr| self.proxies.trusts(ClientAddr::from(*peer));
                self.gateway.settings.proxy_protocol
                    || peer.is_some_and(|peer| is_near(peer) || is_trusted(peer))
            }
        }
    }

    /// Checks the request and calls the router. A panic of a route becomes a 500.
    async fn route<B: RequestBody>(self, mut request: Request<B>) -> Response {
        let passed = request_form::check(&request).and_then(|()| match &self.csrf_protection {
            Some(csrf_protection) => csrf_protection.check(&request),
            None => Ok(()),
        });
        if let Err(error) = passed {
            return self.refuse(request, error).await;
        }
        if is_asterisk_form(&request) {
            return router::options_response().await;
        }
        if let Some(redirect) = self.redirect
            && !is_health_check(&request)
        {
            return match redirect.answer(&request) {
                Ok(answer) => self.answer_counted(request, answer).await,
                Err(error) => self.refuse(request, error).await,
            };
        }
        match normalize_target(request.uri()) {
            Some(uri) => *request.uri_mut() = uri,
            None => return self.refuse(request, Error::BadPath).await,
        }
        if let Some(auth) = &self.gateway.auth {
            let takes_credentials = TakesCredentials(self.takes_credentials(auth.plain(), &request));
            request.extensions_mut().insert(takes_credentials);
        }
        let response = self.router.oneshot(request.map(Body::new));
        match AssertUnwindSafe(response).catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(panic) => {
                self.gateway.metrics.panics.inc();
                Error::panicked(&*panic).into_response()
            }
        }
    }

    /// Answers a request that reaches no route. On the public listener it counts against the client's rate all the same.
    async fn refuse<B: RequestBody>(self, request: Request<B>, error: Error) -> Response {
        self.answer_counted(request, error.into_response()).await
    }

    /// Gives this answer, unless the client is over its rate.
    async fn answer_counted<B: RequestBody>(self, request: Request<B>, answer: Response) -> Response {
        if !self.checks_deny_list {
            return answer;
        }
        let admitted = service_fn(async |_: Request<B>| Ok::<_, Infallible>(StatusCode::OK.into_response()));
        let rate = &self.gateway.admission.rate;
        match rate.limit(request, admitted, router::refuse).await {
            Ok(refused) if refused.status() != StatusCode::OK => refused,
            _ => answer,
        }
    }

    /// Answers a request to which [`insert_extensions`](crate::http::server::handler::insert_extensions) has been applied.
    pub(in crate::http) async fn respond<B: RequestBody>(self, mut request: Request<B>) -> Response {
        let gateway = Arc::clone(&self.gateway);
        let is_public = self.csrf_protection.is_none();
        let request_echo = RequestEcho::of(&request);
        let page = is_public.then(|| (Arc::clone(&self.cors), self.cors.page_access(request.headers())));
        let caller = self.identify_client(&mut request);
        let mut response = match &caller {
            Some((_, true)) => Error::from(Refusal::Denied).into_response(),
            _ => self.route(request).await,
        };
        if let Some(refusal) = response.extensions_mut().remove::<Refusal>()
            && let Some((client, _)) = caller
        {
            gateway.admission.delay_refusal(client, refusal).await;
        }
        let mut response = request_echo.add_body(response);
        let headers = response.headers_mut();
        // Pages of other origins may not read what the admin listener says.
        if let Some((cors, access)) = page {
            cors.add_headers(access, headers);
        }
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        gateway.metrics.response(response.status().as_u16());
        response
    }
}

impl RequestHandler for HttpService {
    fn handle_request(&self, request: Request<Incoming>) -> BoxFuture<'static, Response> {
        Box::pin(self.clone().respond(request))
    }
}

/// The body of a request: hyper's, or that of a fuzz target.
pub(in crate::http) trait RequestBody:
    http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static
{
}

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> RequestBody for B {}
