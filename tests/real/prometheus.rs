//! A Prometheus of the test that evaluates `config/alerts.yaml` on the metrics of a gateway, every second.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use riverhead_brokers::{eventually, spawn};
use riverhead_loadtest::gateway::Gateway;
use serde_json::Value;
use tempfile::TempDir;

/// A running Prometheus. Dropping it ends the process.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it. It scrapes this gateway as job `riverhead`, and a probe from outside as job
    /// `riverhead-probe`. The rules are those of `config/alerts.yaml`, but each waits for `patience` in place
    /// of its `for:`, except those that are named here.
    pub(crate) fn start(gateway: &Gateway, probe: &str, patience: Duration, as_shipped: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        write_rules(directory.path(), patience, as_shipped);
        fs::write(
            directory.path().join("prometheus.yml"),
            config(&gateway.admin.to_string(), probe),
        )
        .expect("a file");
        let address = free_address();
        let mut command = Command::new("prometheus");
        command
            .current_dir(directory.path())
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--log.level=warn",
            ])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log")).expect("a file"));
        let child = spawn(command).expect("prometheus, which ./tests/run installs");
        let prometheus = Self {
            child,
            address,
            _directory: directory,
        };
        let both = r#"min(up{job=~"riverhead.*"}) == 1 and count(up{job=~"riverhead.*"}) == 2"#;
        prometheus.until(both);
        prometheus
    }

    /// Waits until this expression holds.
    pub(crate) fn until(&self, expression: &str) {
        eventually(Duration::from_secs(60), expression, || {
            let found = self.query(expression)?;
            (!found.is_empty())
                .then_some(())
                .ok_or_else(|| "no value".to_owned())
        });
    }

    /// Returns the names of all alerts that were firing at any time.
    pub(crate) fn fired(&self) -> Vec<String> {
        let fired = r#"max by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1h]))"#;
        let found = self.query(fired).expect("an answer");
        let name = |series: &Value| series["metric"]["alertname"].as_str().map(str::to_owned);
        found.iter().filter_map(name).collect()
    }

    /// Returns the rules that Prometheus could not evaluate or has not evaluated, and the number of rules.
    pub(crate) fn rules(&self) -> (Vec<String>, usize) {
        let answer = self.ask("/api/v1/rules").expect("an answer");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules: Vec<_> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().into_iter().flatten())
            .collect();
        let unfit = rules.iter().filter(|rule| rule["health"] != "ok");
        (unfit.map(ToString::to_string).collect(), rules.len())
    }

    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self
            .ask(&format!("/api/v1/query?query={escaped}"))
            .map_err(|error| error.to_string())?;
        let result = answer["data"]["result"].as_array();
        result.cloned().ok_or_else(|| answer.to_string())
    }

    fn ask(&self, path: &str) -> io::Result<Value> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
        serde_json::from_str(body).map_err(Into::into)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the rules with another `for:`, and a rule that always fires. Without that, a test could pass
/// because no rule is evaluated.
fn write_rules(directory: &Path, patience: Duration, as_shipped: &[&str]) {
    let shipped = include_str!("../../config/alerts.yaml");
    let wait = format!("for: {}s", patience.as_secs());
    let (mut rules, mut stays) = (String::new(), false);
    for line in shipped.lines() {
        if let Some((_, name)) = line.split_once("- alert: ") {
            stays = as_shipped.contains(&name);
        }
        let line = match line.split_once("for: ") {
            Some((margin, _)) if margin.trim().is_empty() && !stays => format!("{margin}{wait}"),
            _ => line.to_owned(),
        };
        rules += &(line + "\n");
    }
    let always = format!("      - alert: {ALWAYS}\n        expr: vector(1)\n        {wait}\n");
    fs::write(directory.join("alerts.yaml"), rules + &always).expect("a file");
}

fn config(gateway: &str, probe: &str) -> String {
    format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [ alerts.yaml ]\n\
         scrape_configs:\n\
         - job_name: riverhead\n  static_configs: [ {{ targets: [ '{gateway}' ] }} ]\n\
         - job_name: riverhead-probe\n  static_configs: [ {{ targets: [ '{probe}' ] }} ]\n"
    )
}

/// Returns an address at which no server listens. Prometheus does not report which one it chose itself.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// The alert that always fires.
pub(crate) const ALWAYS: &str = "Always";
