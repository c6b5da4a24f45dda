//! The interface between a connection and the service that answers its requests.

use std::sync::Arc;

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;

use super::conn::ConnState;
use crate::{client::PeerAddr, http::delivery::handle::ConnHandle};

/// The service that answers the requests of a connection.
pub(in crate::http) trait RequestHandler: Clone + Send + Sync + 'static {
    /// Answers one request, to which [`insert_extensions`] has been applied.
    fn handle_request(&self, request: Request<Incoming>) -> BoxFuture<'static, Response>;
}

/// Adds what is known of the connection to the request's extensions: the peer's address, the state of the connection, and the
/// handle for a stream on it.
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
