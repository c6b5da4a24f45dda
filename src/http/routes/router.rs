//! The routers of the two listeners: which handler answers which path.

use std::{future::ready, sync::Arc, time::Instant};

use axum::{
    Extension, Router,
    body::Body,
    extract::{MatchedPath, RawQuery, Request, State},
    handler::Handler,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on, post},
};
use http::{Extensions, HeaderMap, StatusCode, Uri, header};
use tower_governor::GovernorError;

use super::{
    access::{self, Credentials},
    admin, commands,
    cors::{self, Cors},
    info, operator, page_files, pages,
    per_catalog::PerCatalog,
    stream,
    streams::{self, StreamDocuments},
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
    let routes = Router::new()
        .route("/", root_route(gateway))
        .route("/ui/{file}", get_route(pages::file))
        .route("/v2/ui", get_route(info::home))
        .route("/_info", get_route(info::info))
        .route("/_info/name", get_route(info::name))
        .route("/_info/version", get_route(info::version))
        .route("/_info/home", get_route(info::home))
        .route("/rc", get_route(info::home))
        .route("/robots.txt", get_route(info::robots))
        .route("/doc/{name}", get_route(page_files::doc_file))
        // Not `get`, which would answer a HEAD by running the handler of GET, and so start a stream that no client reads.
        .route(
            "/v2/stream/{streams}",
            on(MethodFilter::GET.or(MethodFilter::HEAD), stream::answer).options(options_response),
        );
    let routes = match &gateway.auth {
        Some(_) => routes.route(TICKETS, post(tickets::issue).fallback(async || Error::NotPost)),
        None => routes,
    };
    let mut routes = with_fallbacks(routes.merge(stream_routes(gateway)));
    if gateway.metrics.eventstreams.is_some() {
        routes = routes.layer(from_fn_with_state(Arc::clone(gateway), time_request));
    }
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

/// Returns the route of `/`.
fn root_route(gateway: &Arc<Gateway>) -> MethodRouter<Arc<Gateway>> {
    let root = PerCatalog::new(&gateway.catalog.get(), pages::RootPages::of);
    let root = Arc::new(root);
    get_route(
        move |State(gateway): State<Arc<Gateway>>,
              principal: Option<Extension<Arc<Principal>>>,
              query: RawQuery,
              headers: HeaderMap| {
            let doc = page_files::doc_page(&query, &headers);
            let principal = principal.as_ref().map(|Extension(principal)| principal);
            let root = root.get(&gateway.catalog.get());
            ready(doc.unwrap_or_else(|| root.answer(principal, query, &headers)))
        },
    )
}

/// Returns the routes that tell what there is to read.
fn stream_routes(gateway: &Arc<Gateway>) -> Router<Arc<Gateway>> {
    let documents = PerCatalog::new(&gateway.catalog.get(), StreamDocuments::of);
    let documents = Arc::new(documents);
    let of_all = Arc::clone(&documents);
    let list = move |State(gateway): State<Arc<Gateway>>, extensions: Extensions| {
        let documents = of_all.get(&gateway.catalog.get());
        let principal = access::principal_of(&extensions);
        ready(streams::answer_all(&documents, &gateway, principal))
    };
    let one = move |State(gateway): State<Arc<Gateway>>, uri: Uri, extensions: Extensions| {
        let documents = documents.get(&gateway.catalog.get());
        let principal = access::principal_of(&extensions);
        ready(streams::answer_one(&documents, &gateway, principal, &uri))
    };
    Router::new()
        .route("/v2/streams", get_route(list))
        .route("/v2/streams/{name}", get_route(one))
}

/// Returns the router of the admin listener.
pub(in crate::http) fn admin(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new()
        .route("/", get_route(page_files::operator_page))
        .route("/operator/{name}", get_route(page_files::operator_file))
        .route("/healthz", get_route(admin::healthz))
        .route("/metrics", get_route(admin::metrics))
        .route("/admin/clients", get_route(admin::clients))
        .route("/admin/overview", get_route(operator::overview))
        .route("/admin/config", get_route(operator::config))
        .route("/admin/principals", get_route(operator::principals))
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

/// Records how long a request takes to the head of its response, in the metrics of EventStreams. What no route answers is in
/// none of them.
async fn time_request(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, begin) = (request.method().clone(), Instant::now());
    let response = next.run(request).await;
    if let (Some(metrics), Some(route)) = (&gateway.metrics.eventstreams, route) {
        let status = response.status().as_u16();
        metrics.request(route.as_str(), method.as_str(), status, begin.elapsed());
    }
    response
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
