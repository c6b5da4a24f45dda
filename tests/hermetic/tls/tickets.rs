//! Sessions that are resumed: at replicas, over restarts, and when they must not be.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use riverhead::tls::settings::{ClientCertificates, TlsSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, HandshakeKind, ServerConfig, SignatureScheme, client::ResolvesClientCert,
        crypto::aws_lc_rs, pki_types::UnixTime, server::ProducesTickets, sign::CertifiedKey,
        time_provider::TimeProvider,
    },
};

use crate::tls::{
    TlsGateway,
    authority::{Authority, Files, Issued, localhost},
    client::{TLS12, TLS13, TestTls, connect, shake, status, status_with},
    until_changed,
};

/// A line of a key file.
pub(crate) fn key_line() -> String {
    let key: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(80).collect();
    STANDARD.encode(key)
}

/// Adds a file with these lines to the settings.
fn with_keys(files: &Files, settings: &TlsSettings, lines: &[&str]) -> TlsSettings {
    let path = files.write("ticket.keys", &lines.join("\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    TlsSettings {
        ticket_keys_file: Some(path),
        ..settings.clone()
    }
}

#[tokio::test]
async fn a_session_is_resumed_at_every_replica_with_the_same_file_also_after_a_restart() {
    let (authority, files, plain) = localhost();
    for versions in [TLS12, TLS13] {
        let tls = TestTls {
            versions,
            ..TestTls::new(&authority)
        };
        let config = tls.config();
        let settings = with_keys(&files, &plain, &[&key_line()]);
        let (one, two) = (TlsGateway::start(&settings), TlsGateway::start(&settings));
        assert_eq!(shake(&config, one.https()).await, HandshakeKind::Full);
        for gateway in [&two, &one, &two] {
            assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Resumed);
        }
        drop((one, two));
        let again = TlsGateway::start(&settings);
        assert_eq!(shake(&config, again.https()).await, HandshakeKind::Resumed);
        // With other keys, and with random ones.
        for settings in [&with_keys(&files, &plain, &[&key_line()]), &plain] {
            let other = TlsGateway::start(settings);
            assert_eq!(shake(&config, other.https()).await, HandshakeKind::Full);
        }
    }
}

#[tokio::test]
async fn a_session_is_not_resumed_under_other_rules_for_clients_whatever_the_keys() {
    let (authority, files, plain) = localhost();
    let strange = Authority::new();
    let mut settings = with_keys(&files, &plain, &[&key_line()]);
    settings.client_ca = Some(files.write("ca.pem", &authority.pem()));
    settings.client_certificates = ClientCertificates::Optional;
    let gateway = TlsGateway::start(&settings);
    let with = |change: fn(&mut TlsSettings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        settings
    };
    let mut other_authority = settings.clone();
    other_authority.client_ca = Some(files.write("other.pem", &strange.pem()));
    let certificate = authority.issue(&["client"]);
    let tls = TestTls {
        certificate: Some(&certificate),
        ..TestTls::new(&authority)
    };
    for (settings, expected) in [
        (settings.clone(), HandshakeKind::Resumed),
        (
            with(|tls| tls.client_certificates = ClientCertificates::Off),
            HandshakeKind::Full,
        ),
        (
            with(|tls| tls.client_certificates = ClientCertificates::Required),
            HandshakeKind::Full,
        ),
    ] {
        let config = tls.config();
        assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Full);
        let replica = TlsGateway::start(&settings);
        assert_eq!(
            shake(&config, replica.https()).await,
            expected,
            "{:?}",
            settings.client_certificates
        );
    }

    // The same while it is served. Nobody has a certificate of the other authority.
    let config = TestTls::new(&authority).config();
    assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Full);
    assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Resumed);
    gateway.watch(Duration::from_secs(3600));
    let before = gateway.server.config();
    gateway.server.reload(&other_authority);
    until_changed(&gateway, &before).await;
    assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Full);
    assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Resumed);
}

