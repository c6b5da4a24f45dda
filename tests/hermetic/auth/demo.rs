//! `riverhead demo --auth`: what it prints is run in a shell.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A demo, and the lines to try that need credentials.
struct Demo {
    child: Child,
    lines: Vec<String>,
    log: PathBuf,
    /// Where its files are. The demo itself deletes them, unless it is killed.
    _directory: TempDir,
}

impl Demo {
    /// Starts one whose plain listener has this address.
    fn start(http: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let log = directory.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_riverhead"))
            .args(["demo", "--auth", "--rate", "100"])
            .args(arguments)
            .env("TMPDIR", directory.path())
            .env("RIVERHEAD_HTTP__LISTEN", http)
            .env("RIVERHEAD_ADMIN__LISTEN", "127.0.0.1:0")
            .env("RIVERHEAD_LOG__LEVEL", "trace")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let printed = printed.map(Result::unwrap);
        let mut lines: Vec<_> = printed
            .skip_while(|line| !line.ends_with(": 401"))
            .take(LINES)
            .collect();
        assert_eq!(lines.len(), LINES, "{lines:?}");
        lines.retain(|line| !line.starts_with('#'));
        Self {
            child,
            lines,
            log,
            _directory: directory,
        }
    }

    /// Runs the commands that contain this text, behind the assignments. Returns what passes the filter.
    fn run(&self, part: &str, filter: &str) -> String {
        let is_command = |line: &&String| line.starts_with("curl ");
        let assignments = self.lines.iter().filter(|line| !is_command(line));
        let commands = self.lines.iter().filter(is_command);
        let commands: Vec<_> = commands.filter(|line| line.contains(part)).collect();
        assert_eq!(commands.len(), 1, "{part:?} in {:?}", self.lines);
        let mut script: String = assignments.map(|line| format!("{line}\n")).collect();
        // `curl` ends when nobody reads any more, or at the deadline.
        script += &format!("{} --max-time 60 -sS | {filter}", commands[0]);
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            !said.is_empty(),
            "{script}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// The values that are assigned.
    fn secrets(&self) -> Vec<&str> {
        let values = self.lines.iter().filter_map(|line| line.split_once('='));
        let values = values.filter(|(name, _)| ["token", "key"].contains(name));
        values.map(|(_, value)| value).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many lines there are for the stream that needs a credential, with comments.
const LINES: usize = 10;

const FIRST_EVENT: &str = "grep -m1 '^data: '";

#[test]
fn every_line_does_what_is_said_above_it() {
    let demo = Demo::start("127.0.0.1:0", &[], &[]);
    let refused = demo.run("curl -i ", "head -n 1");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    for credential in ["$token", "$key"] {
        let part = format!("-N -H \"Authorization: Bearer {credential}\"");
        let event = demo.run(&part, FIRST_EVENT);
        assert!(event.contains("/mediawiki/recentchange/1.0.0"), "{event}");
    }
    let list = demo.run("curl -H ", "cat");
    for stream in ["recentchange", "private"] {
        assert!(list.contains(stream), "{list}");
    }
    let secrets = demo.secrets();
    assert_eq!(secrets.len(), 2, "{secrets:?}");
    let log = std::fs::read_to_string(&demo.log).unwrap();
    assert!(log.contains("stream started"), "{log}");
    for secret in secrets {
        let end = &secret[secret.len() - 20..];
        assert!(!log.contains(end), "{end} is in {log}");
    }
}

#[test]
fn without_a_plain_listener_the_lines_are_for_the_one_with_tls() {
    let demo = Demo::start(
        "",
        &["--tls=127.0.0.1:0"],
        &[(
            // Without a listener at all, the environment would be refused. The demo's own certificate is served in place of these.
            "RIVERHEAD_HTTP__TLS__CERTIFICATES",
            "[{ certificate = \"a\", key = \"b\" }]",
        )],
    );
    let refused = demo.run("-i https://", "head -n 1");
    assert!(
        refused.starts_with("HTTP/") && refused.contains(" 401"),
        "{refused}"
    );
    let event = demo.run("Bearer $token\" https://", FIRST_EVENT);
    assert!(event.contains("/mediawiki/recentchange/1.0.0"), "{event}");
}
