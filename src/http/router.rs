//! Which path is answered by whom, on each of the two listeners.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on},
};
use http::{StatusCode, header};

use super::{Gateway, admin, error::Error, pages, stream};

/// The public listener's.
pub(super) fn public(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new()
        .route("/", answers(pages::root))
        .route("/_info", answers(pages::info))
        .route("/robots.txt", answers(pages::robots))
        // Not `get`, which would run a GET for a HEAD and so begin a stream for nobody.
        .route(
            "/v2/stream/{streams}",
            on(MethodFilter::GET.or(MethodFilter::HEAD), stream::answer).options(allowed),
        );
    with_probes(routes).with_state(Arc::clone(gateway))
}

/// The admin listener's.
pub(super) fn admin(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new()
        .route("/healthz", answers(admin::healthz))
        .route("/metrics", answers(admin::metrics));
    with_probes(routes).with_state(Arc::clone(gateway))
}

/// Adds what both answer, and what everything else is answered with: axum gives the latter to routes that are there already.
fn with_probes(routes: Router<Arc<Gateway>>) -> Router<Arc<Gateway>> {
    routes
        .route("/livez", answers(admin::livez))
        .route("/readyz", answers(admin::readyz))
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::BadMethod)
}

/// GET, HEAD and OPTIONS.
fn answers<H, T>(handler: H) -> MethodRouter<Arc<Gateway>>
where
    H: Handler<T, Arc<Gateway>>,
    T: 'static,
{
    get(handler).options(allowed)
}

async fn allowed() -> Response {
    (StatusCode::OK, [(header::ALLOW, ALLOWED)], ALLOWED).into_response()
}

/// As EventStreams writes it.
pub(super) const ALLOWED: &str = "GET,HEAD";
