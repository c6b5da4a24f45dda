//! Which path is answered by whom, on each of the two listeners.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::RawQuery,
    handler::Handler,
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on, post},
};
use http::{StatusCode, header};
use tower_governor::GovernorError;

use super::{admin, commands, cors, methods::ALLOWED_METHODS, pages, stream};
use crate::http::{error::Error, gateway::Gateway};

/// The public listener's. Probes are not limited: a proxy asks for all of its clients, and must not find us gone.
pub(in crate::http) fn public(gateway: &Arc<Gateway>) -> Router {
    let root = Arc::new(pages::RootDocuments::of(&gateway.catalog));
    let root = move |query: RawQuery| std::future::ready(root.answer(query));
    let routes = Router::new()
        .route("/", get_route(root))
        .route("/_info", get_route(pages::info))
        .route("/robots.txt", get_route(pages::robots))
        // Not `get`, which would run a GET for a HEAD and so begin a stream for nobody.
        .route(
            "/v2/stream/{streams}",
            on(MethodFilter::GET.or(MethodFilter::HEAD), stream::answer).options(options_response),
        );
    let routes = with_fallbacks(routes).layer(from_fn(cors::answer_preflight));
    let limited = routes.layer(gateway.admission.rate.layer(refuse));
    limited.merge(probe_routes()).with_state(Arc::clone(gateway))
}

/// The admin listener's.
pub(in crate::http) fn admin(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new()
        .route("/healthz", get_route(admin::healthz))
        .route("/metrics", get_route(admin::metrics))
        .route("/admin/clients", get_route(admin::clients))
        .route(
            "/admin/clusters/{stream}/active",
            post(commands::activate).fallback(async || Error::NotPost),
        );
    with_fallbacks(routes.merge(probe_routes())).with_state(Arc::clone(gateway))
}

/// What both answer.
fn probe_routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/livez", get_route(admin::livez))
        .route("/readyz", get_route(admin::readyz))
        .method_not_allowed_fallback(async || Error::BadMethod)
}

/// Adds what everything else is answered with; axum gives it to routes that are there already.
fn with_fallbacks(routes: Router<Arc<Gateway>>) -> Router<Arc<Gateway>> {
    routes
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::BadMethod)
}

pub(in crate::http) fn refuse(error: GovernorError) -> Response<Body> {
    Error::from(error).into_response()
}

/// GET, HEAD and OPTIONS.
fn get_route<H, T>(handler: H) -> MethodRouter<Arc<Gateway>>
where
    H: Handler<T, Arc<Gateway>>,
    T: 'static,
{
    get(handler).options(options_response)
}

/// What an OPTIONS is answered with.
pub(super) async fn options_response() -> Response {
    (
        StatusCode::OK,
        [(header::ALLOW, ALLOWED_METHODS)],
        ALLOWED_METHODS,
    )
        .into_response()
}
