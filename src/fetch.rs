//! Fetching a document over https, bounded in size and in time.
//!
//! Redirects are not followed: they could lead to an address inside our own network, and no server of keys or of configurations
//! needs them.
//!
//! Not here: what is in a document, and what is kept of it (`auth`, `app`).

use std::{io, net::SocketAddr, time::Duration};

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tokio_util::task::AbortOnDropHandle;

/// Fetches documents.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    /// `None` if this system has no root certificates: then nothing can be fetched.
    tls: Option<TlsConnector>,
}

impl HttpsClient {
    /// Creates a client that connects with this connector.
    pub(crate) fn new(tls: Option<TlsConnector>) -> Self {
        Self { tls }
    }

    /// Fetches a document of one of the types in `accept`, with at most so many bytes, within [`DEADLINE`].
    ///
    /// # Errors
    /// Says what went wrong, for an operator.
    pub(crate) async fn get(
        &self,
        url: &Uri,
        accept: &'static str,
        max_bytes: usize,
    ) -> Result<Bytes, String> {
        match timeout(DEADLINE, self.get_in_any_time(url, accept, max_bytes)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("no answer within {DEADLINE:?}")),
        }
    }

    async fn get_in_any_time(
        &self,
        url: &Uri,
        accept: &'static str,
        max_bytes: usize,
    ) -> Result<Bytes, String> {
        let stream = self.connect(url).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut requests, connection) = handshake.map_err(|error| error.to_string())?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // An error of the connection also reaches the request.
            let _ = connection.await;
        }));
        let response = requests.send_request(request(url, accept)?).await;
        let response = response.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let body = Limited::new(response.into_body(), max_bytes).collect().await;
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(format!("longer than {max_bytes} bytes")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn connect(&self, url: &Uri) -> Result<TlsStream<TcpStream>, String> {
        let tls = self.tls.as_ref().ok_or("this system has no root certificates")?;
        let host = url.host().ok_or("the URL has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let addresses = lookup_host((host, url.port_u16().unwrap_or(443))).await;
        let addresses = addresses.map_err(|error| error.to_string())?;
        connect_first(tls, &name, &addresses.collect::<Vec<_>>()).await
    }
}

/// Connects to the first address that answers and has a good certificate. All but the last have [`CONNECT_TIMEOUT`] each.
///
/// # Errors
/// Says what went wrong at the last address.
async fn connect_first(
    tls: &TlsConnector,
    name: &ServerName<'static>,
    addresses: &[SocketAddr],
) -> Result<TlsStream<TcpStream>, String> {
    let Some((last, others)) = addresses.split_last() else {
        return Err("the host has no address".to_owned());
    };
    for address in others {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, connect_to(tls, name, *address)).await {
            return Ok(stream);
        }
    }
    let connected = connect_to(tls, name, *last).await;
    connected.map_err(|error| format!("{last}: {error}"))
}

async fn connect_to(
    tls: &TlsConnector,
    name: &ServerName<'static>,
    address: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    tls.connect(name.clone(), socket).await
}

debug_by_name!(HttpsClient);

fn request(url: &Uri, accept: &'static str) -> Result<Request<Empty<Bytes>>, String> {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    Request::get(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, accept)
        .header(
            header::USER_AGENT,
            concat!("riverhead/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|error| error.to_string())
}

/// How long a fetch may take. Nobody waits for it this long: requests, and the start of a gateway, wait for two seconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long one address of a host may take for TCP and TLS while there is another one: half of the time that anybody waits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Parses the address of a document.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn https_url(text: &str) -> Result<Uri, &'static str> {
    let url: Uri = text.parse().map_err(|_| "found a malformed URL")?;
    let authority = url.authority().ok_or("found a URL without a host")?;
    match url.scheme_str() {
        // Somebody on the way could put another document in place of this one.
        Some("https") if authority.as_str().contains('@') => Err("found a URL with a password"),
        Some("https") => Ok(url),
        _ => Err("found a URL with another scheme than https"),
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::{net::TcpListener, time::Instant};
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
    };

    use super::*;
    use crate::tls::client::connector;

    const NAME: &str = "idp.example";

    /// Starts a server with a certificate of its own. Returns its address, and the certificate as the only authority.
    async fn server() -> (SocketAddr, RootCertStore) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let _stream = acceptor.accept(socket).await;
                    pending::<()>().await;
                });
            }
        });
        (address, roots)
    }

    #[tokio::test]
    async fn an_address_that_is_mute_or_somebody_elses_leaves_time_for_the_next() {
        let (good, roots) = server().await;
        let (impostor, _) = server().await;
        // It accepts, and says nothing.
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mute_address = mute.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let tls = connector(roots).unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let start = Instant::now();
        let connected = connect_first(&tls, &name, &[impostor, closed, mute_address, good]).await;
        assert_eq!(connected.unwrap().get_ref().0.peer_addr().unwrap(), good);
        assert!(start.elapsed() >= CONNECT_TIMEOUT, "the mute one was not tried");
        for (addresses, failure) in [
            (&[][..], "no address"),
            (&[impostor], "certificate"),
            (&[impostor, closed], "refused"),
        ] {
            let error = connect_first(&tls, &name, addresses).await.unwrap_err();
            assert!(error.contains(failure), "{error}");
        }
    }
}