#[tokio::test]
async fn keys_of_a_file_are_replaced_while_it_is_served() {
    let (authority, files, plain) = localhost();
    let (old, new) = (key_line(), key_line());
    let settings = with_keys(&files, &plain, &[&old]);
    let gateway = TlsGateway::start(&settings);
    gateway.watch(Duration::from_millis(20));
    let (one, other) = (
        TestTls::new(&authority).config(),
        TestTls::new(&authority).config(),
    );
    for config in [&one, &other] {
        assert_eq!(shake(config, gateway.https()).await, HandshakeKind::Full);
    }
    // The new one seals, and the old one opens.
    let before = gateway.server.config();
    with_keys(&files, &plain, &[&new, &old]);
    until_changed(&gateway, &before).await;
    assert_eq!(shake(&one, gateway.https()).await, HandshakeKind::Resumed);
    let before = gateway.server.config();
    with_keys(&files, &plain, &[&new]);
    until_changed(&gateway, &before).await;
    assert_eq!(shake(&other, gateway.https()).await, HandshakeKind::Full);
    assert_eq!(
        shake(&one, gateway.https()).await,
        HandshakeKind::Resumed,
        "by what the new one sealed"
    );

    // What is no key changes nothing, and is told.
    with_keys(&files, &plain, &[&new, "rubbish"]);
    let refused = "riverhead_tls_files_refused{listener=\"http\"}";
    gateway.gateway.until_metric(refused, 1.0).await;
    assert_eq!(shake(&one, gateway.https()).await, HandshakeKind::Resumed);
    with_keys(&files, &plain, &[&new]);
    gateway.gateway.until_metric(refused, 0.0).await;
    assert_eq!(shake(&one, gateway.https()).await, HandshakeKind::Resumed);
}

#[tokio::test]
async fn random_keys_are_passed_on_and_those_of_a_file_are_not() {
    let (authority, files, plain) = localhost();
    let (first, next) = (TlsGateway::start(&plain), TlsGateway::start(&plain));
    let passed_on = first.server.pass_on_ticket_keys().expect("random keys");
    next.server.take_ticket_keys(b"of a version that is not known");
    let config = TestTls::new(&authority).config();
    assert_eq!(shake(&config, first.https()).await, HandshakeKind::Full);
    next.server.take_ticket_keys(&passed_on);
    assert_eq!(shake(&config, next.https()).await, HandshakeKind::Resumed);
    assert_eq!(shake(&config, first.https()).await, HandshakeKind::Resumed);

    let shared = TlsGateway::start(&with_keys(&files, &plain, &[&key_line()]));
    assert!(shared.server.pass_on_ticket_keys().is_none());
    shared.server.take_ticket_keys(&passed_on);
    assert_eq!(shake(&config, shared.https()).await, HandshakeKind::Full);
}

/// Seals as the gateway does, and then changes one byte of each ticket.
#[derive(Debug)]
struct Altering {
    real: Arc<dyn ProducesTickets>,
    byte: Option<usize>,
}

impl ProducesTickets for Altering {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.real.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = self.real.encrypt(session)?;
        if let Some(byte) = self.byte {
            let at = byte.min(ticket.len() - 1);
            ticket[at] ^= 1;
        }
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.real.decrypt(ticket)
    }
}

