//! Versions, protocols, names, and sessions that are resumed.

use riverhead::tls::settings::MinimumVersion;
use tokio_rustls::rustls::{HandshakeKind, ProtocolVersion};

use crate::{
    support::gateway::get,
    tls::{
        TlsGateway,
        authority::{Authority, Files, localhost, settings},
        client::{TLS12, TLS13, TestTls, ask, connect, shake, status},
        until_changed,
    },
};

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let (authority, _files, settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    for (versions, version) in [
        (TLS12, ProtocolVersion::TLSv1_2),
        (TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (alpn, agreed) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let tls = TestTls {
                versions,
                alpn,
                ..TestTls::new(&authority)
            };
            let stream = tls.connect(gateway.https()).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version));
            assert_eq!(session.alpn_protocol(), agreed.map(str::as_bytes), "{alpn:?}");
            let answer = ask(stream, "/livez", &[]).await.unwrap();
            assert_eq!(answer.status(), 200, "{version:?} {alpn:?}");
        }
    }
    for version in ["1.2", "1.3"] {
        assert_eq!(
            gateway.handshakes(version, "full", "completed").await,
            4.0,
            "{version}"
        );
    }
    assert_eq!(
        get(gateway.gateway.public, "/livez", "").await.status,
        200,
        "plain HTTP beside it"
    );
}

#[tokio::test]
async fn what_is_not_spoken_is_refused() {
    let (authority, _files, mut settings) = localhost();
    settings.minimum_version = MinimumVersion::Tls13;
    let gateway = TlsGateway::start(&settings);
    let old = TestTls {
        versions: TLS12,
        ..TestTls::new(&authority)
    };
    let other = TestTls {
        alpn: &["smtp"],
        ..TestTls::new(&authority)
    };
    for tls in [old, other] {
        let refused = tls.connect(gateway.https()).await.unwrap_err();
        assert!(refused.to_string().contains("received fatal alert"), "{refused}");
    }
    gateway
        .gateway
        .until_metric(&crate::tls::handshakes("none", "none", "refused"), 2.0)
        .await;
    let tls = TestTls::new(&authority);
    assert_eq!(status(&tls, gateway.https(), "/livez").await, Some(200));
}

#[tokio::test]
async fn a_client_gets_the_certificate_of_the_name_that_it_asks_for() {
    let (authority, files) = (Authority::new(), Files::new());
    let issued = [
        authority.issue(&["a.example", "127.0.0.1"]),
        authority.issue(&["b.example", "*.b.example"]),
        authority.issue(&["c.b.example"]),
    ];
    let pairs = ["a", "b", "c"].iter().zip(&issued);
    let pairs = pairs.map(|(name, issued)| files.pair(name, issued));
    let gateway = TlsGateway::start(&settings(pairs.collect()));
    let config = TestTls::new(&authority).config();
    for (name, expected) in [
        ("a.example", 0),
        ("A.Example", 0),
        // An address is not asked for by name, so that it gets the first.
        ("127.0.0.1", 0),
        ("b.example", 1),
        ("x.b.example", 1),
        // The first that has the name, and not the one that has it most exactly.
        ("c.b.example", 1),
    ] {
        let stream = connect(&config, gateway.https(), name).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(chain[0], issued[expected].der(), "{name}");
    }
    for name in ["unknown.example", "y.x.b.example"] {
        let refused = connect(&config, gateway.https(), name).await.unwrap_err();
        assert!(refused.to_string().contains("not valid for name"), "{refused}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_until_clients_are_judged_by_other_rules() {
    let (authority, files, mut settings) = localhost();
    let gateway = TlsGateway::start(&settings);
    gateway.watch(std::time::Duration::from_secs(3600));
    let config = TestTls::new(&authority).config();
    let shake = async || shake(&config, gateway.https()).await;
    assert_eq!(shake().await, HandshakeKind::Full);
    assert_eq!(shake().await, HandshakeKind::Resumed);
    assert_eq!(gateway.handshakes("1.3", "resumed", "completed").await, 1.0);

    // A renewed certificate changes nothing for those who know us.
    settings.certificates = vec![files.pair("renewed", &authority.issue(&["localhost"]))];
    let before = gateway.server.config();
    gateway.server.reload(&settings);
    until_changed(&gateway, &before).await;
    assert_eq!(shake().await, HandshakeKind::Resumed);

    // But a session must not outlive the rules that its client was judged by.
    settings.client_ca = Some(files.write("ca.pem", &authority.pem()));
    settings.client_certificates = riverhead::tls::settings::ClientCertificates::Optional;
    let before = gateway.server.config();
    gateway.server.reload(&settings);
    until_changed(&gateway, &before).await;
    assert_eq!(shake().await, HandshakeKind::Full);
    assert_eq!(shake().await, HandshakeKind::Resumed);
}
