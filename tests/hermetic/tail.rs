//! `riverhead tail` as a person or a script runs it: a process, its exit code and its output.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use jsonwebtoken::Algorithm;
use riverhead_loadtest::{
    gateway::{Gateway, GatewayPlan},
    progress::Progress,
    scenarios::{Report, tail::Tail},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    auth::issuer::{AUDIENCE, ISSUER, SigningKey, jwks, now},
    support::brokers::{Brokers, stamp},
};

const TOPIC: &str = "eqiad.edits";
const PARTITIONS: i32 = 2;
const DEADLINE: Duration = Duration::from_secs(30);
const BEGINNING: &str = "1970-01-01T00:00:00Z";

/// Brokers, a gateway, and a directory for the files of `tail`.
struct Bench {
    brokers: Brokers,
    plan: GatewayPlan,
    gateway: Option<Gateway>,
    directory: TempDir,
    url: String,
    written: i64,
}

impl Bench {
    /// A gateway with so many records.
    fn new(records: i64) -> Self {
        Self::with(records, |plan| plan)
    }

    /// The same, with more settings.
    fn with(records: i64, change: impl FnOnce(GatewayPlan) -> GatewayPlan) -> Self {
        let brokers = Brokers::start(&[(TOPIC, PARTITIONS)]);
        let binary = env!("CARGO_BIN_EXE_riverhead");
        let plan = GatewayPlan::new(binary, brokers.addresses().to_vec(), "edits", &[TOPIC])
            .unlimited()
            .set("RIVERHEAD_HTTP__DRAIN", "100ms");
        let plan = change(plan);
        let gateway = plan.start().unwrap();
        let mut bench = Self {
            brokers,
            url: format!("http://{}/v2/stream/edits", gateway.http),
            // It is the same after a restart.
            plan: plan.set("RIVERHEAD_HTTP__LISTEN", &gateway.http.to_string()),
            gateway: Some(gateway),
            directory: TempDir::new().unwrap(),
            written: 0,
        };
        bench.write(records);
        bench
    }

    /// Writes records with the next numbers, to the partitions in turn.
    fn write(&mut self, records: i64) {
        for partition in 0..PARTITIONS {
            let numbers = self.written..self.written + records;
            let numbers = numbers.filter(|number| number % i64::from(PARTITIONS) == i64::from(partition));
            self.brokers.write(TOPIC, partition, numbers);
        }
        self.written += records;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `riverhead tail` of the stream, from its beginning.
    fn tail(&self, arguments: &[&str]) -> Command {
        let mut command = command(&[&self.url, "--since", BEGINNING]);
        command.args(arguments);
        command
    }

    /// The same, which keeps its position, and appends to a file.
    fn follow(&self) -> Child {
        self.follow_with(&[])
    }

    fn follow_with(&self, arguments: &[&str]) -> Child {
        let state = self.path("state");
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("out"));
        self.tail(&["--resume", state.to_str().unwrap()])
            .args(arguments)
            .stdout(out.unwrap())
            .spawn()
            .unwrap()
    }

    /// Waits until the file has all that was written.
    fn until_all(&self) {
        let out = self.path("out");
        until("all that was written", || {
            numbers(&out).len() >= self.written as usize
        });
    }

    /// Interrupts a read that keeps its position, and asserts that the file has each number once. Returns what was told.
    fn has_each_once(&self, mut tail: Child) -> String {
        signal(&tail, Signal::INT);
        assert_eq!(tail.wait().unwrap().code(), Some(130));
        let mut all = numbers(&self.path("out"));
        all.sort_unstable();
        assert_eq!(all, (0..self.written).collect::<Vec<_>>(), "each once");
        let mut told = String::new();
        tail.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        told
    }

    /// Ends the gateway at once, and starts another one at the same address.
    fn restart(&mut self) {
        drop(self.gateway.take());
        self.gateway = Some(self.plan.start().unwrap());
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
    command.arg("tail").args(arguments).stderr(Stdio::piped());
    command
}

/// Returns the exit code, the lines, and what was told.
fn run(mut command: Command) -> (i32, Vec<String>, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let lines = text(output.stdout).lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), lines, text(output.stderr))
}

fn number(line: &str) -> i64 {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
    value["n"].as_i64().unwrap()
}

fn numbers(file: &Path) -> Vec<i64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(number).collect()
}

fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < DEADLINE, "{what} never came");
        sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn each_event_is_in_the_output_once_whatever_is_killed() {
    let mut bench = Bench::new(1_000);
    let out = bench.path("out");
    for round in 0..6 {
        let before = numbers(&out).len();
        let mut tail = bench.follow();
        bench.write(2_000);
        let wanted = before + 300 * round;
        until("events", || {
            numbers(&out).len() >= wanted.min(bench.written as usize)
        });
        if round % 2 == 1 {
            bench.restart();
        }
        // At any point: while it writes, waits, or connects.
        signal(&tail, Signal::KILL);
        tail.wait().unwrap();
    }
    let tail = bench.follow();
    bench.until_all();
    bench.restart();
    bench.write(100);
    bench.until_all();
    bench.has_each_once(tail);
}

#[test]
fn a_gateway_that_hands_over_to_a_successor_costs_a_reader_no_event_and_repeats_none() {
    let mut bench = Bench::new(1_000);
    let tail = bench.follow();
    bench.until_all();
    let successor = bench.gateway.as_ref().unwrap().hand_over(DEADLINE).unwrap();
    bench.write(1_000);
    bench.until_all();
    let ended = bench.gateway.as_mut().unwrap().wait(DEADLINE).unwrap();
    assert_eq!(ended, Some(0), "the predecessor");
    // Only the successor can have sent this.
    bench.write(100);
    bench.until_all();
    let told = bench.has_each_once(tail);
    assert!(told.contains("trying again in"), "{told}");
    drop(successor);
}

/// The gateway's tokens, and the file that `tail` reads its own from.
struct Tokens {
    signing: SigningKey,
    directory: TempDir,
}

