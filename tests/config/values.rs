//! What is read, and from where.

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use riverhead::{
    config::{Config, Sections},
    encoding::{Payload, Tombstones},
};

use super::{LEAST, PATH, environment, loaded, warnings, with_cluster_line};

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
    let faults = Config::load(LEAST, PATH, [(name, OsString::from_vec(vec![0xff]))]).expect_err("a fault");
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
filter_fields = ["wiki"]
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
    assert_eq!(selection.filter_fields, [("wiki".into(), true)]);
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
