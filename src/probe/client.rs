//! The client of the probe: from a host name to the head of a response. Each step has an error of its own.

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

use super::{
    CredentialFile, Deadline, EventStream, ProbeError, ProbePlan, ProbeResponse, ProbeTarget, ProbeTls, tls,
};
use crate::position::Timestamp;

/// Requests one stream, with the parameters and until the deadline of each check.
#[derive(Clone)]
pub(super) struct ProbeClient {
    target: ProbeTarget,
    tls: Option<TlsConnector>,
    /// The credential to send, if there is one.
    credential: Option<CredentialFile>,
    /// Whether canaries are requested.
    sees_canaries: bool,
    pub(super) deadline: Deadline,
    /// The media type that is requested.
    accept: &'static str,
}

/// The parameters that differ between checks.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeRequest {
    pub(super) since: Option<Timestamp>,
    pub(super) last_event_id: Option<String>,
    /// The source address.
    pub(super) from: Option<IpAddr>,
}

/// A socket, or TLS over one.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl ProbeClient {
    pub(super) fn new(plan: &ProbePlan) -> Result<Self, ProbeError> {
        Ok(Self {
            target: plan.target.clone(),
            tls: plan.target.tls.then(|| tls::connector(&plan.tls)).transpose()?,
            credential: plan.token_file.clone().map(CredentialFile),
            sees_canaries: plan.canary.is_some(),
            deadline: Deadline::after(plan.timeout),
            accept: "text/event-stream",
        })
    }

    /// Creates a client that requests `target` as strangers do: it sends no credential and shows no certificate.
    pub(super) fn stranger(
        target: ProbeTarget,
        tls: &ProbeTls,
        deadline: Deadline,
    ) -> Result<Self, ProbeError> {
        let tls = ProbeTls {
            ca: tls.ca.clone(),
            client: None,
        };
        Ok(Self {
            tls: target.tls.then(|| tls::connector(&tls)).transpose()?,
            target,
            credential: None,
            sees_canaries: false,
            deadline,
            accept: "text/event-stream",
        })
    }

    /// Creates a client that requests the health report of the admin listener `admin`.
    pub(super) fn of_health(
        admin: &ProbeTarget,
        tls: &ProbeTls,
        deadline: Deadline,
    ) -> Result<Self, ProbeError> {
        Ok(Self {
            target: admin.health(),
            tls: admin.tls.then(|| tls::connector(tls)).transpose()?,
            credential: None,
            sees_canaries: false,
            deadline,
            accept: "application/json",
        })
    }

    /// Returns a client of the same target with another deadline.
    pub(super) fn until(&self, deadline: Deadline) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// Opens a stream and reads its prelude.
    pub(super) async fn stream(&self, request: &ProbeRequest) -> Result<EventStream, ProbeError> {
        EventStream::begin(self.open(request).await?, self.deadline).await
    }

    /// Sends the request. Returns the head of the response, whatever its status.
    pub(super) async fn open(&self, request: &ProbeRequest) -> Result<ProbeResponse, ProbeError> {
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
        Ok(ProbeResponse {
            head,
            body,
            begun,
            connected,
            tls: details,
            connection,
        })
    }

    async fn send(
        &self,
        request: &ProbeRequest,
        wire: Box<dyn Transport>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), ProbeError> {
        let handshake = http1::handshake(TokioIo::new(wire)).await;
        let (mut requests, connection) = handshake.map_err(ProbeError::Http)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // An error of the connection also reaches the task that waits for the response or its body.
            let _ = connection.await;
        }));
        let request = self.http_request(request)?;
        let response = requests.send_request(request).await.map_err(ProbeError::Http)?;
        Ok((response, connection))
    }

    fn http_request(&self, request: &ProbeRequest) -> Result<Request<Empty<Bytes>>, ProbeError> {
        let mut parameters = Vec::new();
        parameters.extend(request.since.map(|since| ("since", since.to_string())));
        parameters.extend(self.sees_canaries.then(|| ("canary", "true".to_owned())));
        let mut builder = Request::get(self.target.path(&parameters))
            .header(header::HOST, &self.target.authority)
            .header(header::ACCEPT, self.accept)
            .header(
                header::USER_AGENT,
                concat!("riverhead-probe/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(id) = &request.last_event_id {
            builder = builder.header("last-event-id", id);
        }
        if let Some(credential) = &self.credential {
            builder = builder.header(header::AUTHORIZATION, credential.header()?);
        }
        Ok(builder.body(Empty::new())?)
    }

    /// Tries the addresses of the host one after the other. Each gets an equal share of the time.
    async fn connect(&self, from: Option<IpAddr>) -> Result<TcpStream, ProbeError> {
        let addresses = self.resolve(from).await?;
        let share = self.deadline.shared_by(addresses.len());
        let mut failure = ProbeError::NoAddress(self.target.host.clone());
        for address in addresses {
            match timeout(share, connect(from, address)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => failure = ProbeError::connect(address, error),
                Err(_) => {
                    failure = ProbeError::Timeout {
                        what: "TCP connection",
                        after: share,
                    }
                }
            }
        }
        Err(failure)
    }

    /// Resolves the host to addresses that can be reached from the source address.
    async fn resolve(&self, from: Option<IpAddr>) -> Result<Vec<SocketAddr>, ProbeError> {
        let ProbeTarget { host, port, .. } = &self.target;
        let looked_up = lookup_host((host.as_str(), *port));
        let found = self.deadline.on("answer from DNS", looked_up).await?;
        let found = found.map_err(|error| ProbeError::Dns(host.clone(), error))?;
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
