//! The reports of configuration errors.

use riverhead::config::Config;

use super::{LEAST, loaded, report, warnings, with_cluster_line};

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

[tracing]
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
        loaded(&allowed, &[]).clusters[0].bootstrap[0].to_string(),
        "b1.example:9092"
    );
    assert_eq!(
        warnings(&allowed, &[]),
        ["riverhead.toml:4: cluster `main` has 1 bootstrap broker; with three, one can be decommissioned"]
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
fn limits_that_contradict_each_other_are_shown_where_they_stand() {
    let text = format!(
        "[limits]\nstreams_total = 20\nipv6_prefix = 24\nclients_per_stream = \"many\"\n\
         deny = [\"0.0.0.0/0\"]\nallow = [\"0.0.0.0/0\"]\n\
         [[limits.networks]]\ncidr = \"10.0.0.0/8\"\nstreams_per_client = 21\n{LEAST}max_clients = 0\n"
    );
    insta::assert_snapshot!(report(&text, &[]));
}

#[test]
fn the_limits_of_a_network_are_there_once_and_say_which() {
    let text = format!(
        "[limits]\nnetworks = [\n  {{ cidr = \"10.0.0.0/8\" }},\n  {{ cidr = \"10.1.2.3/8\" }},\n]\n{LEAST}"
    );
    insta::assert_snapshot!(report(&text, &[]));
    let text = format!("[[limits.networks]]\nstreams = 3\n{LEAST}");
    let report = report(&text, &[]);
    for told in [
        "limits.networks.streams",
        "streams_per_client",
        "`limits.networks.cidr` is missing",
    ] {
        assert!(report.contains(told), "{told}: {report}");
    }
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
        report(&text, &[]).ends_with("\n1 error"),
        "{}",
        report(&text, &[])
    );
}

#[test]
fn a_line_that_could_not_be_read_is_not_told_as_missing() {
    let text = LEAST
        .replace(r#"name = "main""#, "name = main")
        .replace("bootstrap", "allow_single_bootstrap = yes\nbootstrap");
    let text = text.replace(r#", "b2.example:9092", "b3.example:9092""#, "") + "clusters = [\"main\"]\n";
    let text = format!("[http]\nheartbeat = 5s\nstall_timeout = \"10s\"\n{text}");
    let report = report(&text, &[]);
    assert!(report.ends_with("\n3 errors"), "{report}");
}

#[test]
fn faults_of_one_variable_do_not_hide_each_other() {
    let streams = r#"[{ name = "a", topics = ["t"] }, { name = "a", topics = ["u", "u"], payload = "xml" }]"#;
    let report = report(LEAST, &[("RIVERHEAD__STREAMS", streams)]);
    for told in [
        "`a` is taken",
        "`u` is listed twice",
        "`streams.payload`: expected",
        "3 errors",
    ] {
        assert!(report.contains(told), "{told}: {report}");
    }
}

#[test]
fn the_demo_is_held_to_the_same_rules() {
    let pairs = super::environment(&[("RIVERHEAD_HTTP__HEARTBEAT", "2m")]);
    let faults = Config::of_environment(pairs).expect_err("a fault");
    assert!(
        faults
            .to_string()
            .contains("must be shorter than `http.stall_timeout`"),
        "{faults}"
    );
}

#[test]
fn tls_that_cannot_work_is_told_with_its_keys() {
    let pair = "certificates = [{ certificate = \"c.pem\", key = \"k.pem\" }]";
    for (text, told) in [
        ("[http.tls]\n".to_owned(), "`http.tls.certificates` is missing"),
        (
            "[http.tls]\ncertificates = []\n".into(),
            "expected at least one certificate",
        ),
        (
            "[http.tls]\ncertificates = [{ certificate = \"c.pem\" }]\n".into(),
            "`http.tls.certificates.key` is missing",
        ),
        (
            format!("[http.tls]\n{pair}\nclient_certificates = \"required\"\n"),
            "every certificate would be refused",
        ),
        (
            format!("[admin.tls]\n{pair}\nclient_certificates = \"optional\"\n"),
            "`admin.tls.client_ca` is empty",
        ),
        (
            format!("[http.tls]\n{pair}\nminimum_version = \"1.1\"\n"),
            "expected one of \"1.2\", \"1.3\"",
        ),
        (
            format!("[http.tls]\n{pair}\nkey_update_after = 1\n"),
            "expected a whole number from 2 to 16777216",
        ),
        (
            format!("[http.tls]\n{pair}\nkey_update_after = 16777217\n"),
            "expected a whole number from 2 to 16777216",
        ),
        (
            format!("[admin.tls]\n{pair}\nkey_update_after = 1000\n"),
            "unknown key `admin.tls.key_update_after`",
        ),
        (
            format!("[http.tls]\n{pair}\nlisten = \"127.0.0.1:8080\"\n"),
            "cannot both be bound",
        ),
        // Replicas share no sessions of operators.
        (
            format!("[admin.tls]\n{pair}\nticket_keys_file = \"\"\n"),
            "unknown key `admin.tls.ticket_keys_file`",
        ),
        ("[http]\nlisten = \"\"\n".into(), "no client could connect"),
        ("[http]\nredirect = true\n".into(), "no [http.tls] to redirect to"),
        (
            format!("[http]\nredirect = true\nlisten = \"\"\n[http.tls]\n{pair}\n"),
            "there are no requests to redirect",
        ),
    ] {
        let report = report(&format!("{text}{LEAST}"), &[]);
        assert!(report.contains(told), "{told} is not in\n{report}");
        assert!(report.ends_with("1 error"), "{report}");
    }
    let unused = format!("[http.tls]\n{pair}\nclient_ca = \"ca.pem\"\n{LEAST}");
    assert_eq!(
        warnings(&unused, &[]),
        ["riverhead.toml:3: `http.tls.client_ca` is ignored, because `client_certificates` is \"off\""]
    );
}

#[test]
fn a_key_that_was_written_in_place_of_its_file_is_not_shown() {
    let text = format!("[http.tls]\ncertificates = [{{ certificate = 7, key = \"MIIsecret\" }}]\n{LEAST}");
    let report = report(&text, &[]);
    assert!(report.contains("certificate = 7"), "{report}");
    assert!(!report.contains("MIIsecret"), "{report}");
}
