//! The interface between a connection and the service that answers its requests.

use std::sync::Arc;

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;

use super::conn::ConnState;
use crate::{client::PeerAddr, http::delivery::handle::ConnHandle, tls::ClientCertificate};

/// The service that answers the requests of a connection.
pub(in crate::http) trait RequestHandler: Clone + Send + Sync + 'static {
    /// Answers one request, to which [`insert_extensions`] has been applied.
    fn handle_request(&self, request: Request<Incoming>) -> BoxFuture<'static, Response>;
}

/// What is known of who is at the other end of a connection.
#[derive(Debug)]
pub(in crate::http) struct Peer {
    pub(in crate::http) address: PeerAddr,
    /// The certificate that it has shown, if it has.
    pub(in crate::http) certificate: Option<Arc<ClientCertificate>>,
}

/// Adds what is known of the connection to the request's extensions: the peer's address and certificate, the state of the
/// connection, and the handle for a stream on it.
pub(in crate::http) fn insert_extensions<B>(
    request: &mut Request<B>,
    peer: &Peer,
    conn: &Arc<ConnState>,
    handle: ConnHandle,
) {
    let known = request.extensions_mut();
    known.insert(peer.address);
    if let Some(certificate) = &peer.certificate {
        known.insert(Arc::clone(certificate));
    }
    known.insert(Arc::clone(conn));
    known.insert(handle);
}
