//! The routers of the two listeners: which handler answers which path.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{RawQuery, Request, State},
    handler::Handler,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on, post},
};
use http::{StatusCode, header};
use tower_governor::GovernorError;

use super::{
    access::{self, Credentials},
    admin, commands,
    cors::{self, Cors},
    pages, stream,
    target::TICKETS,
    tickets,
};
use crate::{
    auth::Principal,
    http::{ALLOWED_METHODS, Error, Gateway},
};

/// Returns the router of the public listener. The rate limit does not apply to health checks, because a proxy sends them for all
/// of its clients and must not take us for dead.
pub(in crate::http) fn public(gateway: &Arc<Gateway>, cors: &Arc<Cors>) -> Router {
    let root = Arc::new(pages::RootPages::of(&gateway.catalog));
    let root = move |principal: Option<Extension<Arc<Principal>>>, query: RawQuery| {
        let principal = principal.as_ref().map(|Extension(principal)| principal);
        std::future::ready(root.answer(principal, query))
    };
    let routes = Router::new()
        .route("/", get_route(root))
        .route("/_info", get_route(pages::info))
        .route("/robots.txt", get_route(pages::robots))
        // Not `get`, which would answer a HEAD by running the handler of GET, and so start a stream that no client reads.
        .route(
            "/v2/stream/{streams}",
            on(MethodFilter::GET.or(MethodFilter::HEAD), stream::answer).options(options_response),
        );
    let routes = match &gateway.auth {
        Some(_) => routes.route(TICKETS, post(tickets::issue).fallback(async || Error::NotPost)),
        None => routes,
    };
    let mut routes = with_fallbacks(routes);
    if gateway.auth.is_some() {
        // A preflight has no credential: browsers send it without.
        let credentials = Credentials {
            gateway: Arc::clone(gateway),
            cors: Arc::clone(cors),
        };
        routes = routes.layer(from_fn_with_state(credentials, access::authenticate));
    }
    let routes = routes.layer(from_fn_with_state(Arc::clone(cors), cors::answer_preflight));
    let limited = routes.layer(from_fn_with_state(Arc::clone(gateway), limit_rate));
    limited.merge(probe_routes()).with_state(Arc::clone(gateway))
}

/// Returns the router of the admin listener.
pub(in crate::http) fn admin(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new()
        .route("/healthz", get_route(admin::healthz))
        .route("/metrics", get_route(admin::metrics))
        .route("/admin/clients", get_route(admin::clients))
        .route(
            "/admin/clusters/{stream}/active",
            post(commands::activate).fallback(async || Error::NotPost),
        );
    let routes = routes.route(
        "/admin/revocations",
        post(commands::revoke).fallback(async || Error::NotPost),
    );
    with_fallbacks(routes.merge(probe_routes())).with_state(Arc::clone(gateway))
}

/// Returns the routes of health checks, which both listeners have.
fn probe_routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/livez", get_route(admin::livez))
        .route("/readyz", get_route(admin::readyz))
        .method_not_allowed_fallback(async || Error::BadMethod)
}

/// Adds the responses to every other path and method. axum applies the latter only to routes that are there already.
fn with_fallbacks(routes: Router<Arc<Gateway>>) -> Router<Arc<Gateway>> {
    routes
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::BadMethod)
}

/// Answers a request unless its client sends too many.
async fn limit_rate(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let limited = gateway.admission.rate.limit(request, next, refuse).await;
    limited.unwrap_or_else(|never| match never {})
}

/// Returns the response to a request over the rate limit.
pub(in crate::http) fn refuse(error: GovernorError) -> Response<Body> {
    Error::from(error).into_response()
}

/// Returns a route for GET, HEAD and OPTIONS.
fn get_route<H, T>(handler: H) -> MethodRouter<Arc<Gateway>>
where
    H: Handler<T, Arc<Gateway>>,
    T: 'static,
{
    get(handler).options(options_response)
}

/// Answers an OPTIONS request.
pub(super) async fn options_response() -> Response {
    (
        StatusCode::OK,
        [(header::ALLOW, ALLOWED_METHODS)],
        ALLOWED_METHODS,
    )
        .into_response()
}
