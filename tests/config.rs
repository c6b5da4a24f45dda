//! The configuration as an operator meets it: reports, overrides, exit codes, and the file that documents it.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
    time::Duration,
};

use proptest::prelude::*;
use riverhead::{
    config::{Config, Sections},
    encoding::{Payload, Tombstones},
    kafka::settings::DEFAULT_HISTORY_RATE,
};

const PATH: &str = "riverhead.toml";

/// The least that is a configuration.
const LEAST: &str = r#"
[[clusters]]
name = "main"
bootstrap = ["b1.example:9092", "b2.example:9092", "b3.example:9092"]

[[streams]]
name = "edits"
topics = ["edits"]
"#;

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn loaded(text: &str, pairs: &[(&str, &str)]) -> Config {
    match Config::load(text, PATH, environment(pairs)) {
        Ok((config, _)) => config,
        Err(faults) => panic!("{faults}"),
    }
}

fn report(text: &str, pairs: &[(&str, &str)]) -> String {
    match Config::load(text, PATH, environment(pairs)) {
        Ok(_) => panic!("this configuration has no faults"),
        Err(faults) => faults.to_string(),
    }
}

fn warnings(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let (_, warnings) = Config::load(text, PATH, environment(pairs)).expect("no faults");
    warnings.iter().map(ToString::to_string).collect()
}

/// `LEAST` with a line added to its cluster.
fn with_cluster_line(line: &str) -> String {
    LEAST.replace("\n\n[[streams]]", &format!("\n{line}\n\n[[streams]]"))
}

mod the_documented_file {
    use super::*;

    const TEXT: &str = include_str!("../config/riverhead.toml");

    #[test]
    fn has_no_faults_and_surprises_nobody() {
        assert_eq!(warnings(TEXT, &[]), [""; 0]);
    }

    #[test]
    fn explains_every_key_in_the_order_of_the_tables() {
        let document = toml_span::parse(TEXT).expect("TOML");
        for (section, keys) in Config::keys() {
            let at = [format!("/{section}/0"), format!("/{section}")];
            let table = at.iter().find_map(|at| document.pointer(at)?.as_table());
            let mut shown: Vec<_> = table.expect("the section is there").iter().collect();
            shown.sort_by_key(|(key, _)| key.span.start);
            let shown: Vec<_> = shown.into_iter().map(|(key, _)| &*key.name).collect();
            assert_eq!(shown, keys, "{section}");
        }
    }

    #[test]
    fn shows_the_defaults() {
        let config = loaded(TEXT, &[]);
        let (clusters, catalog) = (config.clusters.clone(), config.catalog.clone());
        let defaults = Sections::default().with(clusters, catalog);
        assert_eq!(config.http, defaults.http);
        assert_eq!(config.admin, defaults.admin);
        assert_eq!(config.limits, defaults.limits);
        assert_eq!(config.memory, defaults.memory);
        assert_eq!(config.log, defaults.log);

        let least = loaded(LEAST, &[]);
        assert_eq!(config.clusters, least.clusters);
        assert_eq!(config.clusters[0].history_rate, DEFAULT_HISTORY_RATE);
        let shown = config.catalog.streams().next().expect("a stream");
        let default = least.catalog.streams().next().expect("a stream");
        assert_eq!(shown.encoding, default.encoding);
        assert_eq!(shown.former_topics, default.former_topics);
        assert_eq!(shown.clusters, default.clusters);
    }
}

