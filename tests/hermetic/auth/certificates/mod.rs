//! Certificates of clients as credentials, over real TLS.

mod tickets;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::DnType;
use riverhead::{
    auth::{
        Authenticator,
        settings::{AuthSettings, CertificateSettings},
    },
    limits::settings::PrincipalLimits,
    metrics::AuthMetrics,
    tls::{CertificateName, settings::ClientCertificates},
};
use tokio::time::timeout;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};

use crate::{
    auth::{api_keys, bearer, catalog},
    support::gateway::{DEADLINE, TestCertificates, TestGateway, get, nothing, plenty},
    tls::{
        authority::{Authority, Files, Issued, day, localhost},
        certificates,
        client::{TLS12, TLS13, TestTls, ask, connect},
    },
};

/// A gateway that asks clients for certificates, and what it trusts.
struct Stage {
    gateway: TestGateway,
    authenticator: Authenticator,
    settings: AuthSettings,
    authority: Authority,
    clients: Authority,
    /// An API key for the scope `more`.
    key: String,
    _files: Files,
}

impl Stage {
    fn new(limits: PrincipalLimits) -> Self {
        let (authority, files, mut tls) = localhost();
        let clients = Authority::new();
        tls.client_ca = Some(files.write("clients.pem", &clients.pem()));
        tls.client_certificates = ClientCertificates::Optional;
        let [key] = api_keys(&files, [("other", "more")]);
        let settings = AuthSettings {
            keys_file: Some(files.path("keys.toml")),
            certificates: entries(),
            limits,
            ..AuthSettings::default()
        };
        let auth_metrics = AuthMetrics::default();
        let authenticator = Authenticator::with_connector(&settings, &auth_metrics, None).unwrap();
        let certificates = TestCertificates {
            auth: Some(authenticator.clone()),
            auth_metrics,
            ..certificates(&tls).1
        };
        let change = |http: &mut riverhead::http::settings::HttpSettings| {
            http.heartbeat = Duration::from_millis(200);
        };
        Self {
            gateway: TestGateway::with_tls(catalog(), nothing(), plenty(), change, certificates),
            authenticator,
            settings,
            authority,
            clients,
            key,
            _files: files,
        }
    }

    /// What a client with this certificate connects with.
    fn config(
        &self,
        certificate: Option<&Issued>,
        versions: &'static [&'static SupportedProtocolVersion],
        alpn: &'static [&'static str],
    ) -> Arc<ClientConfig> {
        let tls = TestTls {
            versions,
            alpn,
            certificate,
            ..TestTls::new(&self.authority)
        };
        tls.config()
    }

    /// Asks for a stream on a connection of its own.
    async fn stream(
        &self,
        config: &Arc<ClientConfig>,
        stream: &str,
        headers: &[(&str, &str)],
    ) -> Response<Incoming> {
        let https = self.gateway.https.unwrap();
        let connection = connect(config, https, "localhost").await.unwrap();
        let target = format!("/v2/stream/{stream}");
        ask(connection, &target, headers).await.unwrap()
    }
}

/// The scope `read` for one host, and `more` for one subject.
fn entries() -> Vec<CertificateSettings> {
    let entry = |name: &str, certificate, scope: &str| CertificateSettings {
        name: name.into(),
        certificate,
        scopes: vec![scope.into()],
    };
    vec![
        entry(
            "partner",
            CertificateName::alternative("reader.partner.example").unwrap(),
            "read",
        ),
        entry(
            "auditor",
            CertificateName::subject("CN=reader.partner.example,O=Audit").unwrap(),
            "more",
        ),
    ]
}

/// A certificate whose subject is that of the auditor.
fn auditor(authority: &Authority) -> Issued {
    authority.issue_until(&[], day(30), |params| {
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        name.push(DnType::OrganizationName, "Audit");
        name.push(DnType::CommonName, "reader.partner.example");
    })
}

