//! The probe's canaries, end to end.

use std::process::{Command, Output};

use riverhead_loadtest::client::{Ask, Client};

use crate::succession::{STREAM, TOPIC, plan, start_brokers};

fn probe(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
    let Output { status, stdout, .. } = command.arg("probe").args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_are_timed_in_every_partition_and_clients_see_none() {
    let brokers = start_brokers();
    let gateway = plan(brokers.addresses()).start().unwrap();
    let url = format!("http://{}", gateway.http);
    let bootstrap = brokers.addresses().join(",");
    let ask = Ask::new(format!("/v2/stream/{STREAM}?since=0"));
    let mut client = Client::connect(gateway.http, &ask).await.unwrap();
    let arguments = [
        &url,
        "--stream",
        STREAM,
        "--max-age",
        "10s",
        "--canary",
        &bootstrap,
        "--canary-topic",
        TOPIC,
        // The duration is not checked, because the machine runs other tests.
        "--warning",
        "canary=10",
    ];
    let (code, line) = tokio::task::block_in_place(|| probe(&arguments));
    assert_eq!(code, 0, "{line}");
    assert!(line.contains("2/2 canaries in "), "{line}");
    assert!(line.contains(" canaries_lost=0;;0;0;2 canary="), "{line}");
    // The first event that a client receives is the first one that is not hidden.
    brokers.write(TOPIC, 1, [7]);
    let message = client.next(crate::succession::DEADLINE).await.unwrap();
    assert_eq!(message.data, "{\"n\":7}");
    assert!(
        message.id.unwrap().contains(r#""partition":1,"offset":2"#),
        "its position moved past the canary"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_never_comes_is_critical() {
    let (brokers, others) = (start_brokers(), start_brokers());
    let gateway = plan(brokers.addresses()).start().unwrap();
    let url = format!("http://{}/v2/stream/{STREAM}", gateway.http);
    let elsewhere = others.addresses().join(",");
    for (topic, bootstrap, said) in [
        (
            TOPIC,
            elsewhere.as_str(),
            "2/2 canaries lost, first in partition 0 (no event within 2s)",
        ),
        (
            "nowhere",
            elsewhere.as_str(),
            "canaries not tested: there is no topic `nowhere`",
        ),
        (TOPIC, "127.0.0.1:1", "canaries not tested: "),
    ] {
        let arguments = [
            &url,
            "--timeout",
            "2s",
            "--canary",
            bootstrap,
            "--canary-topic",
            topic,
        ];
        let (code, line) = tokio::task::block_in_place(|| probe(&arguments));
        assert_eq!(code, 2, "{line}");
        assert!(line.contains(said), "{said:?} is not in {line}");
    }
}