impl Tokens {
    fn new() -> Self {
        let tokens = Self {
            signing: SigningKey::new("k", Algorithm::EdDSA),
            directory: TempDir::new().unwrap(),
        };
        fs::write(tokens.path("jwks.json"), jwks(&[&tokens.signing])).unwrap();
        tokens
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// A gateway that asks for one of them.
    fn bench(&self, records: i64) -> Bench {
        let issuer = format!(
            "[{{ name = 'idp', issuer = '{ISSUER}', audience = ['{AUDIENCE}'], jwks = '{}', leeway = '0s' }}]",
            self.path("jwks.json")
        );
        let streams = format!("[{{ name = 'edits', topics = ['{TOPIC}'], access = ['read'] }}]");
        Bench::with(records, |plan| {
            plan.set("RIVERHEAD_AUTH__ISSUERS", &issuer)
                .set("RIVERHEAD__STREAMS", &streams)
        })
    }

    /// Replaces the file by one with a token that is good for this many seconds.
    fn give(&self, seconds: i64) -> String {
        let file = self.path("token");
        let token = self.signing.token(&json!({ "exp": now() + seconds }));
        fs::write(self.path("new"), token).unwrap();
        fs::rename(self.path("new"), &file).unwrap();
        file
    }
}

/// Whether the gateway has ended a stream because its credential has expired.
fn has_ended_one(gateway: &Gateway) -> bool {
    let metrics = gateway.admin("/metrics").unwrap();
    let ended = "riverhead_streams_ended_total{stream=\"edits\",reason=\"expired\"} 1";
    metrics.lines().any(|line| line == ended)
}

/// Seconds: long enough to connect on a machine with other work.
const SHORT_LIFE: i64 = 6;

#[test]
fn a_token_that_expires_is_replaced_in_its_file_and_each_event_is_there_once() {
    let tokens = Tokens::new();
    let mut bench = tokens.bench(500);
    let tail = bench.follow_with(&["--token-file", &tokens.give(SHORT_LIFE)]);
    bench.until_all();
    tokens.give(3600);
    until("the end of the first token", || {
        has_ended_one(bench.gateway.as_ref().unwrap())
    });
    bench.write(500);
    bench.until_all();
    let told = bench.has_each_once(tail);
    assert!(told.contains("trying again in"), "{told}");
}

#[test]
fn a_token_that_expires_and_is_not_replaced_ends_the_read_with_the_reason() {
    let tokens = Tokens::new();
    let bench = tokens.bench(10);
    let (code, lines, told) = run(bench.tail(&["--token-file", &tokens.give(SHORT_LIFE)]));
    assert_eq!((code, lines.len()), (1, 10), "{told}");
    assert!(told.contains("401") && told.contains("expired"), "{told}");
}

#[test]
fn only_the_fields_and_partitions_that_are_asked_for_are_printed() {
    let bench = Bench::new(40);
    let (state, mut all) = (bench.path("state"), Vec::new());
    let state = state.to_str().unwrap();
    for (share, arguments) in [("1/2", &["--resume", state][..]), ("2/2", &[])] {
        let mut command = bench.tail(&["--partitions", share, "--until", "now"]);
        command.args(arguments);
        let (code, lines, told) = run(command);
        assert_eq!((code, lines.len(), told.as_str()), (0, 20, ""), "{share}");
        all.extend(lines.iter().map(|line| number(line)));
    }
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    let (code, _, told) = run(bench.tail(&["--partitions", "2/2", "--resume", state]));
    assert_eq!(code, 64, "{told}");
    assert!(
        told.contains("is the state of another read") && told.contains("with partitions \"1/2\""),
        "{told}"
    );
    let value = r#"{"a":{"b":1,"c":2},"d":3}"#.to_owned();
    bench.brokers.write_values(TOPIC, 0, [(stamp(40), value)]);
    let arguments = ["--filter", "d = 3", "--fields", "a.b,d", "--limit", "1"];
    let (code, lines, told) = run(bench.tail(&arguments));
    assert_eq!((code, told.as_str()), (0, ""));
    assert_eq!(lines, [r#"{"a":{"b":1},"d":3}"#]);
}

#[test]
fn hostile_values_are_one_line_each_and_command_no_terminal() {
    let bench = Bench::new(0);
    let deep = format!("{}1{}", "{\"deep\":".repeat(120), "}".repeat(120));
    let values = [
        r#"{"markup":"<script>alert(1)</script>"}"#.to_owned(),
        format!(r#"{{"long":"{}"}}"#, "x".repeat(900_000)),
        deep,
        r#"{"escaped":"\u0000\u001b[31m\u0007\r\n"}"#.to_owned(),
        "{\"raw\":\"\u{7f}\u{9b}31m\u{85}\u{202e}gnp.exe\u{2028}\"}".to_owned(),
        "{\n\t\"lines\":\r\n1}".to_owned(),
    ];
    let records = (0..).map(stamp).zip(values.iter().cloned());
    bench.brokers.write_values(TOPIC, 0, records);
    for template in [None, Some("{@value}"), Some("{escaped}{raw}")] {
        let limit = values.len().to_string();
        let mut command = bench.tail(&["--limit", &limit]);
        command.args(template.iter().flat_map(|template| ["--template", template]));
        let (code, lines, told) = run(command);
        assert_eq!((code, lines.len(), told.as_str()), (0, values.len(), ""));
        let commands = |line: &String| line.contains(char::is_control);
        assert_eq!(lines.iter().find(|line| commands(line)), None, "{template:?}");
        if template == Some("{escaped}{raw}") {
            assert!(lines[4].contains("gnp.exe"), "{:?}", lines[4]);
            continue;
        }
        for (line, value) in lines.iter().zip(&values) {
            let [line, value]: [Value; 2] = [line, value].map(|json| serde_json::from_str(json).unwrap());
            assert!(line == value, "another value");
        }
    }
}

#[test]
fn a_read_ends_as_it_is_asked_to_and_goes_on_behind_that() {
    let bench = Bench::new(300);
    let state = bench.path("state");
    let limited = || bench.tail(&["--limit", "100", "--resume", state.to_str().unwrap()]);
    let mut all = Vec::new();
    for _ in 0..3 {
        let (code, lines, told) = run(limited());
        assert_eq!((code, lines.len(), told.as_str()), (0, 100, ""));
        all.extend(lines.iter().map(|line| number(line)));
    }
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

#[test]
fn a_read_until_now_ends_there_and_the_next_one_goes_on_behind_it() {
    let mut bench = Bench::new(200);
    let state = bench.path("state");
    let mut all = Vec::new();
    for round in 0..3 {
        let arguments = ["--until", "now", "--resume", state.to_str().unwrap()];
        let (code, lines, told) = run(bench.tail(&arguments));
        assert_eq!((code, told.as_str()), (0, ""), "{round}");
        all.extend(lines.iter().map(|line| number(line)));
        // Without anything new it ends too.
        let (code, lines, _) = run(bench.tail(&arguments));
        assert_eq!((code, lines.len()), (0, 0), "{round}");
        bench.write(100);
    }
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>());
    let (code, _, told) = run(bench.tail(&["--until", "tomorrow"]));
    assert_eq!(code, 1);
    assert!(told.contains("'until' must be a time"), "{told}");
}

#[test]
fn who_closes_the_pipe_ends_the_read_in_order() {
    let bench = Bench::new(5_000);
    let mut tail = bench.tail(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(tail.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    number(&line);
    // It is closed here. A stream without events would not notice.
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

#[test]
fn filters_and_templates_choose_what_is_printed() {
    let bench = Bench::new(40);
    let template = "{@topic}/{@partition}/{@offset}: {n} {missing}{{}}";
    let (code, mut lines, told) =
        run(bench.tail(&["--filter", "n in (6, 8)", "--template", template, "--limit", "2"]));
    assert_eq!((code, told.as_str()), (0, ""));
    lines.sort();
    assert!(
        lines[0].ends_with(": 6 {}") && lines[1].ends_with(": 8 {}"),
        "{lines:?}"
    );
    let (code, lines, _) = run(bench.tail(&["--template", template, "--limit", "40"]));
    assert_eq!(code, 0);
    let mut offsets: Vec<_> = lines
        .iter()
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect();
    offsets.sort();
    let expected = (0..PARTITIONS)
        .flat_map(|partition| (0..20).map(move |offset| format!("{TOPIC}/{partition}/{offset}")));
    // Without an id before it, nothing tells the partition of the first event.
    let unknown: Vec<_> = expected
        .filter(|known| offsets.binary_search(known).is_err())
        .collect();
    assert!(
        unknown.len() == 1 && offsets[0] == "//",
        "{unknown:?} {offsets:?}"
    );
    assert!(unknown[0].ends_with("/0"), "{unknown:?}");
}

#[test]
fn refusals_and_wrong_usage_are_told_with_their_exit_codes() {
    let bench = Bench::new(1);
    let base = bench.url.trim_end_matches("/v2/stream/edits");
    let (state, text) = (bench.path("state"), bench.path("text"));
    fs::write(&text, "a text").unwrap();
    let (code, ..) = run(bench.tail(&["--limit", "1", "--resume", state.to_str().unwrap()]));
    assert_eq!(code, 0);
    let nothing = format!("{base}/v2/stream/nothing");
    let (state, text) = (state.to_str().unwrap(), text.to_str().unwrap());
    for (arguments, code, said) in [
        (
            vec![&*nothing],
            1,
            "status 400 instead of 200: Invalid streams: nothing",
        ),
        (
            vec![&bench.url, "--filter", "a ="],
            1,
            "status 400 instead of 200",
        ),
        (
            vec![&bench.url, "--token-file", "/nowhere"],
            1,
            "the credential in /nowhere cannot be read",
        ),
        (vec![base], 64, "the URL names no stream"),
        (vec!["ftp://h/v2/stream/a"], 64, "http or https"),
        (vec![&bench.url, "--template", "{"], 64, "stands alone"),
        (vec![&bench.url, "--limit", "0"], 64, "0 is not in 1.."),
        (
            vec![&bench.url, "--resume", text],
            64,
            "is not a state file of `riverhead tail`",
        ),
        (
            vec![&bench.url, "--resume", state, "--filter", "n = 1"],
            64,
            "is the state of another read",
        ),
        (
            vec![&bench.url, "--resume", "/nowhere/state"],
            1,
            "/nowhere/state",
        ),
        (vec![], 64, "<URL>"),
    ] {
        let (found, lines, told) = run(command(&arguments));
        assert_eq!((found, lines.len()), (code, 0), "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}

#[test]
fn a_gateway_that_is_away_is_waited_for() {
    let mut bench = Bench::new(10);
    drop(bench.gateway.take());
    let out = bench.path("out");
    let mut tail = bench
        .tail(&["--limit", "10"])
        .stdout(File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut stderr = BufReader::new(tail.stderr.take().unwrap());
    stderr.read_line(&mut told).unwrap();
    assert!(told.contains("refuses connections; trying again in"), "{told}");
    bench.gateway = Some(bench.plan.start().unwrap());
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    assert_eq!(numbers(&out).len(), 10);
    // What is told may be more lines of the same.
    stderr.read_to_string(&mut told).unwrap();
}

/// The short form of `riverhead-loadtest tail`.
#[test]
fn a_fast_stream_is_printed_to_a_pipe_in_whole_and_in_order() {
    let report = Tail {
        binary: env!("CARGO_BIN_EXE_riverhead").into(),
        rate: 2_000.0,
        record_bytes: 350,
        duration: Duration::from_secs(1),
        template: "{n} {@partition} {@offset}".into(),
        progress: Progress::Silent,
    };
    let report = report.run().unwrap();
    let mut problems = report.problems();
    // A machine with other work may be too slow for it.
    problems.retain(|problem| !problem.contains("did not keep up"));
    assert!(problems.is_empty(), "{problems:?}\n{report}");
    assert!(report.turns.iter().all(|turn| turn.lines > 0), "{report}");
}

#[test]
fn completions_and_pages_of_the_manual_know_the_commands() {
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_riverhead"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(said(&["completions", shell]).contains("check-config"), "{shell}");
    }
    assert!(said(&["man"]).contains("check\\-config"));
    let page = said(&["man", "tail"]);
    assert!(page.contains(".TH") && page.contains("\\-\\-resume"), "{page}");
}
