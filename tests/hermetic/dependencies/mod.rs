//! Rules for dependencies: features, licenses, sources, refused crates, and crates that must have one version.

mod features;
mod licenses;
mod lock;

use std::process::Command;

/// Returns the output of cargo in the workspace, for arguments without spaces in them.
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
