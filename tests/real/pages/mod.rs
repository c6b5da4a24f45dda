//! The pages in Chromium before real brokers: what a person sees while these fail. What needs no broker is in `tests/pages`, which also
//! has the driver of Chromium.

mod live;
mod operator;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use riverhead_brokers::spawn;
use serde_json::{Value, json};

/// A page in a Chromium of its own. Dropping it ends both.
struct Page {
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    child: Child,
}

impl Page {
    /// Opens a page.
    fn open(url: &str) -> Self {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/remote.mjs");
        let mut command = Command::new("node");
        command
            .arg(driver)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(command).expect("node");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let commands = child.stdin.take();
        let mut page = Self {
            commands,
            answers,
            child,
        };
        // Chromium itself writes each refused and each broken request to the console.
        let expects = ["Failed to load resource"];
        page.ask(&json!({ "open": url, "options": { "expects": expects } }));
        page
    }

    /// Waits until an expression is true, and returns its value.
    fn until(&mut self, expression: &str, within: Duration) -> Value {
        self.ask(&json!({ "until": expression, "within": within.as_millis() as u64 }))
    }

    /// Returns the value of an expression.
    fn value(&mut self, expression: &str) -> Value {
        self.ask(&json!({ "value": expression }))
    }

    /// Keeps a picture of the page as it is.
    fn screenshot(&mut self, name: &str) {
        self.ask(&json!({ "screenshot": name }));
    }

    /// Asserts that the page has neither complained nor asked others than its gateway.
    fn check(&mut self) {
        self.ask(&json!({ "check": true }));
    }

    fn ask(&mut self, command: &Value) -> Value {
        let commands = self.commands.as_mut().expect("it is open");
        writeln!(commands, "{command}").expect("node runs");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{command}: {line:?}"));
        assert!(answer["error"].is_null(), "{command}: {}", answer["error"]);
        answer["value"].clone()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The driver ends Chromium when it has no more commands.
        drop(self.commands.take());
        _ = self.child.wait();
    }
}
