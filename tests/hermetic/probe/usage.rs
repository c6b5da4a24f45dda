//! Wrong usage, the only UNKNOWN result.

use crate::probe::probe;

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
