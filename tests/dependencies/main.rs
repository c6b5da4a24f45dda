//! What dependencies must not turn on.
#![allow(clippy::unwrap_used, reason = "a test that cannot ask cargo has to fail")]

mod features;

use std::process::Command;

/// Returns what a command of cargo prints about the workspace. Its arguments stand in one line.
fn cargo(arguments: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
