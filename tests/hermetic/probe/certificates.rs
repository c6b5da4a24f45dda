//! TLS, with a certificate authority of the test.

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer,
        server::WebPkiClientVerifier,
    },
};

use crate::probe::{
    command,
    liar::{HEAD, event},
    run,
};

pub(crate) struct Authority {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Two authorities with the same name would be the same to a client that searches for an issuer.
        let name = format!("authority {:x}", fastrand::u64(..));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    /// Returns a certificate for this name that expires in this many days, and its key.
    pub(crate) fn issue(&self, name: &str, days: i64) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = day(-1000);
        params.not_after = day(days);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Starts a gateway with a certificate for this name that expires in this many days.
    pub(crate) async fn serve(&self, name: &str, days: i64) -> SocketAddr {
        self.serve_to(name, days, None).await
    }

    /// Starts such a gateway. If `clients` is set, it admits only clients with a certificate of that authority.
    pub(crate) async fn serve_to(&self, name: &str, days: i64, clients: Option<&Self>) -> SocketAddr {
        let (certificate, key) = self.issue(name, days);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = config
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    let _ = stream.read_buf(&mut Vec::with_capacity(1024)).await;
                    let answer = format!("{HEAD}:ok\n\n{}", event(1));
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.read_buf(&mut Vec::with_capacity(1024)).await;
                });
            }
        });
        address
    }

    /// Returns the result of a probe that trusts this authority.
    async fn probe(&self, address: SocketAddr) -> (i32, String) {
        let mut command = command(&[&format!("https://localhost:{}/v2/stream/t", address.port())]);
        command.env("SSL_CERT_FILE", self.file.path());
        let output = run(command).await;
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }
}

fn day(from_now: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc() + Duration::from_secs(60) + time::Duration::days(from_now)
}

async fn expect(name: &str, days: i64, code: i32, said: &str) {
    let authority = Authority::new();
    let address = authority.serve(name, days).await;
    let (found, line) = authority.probe(address).await;
    assert_eq!(found, code, "{line}");
    assert!(line.contains(said), "{said:?} is not in {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_certificate_is_counted_in_days_and_warned_of_in_time() {
    expect("localhost", 61, 0, " tls_days=61;14:;7:;0 ").await;
    expect("localhost", 10, 1, "(tls_days is 10, warning at 14:)").await;
    expect("localhost", 3, 2, "(tls_days is 3, critical at 7:)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_no_browser_takes_is_critical() {
    expect(
        "localhost",
        -2,
        2,
        "TLS: invalid peer certificate: certificate expired",
    )
    .await;
    expect(
        "stream.example",
        61,
        2,
        "TLS: invalid peer certificate: certificate not valid for name",
    )
    .await;
    let stranger = Authority::new().serve("localhost", 61).await;
    let (code, line) = Authority::new().probe(stranger).await;
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("TLS: invalid peer certificate: UnknownIssuer"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_critical() {
    let plain =
        crate::probe::liar::FakeServer::start(|_| (HEAD.to_owned(), crate::probe::liar::Then::Hang)).await;
    let url = format!("https://127.0.0.1:{}/v2/stream/t", plain.address.port());
    let (code, line) = crate::probe::probe(&[&url, "--timeout", "500ms"]).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("no TLS handshake within 500ms"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_in_place_of_the_systems() {
    let authority = Authority::new();
    let address = authority.serve("localhost", 61).await;
    let url = format!("https://localhost:{}/v2/stream/t", address.port());
    let ca = authority.file.path().to_str().unwrap();
    let (code, line) = crate::probe::probe(&[&url, "--ca", ca]).await;
    assert_eq!(code, 0, "{line}");
    assert!(
        line.contains("TLS 1.3, chain of 1, certificate valid for 61 days"),
        "{line}"
    );
    let other = Authority::new();
    let (code, line) = crate::probe::probe(&[&url, "--ca", other.file.path().to_str().unwrap()]).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("UnknownIssuer"), "{line}");
    let (code, line) = crate::probe::probe(&[&url, "--ca", "/nowhere/ca.pem"]).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("TLS: /nowhere/ca.pem: "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_shown_to_a_gateway_that_asks_for_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let address = authority.serve_to("localhost", 61, Some(&clients)).await;
    let url = format!("https://localhost:{}/v2/stream/t", address.port());
    let ca = authority.file.path().to_str().unwrap();
    let (certificate, key) = clients.issue("probe", 30);
    let files = [certificate.pem(), key.serialize_pem()].map(|text| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    });
    let [certificate, key] = files.each_ref().map(|file| file.path().to_str().unwrap());
    let shown = ["--client-certificate", certificate, "--client-key", key];
    let (code, line) = crate::probe::probe(&[&[&*url, "--ca", ca], &shown[..]].concat()).await;
    assert_eq!(code, 0, "{line}");
    let (code, line) = crate::probe::probe(&[&url, "--ca", ca]).await;
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("certificate required") || line.contains("CertificateRequired"),
        "{line}"
    );
}
