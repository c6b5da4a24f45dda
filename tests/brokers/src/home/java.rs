//! The Java runtime.

use std::process::Command;

/// Returns the output of `java --version`, if that Java can run Kafka 4.
pub(super) fn version() -> Result<String, String> {
    let output = Command::new("java").arg("--version").output();
    let output = output.map_err(|error| format!("no Java found ({error}). {INSTALL}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match major(&text) {
        Some(found) if found >= OLDEST => Ok(text),
        found => Err(format!(
            "Kafka 4 needs Java {OLDEST} or newer, and `java` is {found:?}. {INSTALL}"
        )),
    }
}

/// Returns a JVM command with flags that start a small broker fast: one collector thread, and no second
/// compiler (it would add 3 s to the start of four nodes on two cores). An archive works only for JVMs with
/// the same collector.
pub(super) fn command(heap_mb: u32) -> Command {
    let mut command = Command::new("java");
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg(format!("-Xmx{heap_mb}m"));
    command.args([
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
    ]);
    command
}

/// What to do if Java or Maven is missing.
pub(super) const INSTALL: &str = "The tests against real brokers need Java 17 or newer and, once, Maven; \
     on Debian or Ubuntu: apt-get install openjdk-17-jre-headless maven";

/// Parses `openjdk 17.0.15 2025-04-15` or `java 21 2023-09-19 LTS`.
fn major(version: &str) -> Option<u32> {
    version
        .split_whitespace()
        .nth(1)?
        .split(['.', '-', '+'])
        .next()?
        .parse()
        .ok()
}

const OLDEST: u32 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_version_is_read() {
        assert_eq!(major("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major("java 21 2023-09-19 LTS"), Some(21));
        assert_eq!(major("openjdk 26-ea 2026-03-17"), Some(26));
        assert_eq!(major(""), None);
    }
}
