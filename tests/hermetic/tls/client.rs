//! A client of TLS, and of HTTP over it.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use riverhead::sse::SseReader;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ALL_VERSIONS, ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
        version,
    },
};

use crate::{
    support::{gateway::DEADLINE, model::number},
    tls::authority::{Authority, Issued},
};

/// TLS 1.2 alone.
pub(crate) const TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];

/// TLS 1.3 alone.
pub(crate) const TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// What a client speaks, and whom it trusts.
pub(crate) struct TestTls<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    pub(crate) alpn: &'static [&'static str],
    pub(crate) certificate: Option<&'a Issued>,
}

impl<'a> TestTls<'a> {
    /// One that offers HTTP/1.1 over every version.
    pub(crate) fn new(authority: &'a Authority) -> Self {
        Self {
            authority,
            versions: ALL_VERSIONS,
            alpn: &["http/1.1"],
            certificate: None,
        }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let own = self.certificate.map(|own| (vec![own.der()], own.key_der()));
        let mut config = match own {
            Some((chain, key)) => with_certificate(config, chain, key),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A connection to `localhost` at this address.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        connect(&self.config(), address, "localhost").await
    }
}

fn with_certificate(
    config: tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::client::WantsClientCert>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> ClientConfig {
    config.with_client_auth_cert(chain, key).unwrap()
}

/// A connection that asks for this name. Sessions of the same `config` are resumed.
pub(crate) async fn connect(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    over(config, TcpStream::connect(address).await?, name).await
}

/// The same over this socket.
pub(crate) async fn over(
    config: &Arc<ClientConfig>,
    socket: TcpStream,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connected = TlsConnector::from(Arc::clone(config)).connect(name, socket);
    timeout(DEADLINE, connected).await.expect("within the deadline")
}

/// Asks over HTTP/1.1 or, if that was agreed on, HTTP/2. The connection lives in a task of its own.
pub(crate) async fn ask(
    stream: TlsStream<TcpStream>,
    target: &str,
    headers: &[(&str, &str)],
) -> hyper::Result<Response<Incoming>> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let authority = if is_http2 { "https://localhost" } else { "" };
    let mut request = Request::get(format!("{authority}{target}"));
    if !is_http2 {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (request, io) = (request.body(Empty::<Bytes>::new()).unwrap(), TokioIo::new(stream));
    let answer = async {
        if is_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let (mut requests, connection) = builder.timer(TokioTimer::new()).handshake(io).await?;
            tokio::spawn(connection);
            let answer = requests.send_request(request).await;
            // The connection ends with the last handle to it.
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(requests);
            });
            answer
        } else {
            let (mut requests, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            requests.send_request(request).await
        }
    };
    timeout(DEADLINE, answer).await.expect("within the deadline")
}

/// Does a handshake, gets the tickets that come behind it, and returns whether it resumed a session of the same `config`.
pub(crate) async fn shake(config: &Arc<ClientConfig>, address: SocketAddr) -> HandshakeKind {
    let stream = connect(config, address, "localhost").await.unwrap();
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    ask(stream, "/livez", &[]).await.unwrap();
    kind
}

/// The status of a GET on a connection of its own.
pub(crate) async fn status(tls: &TestTls<'_>, address: SocketAddr, target: &str) -> Option<u16> {
    status_with(&tls.config(), address, target).await
}

/// The same, with the sessions of this `config`.
pub(crate) async fn status_with(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    target: &str,
) -> Option<u16> {
    let stream = connect(config, address, "localhost").await.ok()?;
    let answer = ask(stream, target, &[]).await.ok()?;
    Some(answer.status().as_u16())
}

/// A stream of events that is being read.
pub(crate) struct Reading {
    answer: Response<Incoming>,
    /// Unpacks what is packed.
    inflate: Option<Decompress>,
    reader: SseReader,
}

impl Reading {
    /// Begins behind `id`.
    pub(crate) async fn start(stream: TlsStream<TcpStream>, id: &str) -> Self {
        Self::of(stream, "/v2/stream/edits", id).await
    }

    /// Begins to read this target behind `id`.
    pub(crate) async fn of(stream: TlsStream<TcpStream>, target: &str, id: &str) -> Self {
        let answer = ask(stream, target, &[("last-event-id", id)]).await.unwrap();
        assert_eq!(answer.status(), 200);
        let coding = answer.headers().get("content-encoding");
        Self {
            inflate: coding.map(|_| Decompress::new_gzip(15)),
            answer,
            reader: SseReader::new(1 << 20),
        }
    }

    /// Whether it comes packed.
    pub(crate) fn is_packed(&self) -> bool {
        self.inflate.is_some()
    }

    /// The next `count` numbers, and the id behind the last.
    pub(crate) async fn take(&mut self, count: usize) -> (Vec<u64>, String) {
        let (mut numbers, mut id) = (Vec::new(), String::new());
        while numbers.len() < count {
            match self.reader.next_message() {
                Some(message) => {
                    numbers.push(number(&message.data));
                    id = message.id.unwrap();
                }
                None => assert!(self.more().await, "the stream ended"),
            }
        }
        (numbers, id)
    }

    /// Reads to the end of the stream, which must not be a broken connection.
    pub(crate) async fn end(mut self) {
        while self.more().await {}
    }

    /// Reads some more. `false` at the end of the stream.
    async fn more(&mut self) -> bool {
        let frame = timeout(DEADLINE, self.answer.frame())
            .await
            .expect("within the deadline");
        match frame {
            Some(frame) => {
                let bytes = frame.unwrap().into_data().unwrap();
                match &mut self.inflate {
                    None => self.reader.push(&bytes).unwrap(),
                    Some(inflate) => self.reader.push(&unpack(inflate, &bytes)).unwrap(),
                }
                true
            }
            None => false,
        }
    }
}

fn unpack(inflate: &mut Decompress, mut packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while !packed.is_empty() {
        let before = inflate.total_in();
        text.reserve(1 << 20);
        let unpacked = inflate.decompress_vec(packed, &mut text, FlushDecompress::Sync);
        unpacked.expect("gzip");
        packed = &packed[(inflate.total_in() - before) as usize..];
    }
    text
}

/// The position before the first record of a topic with two partitions.
pub(crate) const ALL: &str =
    r#"[{"topic":"edits","partition":0,"offset":-2},{"topic":"edits","partition":1,"offset":-2}]"#;
