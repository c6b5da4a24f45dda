//! From a host name to the head of a response. Each step has an error of its own.

use std::net::{IpAddr, SocketAddr};

use http::{Request, Response, header};
use http_body_util::Empty;
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{CredentialFile, Deadline, StreamError, StreamResponse, StreamTarget, TlsOptions, tls};

/// Requests one target until a deadline.
#[derive(Clone)]
pub(crate) struct StreamClient {
    target: StreamTarget,
    tls: Option<TlsConnector>,
    /// The credential to send, if there is one.
    pub(crate) credential: Option<CredentialFile>,
    pub(crate) deadline: Deadline,
    /// The media type that is requested.
    pub(crate) accept: &'static str,
    /// Names and values of parameters of every request, not encoded.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// The name of the program, as it is sent.
    user_agent: &'static str,
}

/// What differs between requests of one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestOptions {
    /// Names and values of parameters, not encoded.
    pub(crate) parameters: Vec<(&'static str, String)>,
    pub(crate) last_event_id: Option<String>,
    /// The source address.
    pub(crate) from: Option<IpAddr>,
}

/// A socket, or TLS over one.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl StreamClient {
    /// Creates a client that sends no credential.
    ///
    /// # Errors
    /// If a file of `tls` cannot be used, or the system has no root certificates.
    pub(crate) fn new(
        target: StreamTarget,
        tls: &TlsOptions,
        deadline: Deadline,
        user_agent: &'static str,
    ) -> Result<Self, StreamError> {
        Ok(Self {
            tls: target.tls.then(|| tls::connector(tls)).transpose()?,
            target,
            credential: None,
            deadline,
            accept: "text/event-stream",
            parameters: Vec::new(),
            user_agent,
        })
    }

    /// Returns a client of the same target with another deadline.
    pub(crate) fn until(&self, deadline: Deadline) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// Sends the request. Returns the head of the response, whatever its status.
    pub(crate) async fn open(&self, request: &RequestOptions) -> Result<StreamResponse, StreamError> {
        let (begun, deadline) = (Instant::now(), self.deadline);
        let socket = self.connect(request.from).await?;
        let (wire, details): (Box<dyn Transport>, _) = match &self.tls {
            None => (Box::new(socket), None),
            Some(connector) => {
                let handshake = tls::handshake(connector, &self.target.host, socket);
                let stream = deadline.on("TLS handshake", handshake).await??;
                let details = tls::details(&stream);
                (Box::new(stream), Some(details))
            }
        };
        let connected = begun.elapsed();
        let (response, connection) = deadline.on("response head", self.send(request, wire)).await??;
        let (head, body) = response.into_parts();
        Ok(StreamResponse {
            head,
            body,
            begun,
            connected,
            tls: details,
            _connection: connection,
        })
    }

    async fn send(
        &self,
        request: &RequestOptions,
        wire: Box<dyn Transport>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), StreamError> {
        let handshake = http1::handshake(TokioIo::new(wire)).await;
        let (mut requests, connection) = handshake.map_err(StreamError::Http)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // An error of the connection also reaches the task that waits for the response or its body.
            let _ = connection.await;
        }));
        let request = self.http_request(request)?;
        let response = requests.send_request(request).await.map_err(StreamError::Http)?;
        Ok((response, connection))
    }

    fn http_request(&self, request: &RequestOptions) -> Result<Request<Empty<Bytes>>, StreamError> {
        let parameters = [&self.parameters[..], &request.parameters].concat();
        let mut builder = Request::get(self.target.path(&parameters))
            .header(header::HOST, &self.target.authority)
            .header(header::ACCEPT, self.accept)
            .header(header::USER_AGENT, self.user_agent);
        if let Some(id) = &request.last_event_id {
            builder = builder.header("last-event-id", id);
        }
        if let Some(credential) = &self.credential {
            builder = builder.header(header::AUTHORIZATION, credential.header()?);
        }
        Ok(builder.body(Empty::new())?)
    }

    /// Tries the addresses of the host one after the other. Each gets an equal share of the time.
    async fn connect(&self, from: Option<IpAddr>) -> Result<TcpStream, StreamError> {
        let addresses = self.resolve(from).await?;
        let share = self.deadline.shared_by(addresses.len());
        let mut failure = StreamError::NoAddress(self.target.host.clone());
        for address in addresses {
            match timeout(share, connect(from, address)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => failure = StreamError::connect(address, error),
                Err(_) => {
                    failure = StreamError::Timeout {
                        what: "TCP connection",
                        after: share,
                    }
                }
            }
        }
        Err(failure)
    }

    /// Resolves the host to addresses that can be reached from the source address.
    async fn resolve(&self, from: Option<IpAddr>) -> Result<Vec<SocketAddr>, StreamError> {
        let StreamTarget { host, port, .. } = &self.target;
        let looked_up = lookup_host((host.as_str(), *port));
        let found = self.deadline.on("answer from DNS", looked_up).await?;
        let found = found.map_err(|error| StreamError::Dns(host.clone(), error))?;
        let same_family = |address: &SocketAddr| from.is_none_or(|from| from.is_ipv4() == address.is_ipv4());
        Ok(found.filter(same_family).collect())
    }
}

async fn connect(from: Option<IpAddr>, address: SocketAddr) -> std::io::Result<TcpStream> {
    let Some(from) = from else {
        return TcpStream::connect(address).await;
    };
    let socket = match from {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(address).await
}
