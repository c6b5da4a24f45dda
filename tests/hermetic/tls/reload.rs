//! Certificates that are renewed while they are served, and files that are broken then.

use std::{fs, time::Duration};

use riverhead::tls::settings::CertificateFiles;
use tokio::time::sleep;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::{
    support::gateway::{DEADLINE, get},
    tls::{
        TlsGateway,
        authority::{Authority, Files, settings},
        client::{TestTls, status},
    },
};

const REFUSED: &str = "riverhead_tls_files_refused{listener=\"http\"}";
const FAILURES: &str = "riverhead_tls_reload_failures_total{listener=\"http\"}";

/// How often the gateways of these tests look at their files.
const LOOK: Duration = Duration::from_millis(20);

/// A gateway that serves the files behind the link `live`, as the kubelet lays them out.
struct Renewing {
    authority: Authority,
    files: Files,
    gateway: TlsGateway,
}

impl Renewing {
    fn start() -> (Self, CertificateDer<'static>) {
        let (authority, files) = (Authority::new(), Files::new());
        let first = authority.issue(&["localhost"]);
        files.pair("v1/tls", &first);
        files.link("live", "v1");
        let pair = CertificateFiles {
            certificate: files.path("live/tls.pem"),
            key: files.path("live/tls.key"),
        };
        let gateway = TlsGateway::start(&settings(vec![pair]));
        let health = gateway.gateway.health.clone();
        tokio::spawn(gateway.server.clone().watch(health, LOOK));
        let renewing = Self {
            authority,
            files,
            gateway,
        };
        (renewing, first.der())
    }

    /// The certificate that a new client gets.
    async fn served(&self) -> CertificateDer<'static> {
        let tls = TestTls::new(&self.authority);
        let stream = tls.connect(self.gateway.https()).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    async fn until_served(&self, expected: &CertificateDer<'static>) {
        let start = std::time::Instant::now();
        while self.served().await != *expected {
            assert!(start.elapsed() < DEADLINE, "the old certificate is still served");
            sleep(LOOK).await;
        }
    }

