//! The results of `check-config --online` for a plan.

use std::process::Command;

use riverhead_loadtest::gateway::GatewayPlan;

use crate::following::RIVERHEAD;

/// The exit code, and the output.
pub(crate) struct Checked {
    code: Option<i32>,
    text: String,
}

/// Checks the configuration of this plan against its brokers.
pub(crate) fn check(plan: &GatewayPlan) -> Checked {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = directory.path().join("riverhead.toml");
    std::fs::write(&file, plan.config()).expect("a file");
    let mut command = Command::new(RIVERHEAD);
    command.args(["check-config", "--online", "--config"]).arg(&file);
    let set = plan.env.iter().map(|(name, value)| (name, value));
    let output = command.envs(set).output().expect("an answer");
    Checked {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}

impl Checked {
    /// Returns the first line that begins with this text.
    pub(crate) fn line(&self, start: &str) -> &str {
        let line = self.text.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no line {start:?}: {}", self.text))
    }

    /// Returns the output.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Asserts that the check ended with this code, and that the output contains these words.
    pub(crate) fn says(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        assert!(self.text.contains(words), "{words:?}: {}", self.text);
    }
}
