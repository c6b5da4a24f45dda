//! What the fuzz targets (`tests/fuzz`) need of this module. No part of the crate's interface.

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream as StdStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
};

use axum::response::Response;
use http::{HeaderMap, Request, Uri};
use tokio::net::TcpStream;

use super::{
    delivery::handle::ConnHandle,
    gateway::Gateway,
    public_config,
    routes::{
        middleware::{HttpService, RequestBody},
        query::StreamQuery,
        since,
    },
    server::{conn::ConnState, handler::insert_extensions},
};
use crate::{catalog::Selection, client::PeerAddr, position::Timestamp};

/// Both listeners of a gateway, as a parsed request meets them: without the bytes of HTTP.
#[derive(Clone)]
pub struct Listeners {
    public: HttpService,
    admin: HttpService,
}

impl Listeners {
    /// Returns those of this gateway.
    pub fn new(gateway: Gateway) -> Self {
        let gateway = Arc::new(gateway);
        Self {
            public: HttpService::public(&gateway, public_config(&gateway).proxies),
            admin: HttpService::admin(&gateway),
        }
    }

    /// Answers a request to the public listener that came from `peer`. Inside a runtime.
    ///
    /// # Errors
    /// When there are no descriptors for the connection that it pretends.
    pub async fn public<B>(&self, request: Request<B>, peer: SocketAddr) -> io::Result<Response>
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        respond_to(&self.public, request, peer).await
    }

    /// The same, to the admin listener.
    ///
    /// # Errors
    /// As above.
    pub async fn admin<B>(&self, request: Request<B>, peer: SocketAddr) -> io::Result<Response>
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        respond_to(&self.admin, request, peer).await
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}

async fn respond_to<B: RequestBody>(
    front: &HttpService,
    mut request: Request<B>,
    peer: SocketAddr,
) -> io::Result<Response> {
    // Nothing is read from it or written to it: a body that is never blocked leaves its socket alone.
    let (socket, _) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let socket = TcpStream::from_std(StdStream::from(OwnedFd::from(socket)))?;
    let conn = Arc::new(ConnState::new(socket, None));
    insert_extensions(
        &mut request,
        PeerAddr(peer),
        &conn,
        ConnHandle::Http1(Arc::clone(&conn)),
    );
    Ok(front.clone().respond(request).await)
}

/// Returns what the query of `uri` and `headers` ask of these streams, as text that is equal when they ask the same; or what is
/// wrong with them.
///
/// # Errors
/// As a request with them is refused.
pub fn stream_query(
    headers: &HeaderMap,
    uri: &Uri,
    selection: &Selection,
    now: Timestamp,
) -> Result<String, String> {
    let stream_query = StreamQuery::read(headers, uri, selection, now);
    stream_query
        .map(|stream_query| format!("{stream_query:?}"))
        .map_err(|error| error.to_string())
}

/// Returns the time that the parameter `since` means by `text`.
pub fn since(text: &str) -> Option<Timestamp> {
    since::parse(text)
}