    /// The state of the certificates in `/healthz`, with its reason.
    async fn health(&self) -> (String, String) {
        let report = get(self.gateway.gateway.admin, "/healthz", "").await.json();
        let own = &report["tls"][0];
        assert_eq!(own["listener"], "http");
        (
            own["state"].as_str().unwrap().to_owned(),
            own["reason"].as_str().unwrap().to_owned(),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_elsewhere_is_followed() {
    let (renewing, first) = Renewing::start();
    assert_eq!(renewing.served().await, first);
    let second = renewing.authority.issue_for(&["localhost"], 60);
    renewing.files.pair("v2/tls", &second);
    renewing.files.link("live", "v2");
    renewing.until_served(&second.der()).await;
    assert_eq!(renewing.gateway.gateway.metric(FAILURES).await, 0.0);
    assert_eq!(renewing.health().await.0, "ok");
    // And back: contents are compared, not times.
    renewing.files.link("live", "v1");
    renewing.until_served(&first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_change_nothing_and_are_told_until_they_are_mended() {
    let (renewing, first) = Renewing::start();
    let strange = renewing.authority.issue(&["localhost"]);
    let expired = renewing.authority.issue_for(&["localhost"], -1);
    let key = fs::read_to_string(renewing.files.path("v1/tls.key")).unwrap();
    for (number, (certificate, key, told)) in [
        (strange.certificate.pem(), key.clone(), "does not belong to"),
        ("rubbish".into(), key.clone(), "contains no certificate"),
        (
            strange.certificate.pem(),
            "rubbish".into(),
            "contains no private key",
        ),
        (
            expired.certificate.pem(),
            expired.key.serialize_pem(),
            "expired on",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let directory = format!("broken{number}");
        renewing
            .files
            .write(&format!("{directory}/tls.pem"), &certificate);
        renewing.files.write(&format!("{directory}/tls.key"), &key);
        renewing.files.link("live", &directory);
        renewing
            .gateway
            .gateway
            .until_metric(FAILURES, number as f64 + 1.0)
            .await;
        assert_eq!(renewing.gateway.gateway.metric(REFUSED).await, 1.0);
        sleep(LOOK * 3).await;
        let (state, reason) = renewing.health().await;
        assert_eq!(state, "degraded");
        assert!(
            reason.contains(told) && reason.contains("the previous certificates"),
            "{reason}"
        );
        assert_eq!(renewing.served().await, first, "{told}");
        // The same fault is told once, however often it is looked at.
        assert_eq!(
            renewing.gateway.gateway.metric(FAILURES).await,
            number as f64 + 1.0
        );
    }
    renewing.files.pair("v2/tls", &strange);
    renewing.files.link("live", "v2");
    renewing.until_served(&strange.der()).await;
    renewing.gateway.gateway.until_metric(REFUSED, 0.0).await;
    sleep(LOOK * 3).await;
    assert_eq!(renewing.health().await.0, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_does_not_keep_another_from_being_renewed() {
    let (authority, files) = (Authority::new(), Files::new());
    let pairs = [
        files.pair("old", &authority.issue_for(&["old.example"], -1)),
        files.pair("renewed", &authority.issue(&["localhost"])),
    ];
    let gateway = TlsGateway::start(&settings(pairs.into()));
    gateway.watch(LOOK);
    let renewed = authority.issue_for(&["localhost"], 60);
    files.pair("renewed", &renewed);
    let renewing = Renewing {
        authority,
        files,
        gateway,
    };
    renewing.until_served(&renewed.der()).await;
    assert_eq!(renewing.gateway.gateway.metric(FAILURES).await, 0.0);
    assert_eq!(renewing.gateway.gateway.metric(REFUSED).await, 0.0);
    let (state, reason) = renewing.health().await;
    assert!(
        state == "degraded" && reason.contains("old.pem: expired on"),
        "{reason}"
    );

    // But one that is good is not replaced by one that is not.
    let expired = renewing.authority.issue_for(&["localhost"], -1);
    renewing.files.pair("renewed", &expired);
    renewing.gateway.gateway.until_metric(REFUSED, 1.0).await;
    assert_eq!(renewing.served().await, renewed.der());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_that_no_client_needs_does_not_keep_the_file_from_being_served() {
    let (renewing, _) = Renewing::start();
    let second = renewing.authority.issue(&["localhost"]);
    let stale = renewing.authority.issue_for(&["cross-signed"], -1);
    let chain = [second.certificate.pem(), stale.certificate.pem()].concat();
    renewing.files.write("v2/tls.pem", &chain);
    renewing.files.write("v2/tls.key", &second.key.serialize_pem());
    renewing.files.link("live", "v2");
    renewing.until_served(&second.der()).await;
    assert_eq!(renewing.health().await.0, "ok");
    let pair = CertificateFiles {
        certificate: renewing.files.path("live/tls.pem"),
        key: renewing.files.path("live/tls.key"),
    };
    let checked = riverhead::tls::check("http.tls", &settings(vec![pair])).unwrap();
    let [warning] = &checked.warnings[..] else {
        panic!("{:?}", checked.warnings);
    };
    assert!(
        warning.to_string().contains("behind the first that expired on"),
        "{warning}"
    );
    // Alerts are about what can still be renewed in time.
    let month = Duration::from_secs(29 * 86_400);
    assert!(checked.certificates[0].expires > std::time::SystemTime::now() + month);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_is_served_and_told() {
    let (authority, files) = (Authority::new(), Files::new());
    let pair = files.pair("old", &authority.issue_for(&["localhost"], -1));
    let gateway = TlsGateway::start(&settings(vec![pair.clone()]));
    let health = gateway.gateway.health.clone();
    tokio::spawn(gateway.server.clone().watch(health, LOOK));
    let state = format!(
        "riverhead_tls_certificate_expiry_timestamp_seconds{{listener=\"http\",certificate=\"{}\"}}",
        pair.certificate.display()
    );
    let expiry = gateway.gateway.metric(&state).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 90_000.0..now).contains(&expiry), "{expiry}");
    sleep(LOOK * 5).await;
    let report = get(gateway.gateway.admin, "/healthz", "").await.json();
    assert_eq!(report["tls"][0]["state"], "degraded");
    assert!(
        report["tls"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("expired on")
    );
    let tls = TestTls::new(&authority);
    assert_eq!(
        status(&tls, gateway.https(), "/livez").await,
        None,
        "the client sees it"
    );
    let closed = crate::tls::handshakes("none", "none", "closed");
    gateway.gateway.until_metric(&closed, 1.0).await;
}