mod reports {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        let text = r#"
[http]
listen = "localhost:8080"
heartbeet = "15s"
stall_timeout = "60"
drain = 20
trusted_proxies = ["10.0.0.0/8", "10.0.0.0/33", 7]

[limits]
streams_per_client = 0
streams_total = "many"

[memory]
tail = "0MiB"
lanes = "64M"

[log]
format = "xml"
level = "inof"

[metrics]
listen = "127.0.0.1:9090"

[[clusters]]
name = "main"
bootstrap = ["b1", "b2:9092"]

[[clusters]]
name = "main"
bootstrap = ["b1:9092", "b2:9092"]

[[streams]]
name = "a b"
topics = []

[[streams]]
name = "edits"
aliases = ["edits"]
topics = ["edits", "edits/1"]
payload = "xml"

[[streams]]
topics = ["pages"]
clusters = ["mian"]
"#;
        insta::assert_snapshot!(report(text, &[("RIVERHEAD_HTTP__HOLD_LIMIT", "soon")]));
    }

    #[test]
    fn an_empty_file_says_what_is_needed() {
        insta::assert_snapshot!(report("", &[]));
    }

    #[test]
    fn one_bootstrap_broker_alone_is_the_outage_of_2019() {
        let text = LEAST.replace(
            r#"["b1.example:9092", "b2.example:9092", "b3.example:9092"]"#,
            r#"["b1.example:9092", "B1.example:9092"]"#,
        );
        insta::assert_snapshot!(report(&text, &[]));
        let allowed = text.replace("[[streams]]", "allow_single_bootstrap = true\n[[streams]]");
        assert_eq!(
            loaded(&allowed, &[]).clusters[0].bootstrap_servers(),
            "b1.example:9092"
        );
        assert_eq!(
            warnings(&allowed, &[]),
            [
                "riverhead.toml:4: cluster `main` has 1 bootstrap broker; three outlive the decommissioning of one"
            ]
        );
    }

    #[test]
    fn what_riverhead_rests_on_is_refused_with_its_reason() {
        let text = with_cluster_line(
            r#"
[clusters.librdkafka]
group.id = "riverhead"
"auto.offset.reset" = "latest"
enable.auto.commit = true
socket.timeout.mss = 5000
client.id = ["a"]
security.protocol = "sasl_ssl"
sasl.password = "hunter2"
"sasl.kerberos.keytab" = "/etc/keytab"
colour = "blue"
"#,
        );
        let report = report(&text, &[]);
        assert!(!report.contains("hunter2"));
        insta::assert_snapshot!(report);
    }

    #[test]
    fn streams_that_share_a_topic_must_agree() {
        let text = format!(
            r#"{LEAST}
[[clusters]]
name = "other"
bootstrap = ["o1:9092", "o2:9092"]

[[streams]]
name = "deletions"
aliases = ["edits"]
topics = ["deletions", "edits"]
payload = "raw"
tombstones = "delete"
clusters = ["other"]
"#
        );
        insta::assert_snapshot!(report(&text, &[]));
    }

    #[test]
    fn keys_that_contradict_each_other_are_shown_together() {
        let text = format!(
            "[http]\nlisten = \"0.0.0.0:8080\"\nheartbeat = \"2m\"\n[admin]\nlisten = \"127.0.0.1:8080\"\n\
             [limits]\nstreams_total = 9\n{LEAST}"
        );
        insta::assert_snapshot!(report(&text, &[]));
    }

    #[test]
    fn a_forgotten_quote_does_not_hide_the_rest() {
        let text = LEAST.replace(r#""main""#, "main").replace("topics =", "topic =");
        insta::assert_snapshot!(report(&format!("[http]\nheartbeat = 15s\n{text}"), &[]));
    }

    #[test]
    fn a_key_that_is_there_twice_is_shown_twice() {
        insta::assert_snapshot!(report(&with_cluster_line("name = \"again\""), &[]));
    }

    #[test]
    fn a_bad_variable_is_named_and_its_text_is_not_shown() {
        let pairs = [
            ("RIVERHEAD_HTTP__LISTNE", "127.0.0.1:1"),
            ("RIVERHEAD_HTTP__HEARTBEAT", "soon"),
            ("RIVERHEAD_HTTP__TRUSTED_PROXIES", "10.0.0.0/8"),
            ("RIVERHEAD_LIMITS__STREAMS_TOTAL", "-1"),
            ("RIVERHEAD__STREAMS", "[{ name = hunter2 }]"),
            ("RIVERHEAD__NOTHING_LIKE_IT_AT_ALL", ""),
        ];
        let report = report(LEAST, &pairs);
        assert!(!report.contains("hunter2"));
        insta::assert_snapshot!(report);
    }

    #[test]
    fn a_slip_that_has_a_rule_too_is_told_once() {
        let text = format!("[http]\nheartbeat = \"2m\"\nstall_timeout = \"1 hour\"\n{LEAST}");
        assert!(
            report(&text, &[]).ends_with("\n1 fault"),
            "{}",
            report(&text, &[])
        );
    }
}

