//! Entry points for the fuzz targets (`tests/fuzz`). They are no part of the crate's interface.

use std::{
    io,
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
    routes::{
        middleware::{HttpService, RequestBody},
        query::StreamQuery,
        since,
    },
    server::{
        conn::ConnState,
        handler::{Peer, insert_extensions},
    },
    trusted_proxies,
};
use crate::{catalog::Selection, client::PeerAddr, filter::FilterBuilder, position::Timestamp};

/// The services of both listeners. They take parsed requests, without hyper and a socket.
#[derive(Clone)]
pub struct Listeners {
    public: HttpService,
    admin: HttpService,
}

impl Listeners {
    /// Creates the services of this gateway.
    pub fn new(gateway: Gateway) -> Self {
        let gateway = Arc::new(gateway);
        Self {
            public: HttpService::public(&gateway, trusted_proxies(&gateway)),
            admin: HttpService::admin(&gateway),
        }
    }

    /// Answers a request to the public listener that came from `peer`. Must be called inside a runtime.
    ///
    /// # Errors
    /// When no file descriptor is left for the socket that stands in for a connection.
    pub async fn public<B>(&self, request: Request<B>, peer: SocketAddr) -> io::Result<Response>
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        respond_to(&self.public, request, peer).await
    }

    /// Answers a request to the admin listener that came from `peer`. Must be called inside a runtime.
    ///
    /// # Errors
    /// As [`public`](Self::public).
    pub async fn admin<B>(&self, request: Request<B>, peer: SocketAddr) -> io::Result<Response>
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        respond_to(&self.admin, request, peer).await
    }
}

async fn respond_to<B: RequestBody>(
    service: &HttpService,
    mut request: Request<B>,
    peer: SocketAddr,
) -> io::Result<Response> {
    // Nothing is read from this socket or written to it: a body that is never blocked does not use its socket.
    let (socket, _) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let socket = TcpStream::from_std(StdStream::from(OwnedFd::from(socket)))?;
    let conn = Arc::new(ConnState::new(socket, None));
    let handle = ConnHandle::Http1(Arc::clone(&conn));
    let peer = Peer {
        address: PeerAddr(peer),
        certificate: None,
    };
    insert_extensions(&mut request, &peer, &conn, handle);
    Ok(service.clone().respond(request).await)
}

/// Returns what the query of `uri` and `headers` ask of these streams, as text. Two texts are equal if the requests ask for
/// the same.
///
/// # Errors
/// With the detail that a client gets if a request with them is refused.
pub fn stream_query(
    headers: &HeaderMap,
    uri: &Uri,
    selection: &Selection,
    now: Timestamp,
) -> Result<String, String> {
    let query = StreamQuery::read(headers, uri, selection, FilterBuilder::default(), now);
    let query = query.map_err(|error| error.to_string())?;
    Ok(format!("{query:?}"))
}

/// Returns the time that `text` means as the value of the parameter `since`, in milliseconds since the Unix epoch. Returns
/// `None` if it means none.
pub fn since(text: &str) -> Option<Timestamp> {
    since::parse(text)
}