/// Gives the client a session, as a server with this configuration does.
async fn give_session(server: ServerConfig, client: &Arc<ClientConfig>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(socket).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let ask = async {
        let mut stream = connect(client, address, "localhost").await.unwrap();
        // The tickets come before what is written.
        stream.read_exact(&mut [0]).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_ticket_that_was_altered_is_a_full_handshake_and_no_error() {
    let (authority, _files, settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    for versions in [TLS12, TLS13] {
        let tls = TestTls {
            versions,
            ..TestTls::new(&authority)
        };
        // In its name, its salt, the session, and the end of the tag.
        for byte in [None, Some(0), Some(15), Some(16), Some(50), Some(usize::MAX)] {
            let config = tls.config();
            let mut server = ServerConfig::clone(&gateway.server.config());
            let real = Arc::clone(&server.ticketer);
            server.ticketer = Arc::new(Altering { real, byte });
            give_session(server, &config).await;
            let expected = match byte {
                None => HandshakeKind::Resumed,
                Some(_) => HandshakeKind::Full,
            };
            assert_eq!(shake(&config, gateway.https()).await, expected, "byte {byte:?}");
        }
    }
}

/// A clock that shows the time of forty days ago.
#[derive(Debug)]
struct Earlier;

impl TimeProvider for Earlier {
    fn current_time(&self) -> Option<UnixTime> {
        let now = SystemTime::UNIX_EPOCH.elapsed().ok()?;
        Some(UnixTime::since_unix_epoch(now - Duration::from_secs(40 * 86_400)))
    }
}

#[tokio::test]
async fn a_session_ends_with_the_certificate_of_its_client() {
    let (authority, files, mut settings) = localhost();
    settings.client_ca = Some(files.write("ca.pem", &authority.pem()));
    settings.client_certificates = ClientCertificates::Required;
    let gateway = TlsGateway::start(&settings);
    for versions in [TLS12, TLS13] {
        // When the session began, both were good.
        for (days, served) in [(30, Some(200)), (-20, None)] {
            let certificate = authority.issue_for(&["client"], days);
            let tls = TestTls {
                versions,
                certificate: Some(&certificate),
                ..TestTls::new(&authority)
            };
            let config = tls.config();
            let mut server = ServerConfig::clone(&gateway.server.config());
            server.time_provider = Arc::new(Earlier);
            give_session(server, &config).await;
            let answer = status_with(&config, gateway.https(), "/livez").await;
            assert_eq!(answer, served, "a certificate that ends in {days} days");
        }
    }
    let resumed = gateway.handshakes("1.2", "resumed", "completed").await
        + gateway.handshakes("1.3", "resumed", "completed").await;
    assert_eq!(resumed, 2.0);
    gateway
        .gateway
        .until_metric(&crate::tls::handshakes("none", "none", "refused"), 2.0)
        .await;
    let tls = TestTls::new(&authority);
    assert_eq!(status(&tls, gateway.https(), "/livez").await, None, "without any");
}

/// A client that can be given another certificate, and keeps its sessions.
#[derive(Debug)]
struct Renewable(Mutex<Arc<CertifiedKey>>);

impl Renewable {
    /// One that shows `own`, with these certificates behind it.
    fn new(own: &Issued, behind: &[&Issued]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Self::key(own, behind))))
    }

    fn renew(&self, own: &Issued) {
        *self.0.lock().unwrap() = Self::key(own, &[]);
    }

    fn key(own: &Issued, behind: &[&Issued]) -> Arc<CertifiedKey> {
        let chain = [own].iter().chain(behind).map(|issued| issued.der()).collect();
        let provider = aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(chain, own.key_der(), &provider).unwrap())
    }

    fn config(self: &Arc<Self>, tls: &TestTls<'_>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&tls.config());
        config.client_auth_cert_resolver = Arc::clone(self) as _;
        Arc::new(config)
    }
}

