//! Fetching the key set of an issuer over https.
//!
//! Redirects are not followed: they could lead to an address inside our own network, and no issuer needs them.

use std::time::Duration;

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tokio_util::task::AbortOnDropHandle;

/// Fetches key sets.
#[derive(Clone)]
pub(super) struct Fetcher {
    /// `None` if this system has no root certificates: then nothing can be fetched.
    tls: Option<TlsConnector>,
}

impl Fetcher {
    pub(super) fn new(tls: Option<TlsConnector>) -> Self {
        Self { tls }
    }

    /// Fetches a document of at most [`MAX_BYTES`], within [`DEADLINE`].
    ///
    /// # Errors
    /// Says what went wrong, for an operator.
    pub(super) async fn get(&self, url: &Uri) -> Result<Bytes, String> {
        match timeout(DEADLINE, self.get_unbounded(url)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("no answer within {DEADLINE:?}")),
        }
    }

    async fn get_unbounded(&self, url: &Uri) -> Result<Bytes, String> {
        let stream = self.connect(url).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut requests, connection) = handshake.map_err(|error| error.to_string())?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // An error of the connection also reaches the request.
            let _ = connection.await;
        }));
        let response = requests.send_request(request(url)?).await;
        let response = response.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        Ok(body.map_err(|error| error.to_string())?.to_bytes())
    }

    async fn connect(&self, url: &Uri) -> Result<TlsStream<TcpStream>, String> {
        let tls = self.tls.as_ref().ok_or("this system has no root certificates")?;
        let host = url.host().ok_or("the URL has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = lookup_host((host, url.port_u16().unwrap_or(443))).await;
        let mut failure = "the host has no address".to_owned();
        for address in addresses.map_err(|error| error.to_string())? {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
                    return tls.connect(name, socket).await.map_err(|error| error.to_string());
                }
                Ok(Err(error)) => failure = format!("{address}: {error}"),
                Err(_) => failure = format!("{address}: no connection within {CONNECT_TIMEOUT:?}"),
            }
        }
        Err(failure)
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

fn request(url: &Uri) -> Result<Request<Empty<Bytes>>, String> {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    Request::get(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("riverhead/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|error| error.to_string())
}

/// The largest key set, in bytes. Those of large providers have 10 KB.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// How long a fetch may take. Nobody waits for it this long: requests wait for two seconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long one address of a host may take to answer, so that another one has time too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