mod values {
    use super::*;

    #[test]
    fn the_environment_goes_before_the_file() {
        let text = format!("[http]\nlisten = \"127.0.0.1:1\"\ndrain = \"1s\"\n{LEAST}");
        let config = loaded(
            &text,
            &[
                ("RIVERHEAD_HTTP__LISTEN", "0.0.0.0:2"),
                (
                    "RIVERHEAD_HTTP__TRUSTED_PROXIES",
                    r#"["10.1.2.3/8", "192.0.2.1"]"#,
                ),
                ("RIVERHEAD_LIMITS__STREAMS_TOTAL", "77"),
                ("RIVERHEAD_MEMORY__TAIL", "1MiB"),
                ("RIVERHEAD_LOG__FORMAT", "json"),
            ],
        );
        assert_eq!(config.http.listen, SocketAddr::from(([0, 0, 0, 0], 2)));
        assert_eq!(config.http.drain, Duration::from_secs(1));
        let proxies: Vec<_> = config
            .http
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32"]);
        assert_eq!(config.limits.streams_total.get(), 77);
        assert_eq!(config.memory.tail.get(), 1 << 20);
        assert_eq!(config.log.format, riverhead::log::Format::Json);
    }

    #[test]
    fn both_arrays_can_come_from_the_environment_alone() {
        let clusters = r#"[{ name = "env", bootstrap = ["e1:9092", "e2:9092"] }]"#;
        let streams =
            "[[streams]]\nname = \"a\"\ntopics = [\"t\"]\n[[streams]]\nname = \"b\"\ntopics = [\"t\"]\n";
        let pairs = [("RIVERHEAD__CLUSTERS", clusters), ("RIVERHEAD__STREAMS", streams)];
        for text in ["", LEAST] {
            let config = loaded(text, &pairs);
            assert_eq!(&*config.clusters[0].name, "env");
            assert_eq!(config.catalog.streams().len(), 2);
            assert_eq!(config.catalog.topics_of("env"), ["t".into()]);
        }
    }

