//! Who must show a certificate.

use riverhead::tls::settings::ClientCertificates::{self, Off, Optional, Required};

use crate::tls::{
    TlsGateway,
    authority::{Authority, localhost},
    client::{TLS12, TLS13, TestTls, status},
    handshakes,
};

#[tokio::test]
async fn a_certificate_is_asked_for_as_the_configuration_says() {
    let (authority, files, mut settings) = localhost();
    let (trusted, strange) = (Authority::new(), Authority::new());
    let known = trusted.issue(&["client"]);
    let unknown = strange.issue(&["client"]);
    let expired = trusted.issue_for(&["client"], -1);
    settings.client_ca = Some(files.write("clients.pem", &trusted.pem()));
    for (asked, served) in [
        (Off, [true, true, true, true]),
        (Optional, [true, true, false, false]),
        (Required, [false, true, false, false]),
    ] {
        settings.client_certificates = asked;
        let gateway = TlsGateway::start(&settings);
        for versions in [TLS12, TLS13] {
            let shown = [None, Some(&known), Some(&unknown), Some(&expired)];
            for ((number, certificate), served) in shown.into_iter().enumerate().zip(served) {
                let tls = TestTls {
                    versions,
                    certificate,
                    ..TestTls::new(&authority)
                };
                let status = status(&tls, gateway.https(), "/livez").await;
                let expected = served.then_some(200);
                assert_eq!(status, expected, "{}: certificate {number}", name(asked));
            }
        }
        let refused = 2.0 * served.iter().filter(|served| !**served).count() as f64;
        // With TLS 1.3 a client can know of its refusal before it is counted.
        let counted = handshakes("none", "none", "refused");
        gateway.gateway.until_metric(&counted, refused).await;
    }
}

fn name(asked: ClientCertificates) -> &'static str {
    asked.name()
}
