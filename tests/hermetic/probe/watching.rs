//! `--watch`: repeated runs, with metrics.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    probe::{command, gateway::ProbedGateway},
    support::gateway::{DEADLINE, TestResponse, get},
};

struct WatchProcess(Child);

impl Drop for WatchProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_result_is_served_and_turns_with_the_gateway() {
    let mut served = ProbedGateway::start(&[0, 1], 100);
    let arguments = [
        &served.url,
        "--timeout",
        "400ms",
        "--watch",
        "100ms",
        "--listen",
        "127.0.0.1:0",
    ];
    let child = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut watching = WatchProcess(child);
    let stdout = watching.0.stdout.take().unwrap();
    let (address, mut lines) = spawn_blocking(move || {
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().unwrap().unwrap();
        (
            first
                .strip_prefix("listening on http://")
                .unwrap()
                .parse()
                .unwrap(),
            lines,
        )
    })
    .await
    .unwrap();
    let good = until(address, "\nprobe_success 1.0\n").await;
    assert_eq!(good.status, 200);
    assert!(
        good.body.contains("riverhead_probe_runs_total{status=\"ok\"} "),
        "{}",
        good.body
    );
    assert_eq!(get(address, "/result", "").await.json()["status"], "ok");

    served.stop_writing();
    until(address, "\nprobe_success 0.0\n").await;
    let result = get(address, "/result", "").await.json();
    assert_eq!(result["status"], "critical");
    assert_eq!(result["summary"], "no event within 400ms");
    let line = spawn_blocking(move || lines.next().unwrap().unwrap())
        .await
        .unwrap();
    assert!(line.starts_with("RIVERHEAD "), "{line}");
}

async fn until(address: SocketAddr, said: &str) -> TestResponse {
    let begun = Instant::now();
    loop {
        let answer = get(address, "/metrics", "").await;
        if answer.body.contains(said) {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "{said:?} is not in {}", answer.body);
        sleep(Duration::from_millis(20)).await;
    }
}
