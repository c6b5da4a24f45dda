//! Wrong usage, the only UNKNOWN result.

use std::process::Output;

use crate::{
    probe::{command, probe, run},
    support::gateway::{TestGateway, catalog, nothing},
};

#[tokio::test]
async fn wrong_usage_is_unknown_and_nothing_else_is() {
    let url = "http://127.0.0.1:1/v2/stream/a";
    for wrong in [
        &[][..],
        &["127.0.0.1:8080"],
        &["http://127.0.0.1:1"],
        &["ftp://127.0.0.1/v2/stream/a"],
        &[url, "--stream", "b"],
        &[url, "--max-age", "soon"],
        &[url, "--timeout", "0s"],
        &[url, "--limit", "5"],
        &[url, "--from", "127.0.0.2"],
        &[url, "--warning", "conect=1"],
        &[url, "--critical", "connect=fast"],
        &[url, "--format", "xml"],
        &[url, "--canary", "127.0.0.1:9092"],
        &[url, "--listen", "127.0.0.1:0"],
        &[url, "--client-certificate", "a.pem"],
        &[url, "--client-key", "a.key"],
        &[url, "--admin", "127.0.0.1:8081"],
        &[url, "--admin", "ftp://127.0.0.1:8081"],
        &[url, "--token-file"],
        &[url, "--closed", ""],
        &[url, "--closed", "a b"],
        &[url, "--closed", "a,,b"],
        &[url, "--unknown"],
    ] {
        assert_eq!(probe(wrong).await, (3, String::new()), "{wrong:?}");
    }
    assert_eq!(probe(&["--help"]).await.0, 0);
    assert_eq!(probe(&[url]).await.0, 2);
}

#[tokio::test]
async fn a_ticket_in_the_url_is_in_nothing_that_is_said() {
    const SECRET: &str = "c2VjcmV0LXRpY2tldA";
    let gateway = TestGateway::over(catalog(), nothing(), |_| {});
    let address = gateway.public.to_string();
    // A gateway that refuses the request, nobody, and URLs that are wrong, which are repeated.
    for (url, code) in [
        (
            format!("http://{address}/v2/stream/nothing?ticket=rvt_{SECRET}"),
            2,
        ),
        (format!("http://127.0.0.1:1/v2/stream/a?ticket=rvt_{SECRET}"), 2),
        (format!("ftp://127.0.0.1/v2/stream/a?ticket=rvt_{SECRET}"), 3),
        (format!("127.0.0.1/v2/stream/a?ticket=rvt_{SECRET}"), 3),
    ] {
        for format in ["nagios", "json", "prometheus"] {
            let Output {
                status,
                stdout,
                stderr,
            } = run(command(&[&url, "--format", format])).await;
            let said = String::from_utf8([stdout, stderr].concat()).unwrap();
            assert_eq!(status.code(), Some(code), "{said}");
            assert!(!said.is_empty() && !said.contains(SECRET), "{said}");
        }
    }
    // What is too much is repeated too.
    let more = format!("http://127.0.0.1:1/v2/stream/a?ticket=rvt_{SECRET}");
    let Output { stderr, .. } = run(command(&[&more, &more])).await;
    let said = String::from_utf8(stderr).unwrap();
    assert!(said.contains("rvt_...") && !said.contains(SECRET), "{said}");
}