/// Reads until this text has come, or to the end if it is empty. Returns all of it.
async fn until(answer: &mut Response<Incoming>, said: &str) -> String {
    let mut text = String::new();
    let read = async {
        while said.is_empty() || !text.contains(said) {
            match answer.frame().await {
                Some(frame) => text += str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap(),
                None => break,
            }
        }
    };
    assert!(timeout(DEADLINE, read).await.is_ok(), "{said:?} is not in {text}");
    assert!(text.contains(said), "{said:?} is not in {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_gets_what_its_entry_says_and_nothing_more() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let auditor = auditor(&stage.clients);
    let nobody = stage.clients.issue(&["other.partner.example"]);
    for (name, certificate, statuses) in [
        ("none", None, [200, 401, 401]),
        ("of the partner", Some(&partner), [200, 200, 403]),
        ("of the auditor", Some(&auditor), [200, 403, 200]),
        ("without an entry", Some(&nobody), [200, 401, 401]),
    ] {
        for versions in [TLS12, TLS13] {
            for alpn in [&["http/1.1"], &["h2"]] {
                let config = stage.config(certificate, versions, alpn);
                for (stream, status) in ["open", "scoped", "secret"].into_iter().zip(statuses) {
                    let answer = stage.stream(&config, stream, &[]).await;
                    assert_eq!(answer.status(), status, "{name} on {stream} over {alpn:?}");
                    let cache = answer.headers().get("cache-control");
                    let cache = cache.map_or("", |cache| cache.to_str().unwrap());
                    let is_somebody = statuses[1..].contains(&200);
                    assert_eq!(
                        cache.contains("private"),
                        is_somebody,
                        "{name} on {stream}: {cache}"
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_and_a_cookie_go_before_a_certificate() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let config = stage.config(Some(&partner), TLS13, &["http/1.1"]);
    let key = bearer(&stage.key);
    let key = key.trim_end().strip_prefix("authorization: ").unwrap();
    let cookie = format!("__Secure-riverhead={}", stage.key);
    for (headers, statuses) in [
        (&[("authorization", key)][..], [403, 200]),
        (&[("cookie", &*cookie)], [403, 200]),
        (&[("authorization", "Bearer bad")], [401, 401]),
        (&[("cookie", "__Secure-riverhead=bad")], [401, 401]),
        (&[("authorization", "Basic YTpi")], [200, 403]),
        (&[("cookie", "other=bad")], [200, 403]),
    ] {
        for (stream, status) in ["scoped", "secret"].into_iter().zip(statuses) {
            let answer = stage.stream(&config, stream, headers).await;
            assert_eq!(answer.status(), status, "{headers:?} on {stream}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_does_not_read_with_the_certificate_of_its_visitor() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let config = stage.config(Some(&partner), TLS13, &["h2"]);
    for (headers, status) in [
        (&[("origin", "https://evil.example")][..], 401),
        (&[("sec-fetch-site", "cross-site")], 401),
        (
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")],
            200,
        ),
    ] {
        let scoped = stage.stream(&config, "scoped", headers).await;
        assert_eq!(scoped.status(), status, "{headers:?}");
        let open = stage.stream(&config, "open", headers).await;
        assert_eq!(open.status(), 200, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_has_the_principal_of_its_first_handshake() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    for versions in [TLS12, TLS13] {
        let config = stage.config(Some(&partner), versions, &["http/1.1"]);
        assert_eq!(stage.stream(&config, "secret", &[]).await.status(), 403);
        let https = stage.gateway.https.unwrap();
        let again = connect(&config, https, "localhost").await.unwrap();
        assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        let answer = ask(again, "/v2/stream/scoped", &[]).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_certificate_is_known_to_metrics_and_operators() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let config = stage.config(Some(&partner), TLS13, &["http/1.1"]);
    let mut answer = stage.stream(&config, "scoped", &[]).await;
    until(&mut answer, ":ok").await;
    let labels = "kind=\"certificate\",name=\"partner\"";
    let gateway = &stage.gateway;
    let checks = format!("riverhead_auth_credentials_total{{{labels},result=\"ok\"}}");
    assert_eq!(gateway.metric(&checks).await, 1.0);
    let streams = format!("riverhead_auth_streams_open{{{labels}}}");
    assert_eq!(gateway.metric(&streams).await, 1.0);
    let clients = get(gateway.admin, "/admin/clients", "").await.body;
    assert!(clients.contains("certificate partner"), "{clients}");
    drop(answer);
    gateway.until_metric(&streams, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_principals_hold_for_certificates() {
    let stage = Stage::new(PrincipalLimits {
        streams: NonZeroU32::new(1),
        requests_per_minute: None,
    });
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let config = stage.config(Some(&partner), TLS13, &["http/1.1"]);
    let mut first = stage.stream(&config, "scoped", &[]).await;
    until(&mut first, ":ok").await;
    assert_eq!(stage.stream(&config, "scoped", &[]).await.status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_ends_the_streams_of_an_entry_that_is_gone_and_no_others() {
    let stage = Stage::new(PrincipalLimits::default());
    let partner = stage.clients.issue(&["reader.partner.example"]);
    let auditor = auditor(&stage.clients);
    for versions in [TLS12, TLS13] {
        stage.authenticator.reload(&stage.settings).await.unwrap();
        let [partner, auditor] =
            [&partner, &auditor].map(|own| stage.config(Some(own), versions, &["http/1.1"]));
        let mut going = stage.stream(&partner, "scoped", &[]).await;
        let mut staying = stage.stream(&auditor, "secret", &[]).await;
        until(&mut going, ":ok").await;
        let mut changed = stage.settings.clone();
        changed.certificates[0].certificate = CertificateName::alternative("new.partner.example").unwrap();
        stage.authenticator.reload(&changed).await.unwrap();
        until(&mut going, "").await;
        assert_eq!(stage.stream(&partner, "scoped", &[]).await.status(), 401);
        until(&mut staying, ":\n:\n").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_certificate_and_its_client_is_told_before() {
    let stage = Stage::new(PrincipalLimits::default());
    let end = time::OffsetDateTime::now_utc() + Duration::from_secs(4);
    let partner = stage
        .clients
        .issue_until(&["reader.partner.example"], end, |_| {});
    let mut ending = Vec::new();
    for versions in [TLS12, TLS13] {
        let config = stage.config(Some(&partner), versions, &["http/1.1"]);
        let mut answer = stage.stream(&config, "scoped", &[]).await;
        until(&mut answer, "event: expiring\ndata: {\"expires\":\"").await;
        ending.push(tokio::spawn(async move { until(&mut answer, "").await }));
    }
    let config = stage.config(Some(&partner), TLS13, &["h2"]);
    let https = stage.gateway.https.unwrap();
    let connection = connect(&config, https, "localhost").await.unwrap();
    let (mut requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(connection))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = async |stream: &str| {
        let request = Request::get(format!("https://localhost/v2/stream/{stream}"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        requests.send_request(request).await.unwrap()
    };
    let mut answer = request("scoped").await;
    let text = until(&mut answer, "").await;
    assert!(text.contains("event: expiring\n"), "{text}");
    for ended in ending {
        ended.await.unwrap();
    }
    // Streams end a little earlier, so that not all clients come back at once.
    let left = end - time::OffsetDateTime::now_utc();
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
    // The connection goes on, and what it may read does not.
    for stream in ["open", "scoped"] {
        let answer = request(stream).await;
        assert_eq!(answer.status(), 401, "{stream}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains("the credential has expired"), "{body}");
    }
}