impl ResolvesClientCert for Renewable {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_client_that_has_renewed_its_certificate_is_not_held_to_the_one_of_its_session() {
    let (authority, files, mut settings) = localhost();
    settings.client_ca = Some(files.write("ca.pem", &authority.pem()));
    settings.client_certificates = ClientCertificates::Required;
    let gateway = TlsGateway::start(&settings);
    let (expired, renewed) = (
        authority.issue_for(&["client"], -20),
        authority.issue(&["client"]),
    );
    for versions in [TLS12, TLS13] {
        let tls = TestTls {
            versions,
            ..TestTls::new(&authority)
        };
        let client = Renewable::new(&expired, &[]);
        let config = client.config(&tls);
        let mut server = ServerConfig::clone(&gateway.server.config());
        server.time_provider = Arc::new(Earlier);
        give_session(server, &config).await;
        client.renew(&renewed);
        assert_eq!(status_with(&config, gateway.https(), "/livez").await, Some(200));
        assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn an_expired_certificate_behind_the_clients_own_does_not_end_its_session() {
    let (authority, files, mut settings) = localhost();
    settings.client_ca = Some(files.write("ca.pem", &authority.pem()));
    settings.client_certificates = ClientCertificates::Required;
    let gateway = TlsGateway::start(&settings);
    let (own, stale) = (authority.issue(&["client"]), authority.issue_for(&["stale"], -20));
    for versions in [TLS12, TLS13] {
        let tls = TestTls {
            versions,
            ..TestTls::new(&authority)
        };
        let config = Renewable::new(&own, &[&stale]).config(&tls);
        assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Full);
        for _ in 0..2 {
            assert_eq!(shake(&config, gateway.https()).await, HandshakeKind::Resumed);
        }
    }
}

#[cfg(feature = "kafka")]
pub(crate) mod processes {
    use std::net::{SocketAddr, TcpListener};

    use riverhead::tls::settings::TlsSettings;
    use riverhead_loadtest::gateway::{Gateway, GatewayPlan};
    use tokio::task::block_in_place;
    use tokio_rustls::rustls::HandshakeKind;

    use crate::{
        support::brokers::Brokers,
        tls::{
            authority::localhost,
            client::{TLS12, TLS13, TestTls, shake},
        },
    };

    /// The longest wait for a process.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

    /// Starts a riverhead process that serves the first certificate of `settings`. Returns its address with TLS too.
    pub(in crate::tls) fn start_process(brokers: &Brokers, settings: &TlsSettings) -> (Gateway, SocketAddr) {
        let pair = &settings.certificates[0];
        let pair = format!(
            "[{{ certificate = {:?}, key = {:?} }}]",
            pair.certificate, pair.key
        );
        // Free again when the gateway binds it.
        let https = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let binary = env!("CARGO_BIN_EXE_riverhead");
        let gateway = GatewayPlan::new(binary, brokers.addresses().to_vec(), "edits", &["topic"])
            .set("RIVERHEAD_HTTP__DRAIN", "0s")
            .set("RIVERHEAD_HTTP__TLS__LISTEN", &https.to_string())
            .set("RIVERHEAD_HTTP__TLS__CERTIFICATES", &pair)
            .start()
            .unwrap();
        (gateway, https)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_is_resumed_over_hot_restarts() {
        let brokers = Brokers::start(&[("topic", 1)]);
        let (authority, _files, settings) = localhost();
        let (mut first, https) = start_process(&brokers, &settings);
        let clients = [TLS12, TLS13].map(|versions| {
            TestTls {
                versions,
                ..TestTls::new(&authority)
            }
            .config()
        });
        for config in &clients {
            assert_eq!(shake(config, https).await, HandshakeKind::Full);
        }
        let second = block_in_place(|| first.hand_over(PATIENCE)).unwrap();
        block_in_place(|| assert_eq!(first.wait(PATIENCE).unwrap(), Some(0), "{}", first.log()));
        for config in &clients {
            assert_eq!(
                shake(config, https).await,
                HandshakeKind::Resumed,
                "{}",
                first.log()
            );
        }
        // What the successor has sealed and what it was given pass on alike.
        let _third = block_in_place(|| first.hand_over_by(second.pid, PATIENCE)).unwrap();
        block_in_place(|| first.wait_drained(2, PATIENCE)).unwrap();
        for config in &clients {
            assert_eq!(
                shake(config, https).await,
                HandshakeKind::Resumed,
                "{}",
                first.log()
            );
        }
    }
}