    #[test]
    fn variables_of_kubernetes_are_not_ours() {
        let pairs = [
            ("RIVERHEAD_SERVICE_HOST", "10.0.0.1"),
            ("RIVERHEAD_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("RIVERHEAD_PORT", "x"),
            ("RIVERHEADS__STREAMS", "x"),
            ("OTHER__THING", "x"),
        ];
        loaded(LEAST, &pairs);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_a_fault_and_not_a_panic() {
        use std::os::unix::ffi::OsStringExt;

        let name = OsString::from("RIVERHEAD_LOG__LEVEL");
        let faults =
            Config::load(LEAST, PATH, [(name, OsString::from_vec(vec![0xff]))]).expect_err("a fault");
        assert!(
            faults.to_string().contains("RIVERHEAD_LOG__LEVEL is not UTF-8"),
            "{faults}"
        );
    }

    #[test]
    fn librdkafka_keys_are_flat_quoted_or_not() {
        let text = with_cluster_line(
            r#"
[clusters.librdkafka]
security.protocol = "ssl"
"ssl.key.location" = "/etc/key.pem"
socket.timeout.ms = 5000
socket."keepalive.enable" = true
"#,
        );
        let config = loaded(&text, &[]);
        let properties: Vec<_> = config.clusters[0].librdkafka.iter().collect();
        let properties: Vec<_> = properties
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let wanted = [
            "security.protocol=ssl",
            "socket.keepalive.enable=true",
            "socket.timeout.ms=5000",
            "ssl.ca.location=probe",
            "ssl.key.location=/etc/key.pem",
        ];
        assert_eq!(properties, wanted);
    }

    #[test]
    fn a_stream_is_read_from_the_first_cluster_unless_it_says_otherwise() {
        let text = format!(
            r#"{LEAST}
aliases = ["wiki.edits"]
former_topics = ["old"]
payload = "base64"
tombstones = "delete"
[[clusters]]
name = "other"
bootstrap = ["o1:9092", "o2:9092", "o3:9092"]
[[streams]]
name = "pages"
topics = ["pages"]
clusters = ["other", "main"]
"#
        );
        let config = loaded(&text, &[]);
        assert_eq!(config.catalog.topics_of("main"), ["edits".into()]);
        assert_eq!(config.catalog.topics_of("other"), ["pages".into()]);
        let selection = config.catalog.select("wiki.edits").expect("a stream");
        assert_eq!(selection.former_topics, ["old".into()]);
        let encoding = config.catalog.encoding_of("edits").expect("a topic");
        assert_eq!(
            (encoding.payload, encoding.tombstones),
            (Payload::Base64, Tombstones::Delete)
        );
    }

    #[test]
    fn what_is_legal_but_surprising_is_warned_of() {
        let text = format!(
            "[http]\ntrusted_proxies = [\"0.0.0.0/0\"]\nheartbeat = \"90s\"\nstall_timeout = \"2m\"\n{LEAST}\n\
             [[clusters]]\nname = \"idle\"\nbootstrap = [\"i1:1\", \"i2:1\"]\n\
             [clusters.librdkafka]\nsecurity.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\n\
             sasl.username = \"u\"\nsasl.password = \"p\"\n"
        );
        let warnings = warnings(&text, &[("RIVERHEAD_ADMIN__LISTEN", "0.0.0.0:8081")]);
        insta::assert_snapshot!(warnings.join("\n"));
    }

    #[test]
    fn the_demo_takes_its_sections_from_the_environment_and_brings_the_rest() {
        let pairs = environment(&[("RIVERHEAD_LOG__LEVEL", "debug"), ("RIVERHEAD__STREAMS", "[]")]);
        let sections = Sections::load(pairs).expect("no faults");
        assert_eq!(Ok(sections.log.level), "debug".parse());
        let faults = Sections::load(environment(&[("RIVERHEAD_LOG__LEVLE", "debug")])).expect_err("a fault");
        assert!(
            faults
                .to_string()
                .contains("did you mean `RIVERHEAD_LOG__LEVEL`?"),
            "{faults}"
        );
    }
}

mod rubbish {
    use super::*;

    fn survives(text: &str, pairs: &[(&str, &str)]) {
        match Config::load(text, PATH, environment(pairs)) {
            Ok((_, warnings)) => drop(warnings.iter().map(ToString::to_string).collect::<Vec<_>>()),
            Err(faults) => assert!(!faults.to_string().is_empty() && faults.count() > 0),
        }
    }

    proptest! {
        #[test]
        fn is_refused_without_a_panic(text in "\\PC{0,200}", name in "RIVERHEAD_[A-Z_]{0,20}", value in ".{0,40}") {
            survives(&text, &[(&name, &value)]);
        }

        /// Text that is nearly TOML finds more than text that is nothing.
        #[test]
        fn that_looks_like_a_configuration_is_too(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("[[clusters]]\n"), Just("[[streams]]\n"), Just("[http]\n"), Just("[clusters.librdkafka]\n"),
                    Just("name = "), Just("topics = "), Just("bootstrap = "), Just("a.b = "), Just("password = "),
                    Just("\"x\"\n"), Just("[\"é:1\", "), Just("]\n"), Just("{a = 1}\n"), Just("1\n"), Just("15s\n"),
                    Just("'"), Just("\"\"\""), Just("\r\n"), Just("# ü\n"), Just("\\u00"), Just("\u{feff}"),
                    Just("\t"), Just("\u{1b}[31m"), Just("="), Just("."),
                ],
                0..30,
            ),
        ) {
            let text = parts.concat();
            survives(&text, &[("RIVERHEAD__STREAMS", &text), ("RIVERHEAD__CLUSTERS", &text)]);
        }
    }

