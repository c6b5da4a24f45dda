//! The process as operators see it: pipes, signals, logs, and outages of Kafka.

mod outage;
mod stop;

use std::process::Command;

use riverhead_brokers::shared;

use crate::following::{STREAM, plan, start};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_shell_pipe_sees_data_within_five_lines() {
    let brokers = shared();
    brokers.create_topic("process-pipe", 2);
    let gateway = start(&plan(&brokers, &["process-pipe"]));
    let _writing = brokers.producer("process-pipe").rate(50.0).start().run();
    let recipe = format!(
        "curl -s --max-time 10 http://{}/v2/stream/{STREAM} | head -n 5 | grep -qE '^data:'",
        gateway.http
    );
    let status = Command::new("sh")
        .args(["-c", &recipe])
        .status()
        .expect("a shell");
    assert!(status.success(), "{recipe}: {status}\n{}", gateway.log());
}
