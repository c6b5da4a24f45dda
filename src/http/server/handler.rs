//! The interface between a connection and the service that answers its requests.

use std::sync::Arc;

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;

use super::conn::ConnState;
use crate::{client::PeerAddr, http::delivery::handle::ConnHandle};

/// Answers the requests of a connection.
pub(in crate::http) trait RequestHandler: Clone + Send + Sync + 'static {
    fn handle_request(&self, request: Request<Incoming>) -> BoxFuture<'static, Response>;
}

/// Tells a request what is known of its connection.
pub(in crate::http) fn insert_extensions<B>(
    request: &mut Request<B>,
    peer: PeerAddr,
    conn: &Arc<ConnState>,
    handle: ConnHandle,
) {
    let known = request.extensions_mut();
    known.insert(peer);
    known.insert(Arc::clone(conn));
    known.insert(handle);
}
