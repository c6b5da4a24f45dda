//! `riverhead probe` as monitoring runs it: a process, its exit code and its output.

mod certificates;
mod credentials;
mod gateway;
mod liar;
mod liars;
mod usage;
mod watching;

use std::process::{Command, Output};

use tokio::task::spawn_blocking;

/// Returns the exit code of a probe, and its stdout.
async fn probe(arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, .. } = run(command(arguments)).await;
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

/// Returns the command of a probe. How long it takes to connect is not judged, because the machine runs other tests.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
    command.args(["probe", "--warning", "connect=60", "--critical", "connect=60"]);
    command.args(arguments);
    command
}

async fn run(mut command: Command) -> Output {
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Asserts that a probe ends with this code, and that its output contains all of these texts.
async fn expect(arguments: &[&str], code: i32, said: &[&str]) -> String {
    let (found, line) = probe(arguments).await;
    assert_eq!(found, code, "{line}");
    for said in said {
        assert!(line.contains(said), "{said:?} is not in {line}");
    }
    line
}