    #[test]
    fn that_is_deep_or_long_is_bounded() {
        survives(&format!("a = {}", "[".repeat(100_000)), &[]);
        survives(&format!("{}x = 1", "a.".repeat(100_000)), &[]);
        survives(&"x = 1\n".repeat(400_000), &[]);
        let keys: String = (0..10_000).map(|number| format!("k{number} = 1\n")).collect();
        let report = report(&keys, &[]);
        assert!(
            report.ends_with("10002 faults, the first 100 shown"),
            "{}",
            report.len()
        );
    }
}

mod the_binary {
    use super::*;

    fn riverhead(arguments: &[&str], pairs: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
        command.args(arguments).env_clear().envs(pairs.iter().copied());
        command.output().expect("the binary runs")
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn path(file: &tempfile::NamedTempFile) -> &str {
        file.path().to_str().expect("UTF-8")
    }

    #[test]
    fn exits_64_with_all_faults_before_it_binds_a_port() {
        // Were the port bound before the configuration is judged, this one would be taken, and the exit code 1.
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address").to_string();
        let text =
            format!("[http]\nlisten = \"{address}\"\nheartbeet = \"15s\"\n{LEAST}tombstone = \"skip\"\n");
        let file = file(&text);
        for command in ["serve", "check-config"] {
            let output = riverhead(
                &[command, "--config", path(&file)],
                &[("RIVERHEAD_LOG__LEVEL", "loud")],
            );
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{stderr}");
            assert!(output.stdout.is_empty());
            for told in ["heartbeet", "tombstone", "RIVERHEAD_LOG__LEVEL", "3 faults"] {
                assert!(stderr.contains(told), "{told}: {stderr}");
            }
        }
    }

    #[test]
    fn exits_1_when_a_right_configuration_does_not_come_up_and_logs_as_it_was_told() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address").to_string();
        let file = file(&LEAST.replace(r#", "b3.example:9092""#, ""));
        let pairs = [
            ("RIVERHEAD_HTTP__LISTEN", &*address),
            ("RIVERHEAD_LOG__FORMAT", "json"),
        ];
        let output = riverhead(&["serve", "--config", path(&file)], &pairs);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let line = stderr.lines().next().expect("a line");
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["level"], "WARN");
        assert!(
            line["message"]
                .as_str()
                .is_some_and(|said| said.contains("2 bootstrap brokers")),
            "{line}"
        );
    }

    #[test]
    fn exits_64_for_wrong_usage_and_0_for_help() {
        let missing = ["check-config", "--config", "/nowhere/riverhead.toml"];
        let wrong: &[&[&str]] = &[
            &[],
            &["serve"],
            &["sevre"],
            &["demo", "--rate", "0"],
            &["demo", "--listen", "x"],
            &missing,
        ];
        for arguments in wrong {
            let output = riverhead(arguments, &[]);
            assert_eq!(output.status.code(), Some(64), "{arguments:?}");
            assert!(
                output.stdout.is_empty() && !output.stderr.is_empty(),
                "{arguments:?}"
            );
        }
        for arguments in [["--help"], ["--version"], ["help"]] {
            let output = riverhead(&arguments, &[]);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            assert!(!output.stdout.is_empty(), "{arguments:?}");
        }
    }

    #[test]
    fn says_what_a_right_configuration_makes() {
        let file = file(&LEAST.replace(r#", "b3.example:9092""#, ""));
        let output = riverhead(&["check-config", "--config", path(&file)], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        insta::assert_snapshot!(stdout.replace(path(&file), "FILE"));
    }

    #[test]
    fn the_demo_tells_a_misspelt_variable_too() {
        let output = riverhead(&["demo"], &[("RIVERHEAD_HTTP__LISTNE", "127.0.0.1:0")]);
        assert_eq!(output.status.code(), Some(64));
    }
}
