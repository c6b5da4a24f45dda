//! A server of key sets over https.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use riverhead::{auth::settings::AuthSettings, tls::client::connector};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs},
};

use crate::{
    auth::{
        AuthGateway,
        issuer::{SigningKey, issuer, jwks},
    },
    tls::authority::Authority,
};

/// What a server of key sets does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends this response.
    Sends(String),
    /// Says nothing.
    Waits,
}

impl Answer {
    pub(super) fn keys(keys: &[&SigningKey]) -> Self {
        Self::body(&jwks(keys))
    }

    pub(super) fn body(body: &str) -> Self {
        Self::Sends(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

/// A server of key sets over https.
pub(super) struct KeyServer {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicU32>,
    pub(super) roots: RootCertStore,
    served: JoinHandle<()>,
}

impl KeyServer {
    pub(super) async fn start(answer: Answer) -> Self {
        let authority = Authority::new();
        let own = authority.issue(&["localhost"]);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der()], own.key_der())
            .unwrap();
        let (acceptor, listener) = (
            TlsAcceptor::from(Arc::new(config)),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let requests = Arc::new(AtomicU32::new(0));
        let address = listener.local_addr().unwrap();
        let own_requests = Arc::clone(&requests);
        let served = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                own_requests.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(acceptor, socket, answer));
            }
        });
        Self {
            address,
            requests,
            roots,
            served,
        }
    }

    pub(super) fn settings(&self) -> AuthSettings {
        let url = format!("https://localhost:{}/jwks", self.address.port());
        AuthSettings {
            issuers: vec![issuer(&url)],
            ..AuthSettings::default()
        }
    }

    pub(super) fn gateway(&self) -> AuthGateway {
        AuthGateway::with(&self.settings(), connector(self.roots.clone()).ok(), |_| {})
    }

    /// Closes its port.
    pub(super) async fn stop(&mut self) {
        self.served.abort();
        _ = (&mut self.served).await;
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(acceptor: TlsAcceptor, socket: tokio::net::TcpStream, answer: Answer) {
    // The client may be gone at any time.
    let Ok(mut stream) = acceptor.accept(socket).await else {
        return;
    };
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    match answer {
        Answer::Sends(text) => _ = stream.write_all(text.as_bytes()).await,
        Answer::Waits => std::future::pending().await,
    }
    _ = stream.shutdown().await;
}
