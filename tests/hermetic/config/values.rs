//! The values of keys, and where they come from.

use std::{ffi::OsString, net::SocketAddr, num::NonZeroU32, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use riverhead::{
    client::{ForwardedHeaders, Ipv6Prefix},
    config::Config,
    encoding::{Payload, Tombstones},
    tls::settings::{ClientCertificates, MinimumVersion},
};

use super::{LEAST, PATH, environment, loaded, report, warnings, with_cluster_line};

#[test]
fn the_environment_goes_before_the_file() {
    let text = format!("[http]\nlisten = \"127.0.0.1:1\"\ndrain = \"1s\"\n{LEAST}");
    let config = loaded(
        &text,
        &[
            ("RIVERHEAD_HTTP__LISTEN", "0.0.0.0:2"),
            (
                "RIVERHEAD_HTTP__TRUSTED_PROXIES",
                r#"["10.1.2.3/8", "192.0.2.1", "::ffff:192.0.2.2", "::ffff:198.51.100.9/120"]"#,
            ),
            ("RIVERHEAD_HTTP__FORWARDED", "x-forwarded-for"),
            ("RIVERHEAD_HTTP__SINK", "body"),
            ("RIVERHEAD_LIMITS__STREAMS_TOTAL", "77"),
            ("RIVERHEAD_MEMORY__TAIL", "1MiB"),
            ("RIVERHEAD_LOG__FORMAT", "json"),
        ],
    );
    assert_eq!(config.http.listen, Some(SocketAddr::from(([0, 0, 0, 0], 2))));
    assert_eq!(config.http.drain, Duration::from_secs(1));
    assert_eq!(config.http.sink, riverhead::http::settings::Sink::Body);
    let proxies: Vec<_> = config
        .http
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    // IPv4-mapped IPv6 networks become IPv4, as addresses do.
    let expected = ["10.0.0.0/8", "192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24"];
    assert_eq!(proxies, expected);
    assert_eq!(config.http.forwarded, ForwardedHeaders::XForwardedFor);
    assert_eq!(config.limits.streams_total.get(), 77);
    assert_eq!(config.memory.tail.get(), 1 << 20);
    assert_eq!(config.log.format, riverhead::log::LogFormat::Json);
}

#[test]
fn tls_is_read_from_both_sections_and_its_paths_begin_where_the_file_is() {
    let text = format!(
        "[http]\nlisten = \"\"\n[http.tls]\nlisten = \"0.0.0.0:443\"\n\
         certificates = [{{ certificate = \"a.pem\", key = \"/etc/a.key\" }}]\n{LEAST}"
    );
    let certificates = r#"[{ certificate = "b.pem", key = "b.key" }]"#;
    let pairs = [
        ("RIVERHEAD_HTTP__TLS__MINIMUM_VERSION", "1.3"),
        ("RIVERHEAD_HTTP__TLS__KEY_UPDATE_AFTER", "1000"),
        ("RIVERHEAD_HTTP__TLS__TICKET_KEYS_FILE", "ticket.keys"),
        ("RIVERHEAD_ADMIN__TLS__CERTIFICATES", certificates),
        ("RIVERHEAD_ADMIN__TLS__CLIENT_CA", "ca.pem"),
        ("RIVERHEAD_ADMIN__TLS__CLIENT_CERTIFICATES", "required"),
    ];
    let config = Config::load(&text, "/etc/riverhead/riverhead.toml", environment(&pairs));
    let (config, _) = config.expect("no faults");
    assert_eq!(config.http.listen, None);
    let https = config.http.tls.expect("the section is there");
    assert_eq!(https.listen, SocketAddr::from(([0, 0, 0, 0], 443)));
    assert_eq!(https.tls.minimum_version, MinimumVersion::Tls13);
    assert_eq!(https.tls.key_update_after, 1000);
    let files = &https.tls.certificates[0];
    assert_eq!(files.certificate, Path::new("/etc/riverhead/a.pem"));
    assert_eq!(files.key, Path::new("/etc/a.key"));
    let keys = https.tls.ticket_keys_file.as_deref();
    assert_eq!(keys, Some(Path::new("/etc/riverhead/ticket.keys")));
    let admin = config.admin.tls.expect("the environment made it");
    assert_eq!(admin.certificates[0].key, Path::new("/etc/riverhead/b.key"));
    assert_eq!(
        admin.client_ca.as_deref(),
        Some(Path::new("/etc/riverhead/ca.pem"))
    );
    assert_eq!(admin.client_certificates, ClientCertificates::Required);
}

#[test]
fn keys_of_tickets_are_read_in_their_order() {
    let [one, two] = [1, 2].map(|byte| STANDARD.encode([byte; 32]));
    let text = format!("[auth]\nticket_resume = \"0s\"\nticket_lifetime = \"5s\"\n{LEAST}");
    let keys = format!("[\"{two}\", \"{one}\"]");
    let auth = loaded(&text, &[("RIVERHEAD_AUTH__TICKET_KEYS", &keys)]).auth;
    let auth = auth.expect("the section is there");
    assert_eq!(auth.ticket_keys, [two, one].map(|key| key.parse().unwrap()));
    assert_eq!(auth.ticket_lifetime, Duration::from_secs(5));
    assert_eq!(auth.ticket_resume, Duration::ZERO);
    let bad = report(&text, &[("RIVERHEAD_AUTH__TICKET_KEYS", "[\"hunter2\"]")]);
    assert!(bad.contains("RIVERHEAD_AUTH__TICKET_KEYS"), "{bad}");
    assert!(!bad.contains("hunter2"), "{bad}");
}

#[test]
fn limits_are_read_with_their_networks_and_those_of_streams() {
    let text = format!(
        "[limits]\nclients_per_stream = 50\nipv6_prefix = 56\ndeny = [\"192.0.2.9/24\"]\nevict_when_full = true\n\
         [[limits.networks]]\ncidr = \"198.51.100.0/24\"\nstreams_per_client = 100\n\
         [[limits.networks]]\ncidr = \"2001:db8::1\"\nrequest_burst = 7\n\
         {LEAST}max_clients = 7\n\
         [[streams]]\nname = \"free\"\ntopics = [\"edits\"]\nmax_clients = \"unlimited\"\n\
         [[streams]]\nname = \"usual\"\ntopics = [\"edits\"]\nmax_clients = 50\n"
    );
    let limits = loaded(&text, &[("RIVERHEAD_LIMITS__PROBES", "[\"192.0.2.1\"]")]).limits;
    let own = |name: &str| {
        limits
            .max_clients
            .get(name)
            .map(|limit| limit.map(NonZeroU32::get))
    };
    assert_eq!(limits.clients_per_stream, NonZeroU32::new(50));
    assert_eq!(
        [own("edits"), own("free"), own("usual")],
        [Some(Some(7)), Some(None), None]
    );
    assert_eq!(Some(limits.ipv6_prefix), Ipv6Prefix::new(56));
    assert_eq!(limits.deny[0].to_string(), "192.0.2.0/24");
    assert_eq!(limits.probes[0].to_string(), "192.0.2.1/32");
    assert!(limits.evict_when_full);
    let [campus, host] = &limits.networks[..] else {
        panic!("{:?}", limits.networks);
    };
    assert_eq!(campus.streams_per_client, NonZeroU32::new(100));
    assert_eq!((campus.requests_per_minute, campus.request_burst), (None, None));
    assert_eq!(
        (host.cidr.to_string().as_str(), host.request_burst),
        ("2001:db8::1/128", NonZeroU32::new(7))
    );

    let networks = r#"[{ cidr = "10.0.0.0/8", streams_per_client = 3 }]"#;
    let pairs = [
        ("RIVERHEAD_LIMITS__NETWORKS", networks),
        ("RIVERHEAD_LIMITS__CLIENTS_PER_STREAM", "unlimited"),
    ];
    let limits = loaded(&text, &pairs).limits;
    assert_eq!(limits.networks.len(), 1);
    assert_eq!(limits.clients_per_stream, None);
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
fn a_stream_may_be_quiet_unless_it_says_otherwise() {
    let within = |text: &str| {
        let config = loaded(text, &[]);
        let stream = config.catalog.streams().next().expect("a stream");
        stream.expect_event_within
    };
    assert_eq!(within(LEAST), None);
    let text = format!("{LEAST}expect_event_within = \"90s\"\n");
    assert_eq!(within(&text), Some(Duration::from_secs(90)));
    assert_eq!(within(&text.replace("90s", "never")), None);
    let faults = report(&format!("{LEAST}expect_event_within = \"0s\"\n"), &[]);
    assert!(faults.contains("a duration above zero"), "{faults}");
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
    // A standby cluster also needs the topic.
    assert_eq!(config.catalog.topics_of("main"), ["edits".into(), "pages".into()]);
    assert_eq!(config.catalog.topics_of("other"), ["pages".into()]);
    let selection = config.catalog.select("wiki.edits").expect("a stream");
    assert_eq!(selection.former_topics, ["old"].into());
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
fn who_trusts_proxies_is_told_to_name_the_header_that_they_set() {
    let said = |lines: &str| {
        let text = format!("[http]\ntrusted_proxies = [\"10.0.0.0/8\"]\n{lines}{LEAST}");
        let warnings = warnings(&text, &[]).join("\n");
        warnings.contains("`http.forwarded`")
    };
    assert!(said(""));
    assert!(said("forwarded = \"both\"\n"));
    assert!(!said("forwarded = \"x-forwarded-for\"\n"));
    assert!(!said("forwarded = \"forwarded\"\n"));
    assert!(!said("client_header = \"X-Client-IP\"\n"));
    assert!(!said("proxy_protocol = true\n"));
    assert!(said(
        "client_header = \"X-Client-IP\"\nforwarded = \"forwarded\"\n"
    ));
    assert!(!warnings(LEAST, &[]).join("\n").contains("http.forwarded"));
}

#[test]
fn a_topic_that_one_stream_restricts_and_another_does_not_is_warned_of() {
    let said = |only_of_edits: &str, topics_of_mine: &str, only_of_mine: &str| {
        let text = format!(
            "[auth]\nkeys_file = \"keys.toml\"\n{LEAST}only = '{only_of_edits}'\n\
             [[streams]]\nname = \"mine\"\ntopics = [{topics_of_mine}]\nonly = '{only_of_mine}'\n"
        );
        let warnings = warnings(&text, &[]).join("\n");
        let expected = "`edits` has topic `edits` without `only`, with which stream `mine` restricts it";
        assert!(warnings.is_empty() || warnings.contains(expected), "{warnings}");
        !warnings.is_empty()
    };
    assert!(said("", "\"edits\"", "user = $sub"));
    assert!(said("", "\"other\", \"edits\"", "user = $sub"));
    assert!(!said("", "\"other\"", "user = $sub"));
    assert!(
        !said("user = $sub", "\"edits\"", "team in $teams"),
        "both restrict it"
    );
    assert!(!said("", "\"edits\"", ""));
}

#[test]
fn what_only_is_made_of_is_checked_when_it_is_read() {
    let with = |only: &str| format!("[auth]\nkeys_file = \"keys.toml\"\n{LEAST}only = '{only}'\n");
    let config = loaded(&with("tenant = $tenant and @offset < $last"), &[]);
    let only = config
        .catalog
        .streams()
        .next()
        .and_then(|stream| stream.only.clone());
    assert_eq!(only.as_deref(), Some("tenant = $tenant and @offset < $last"));
    for bad in [
        "tenant =",
        "tenant = $",
        "tenant = $ x",
        "@partition prefix $x",
        "a in ($x",
    ] {
        assert!(report(&with(bad), &[]).contains("column"), "{bad}");
    }
    let without_auth = report(&format!("{LEAST}only = 'tenant = $tenant'\n"), &[]);
    assert!(without_auth.contains("there is no [auth]"), "{without_auth}");
}

#[test]
fn a_field_that_has_the_name_of_a_later_parameter_is_valid_and_warned_of() {
    let text = format!("{LEAST}\nfilter_fields = [\"wiki\", \"checkpoint\", \"lastEventID\"]\n");
    let warnings = warnings(&text, &[]).join("\n");
    for field in ["checkpoint", "lastEventID"] {
        assert!(
            warnings.contains(&format!("`{field}` is also a query parameter now")),
            "{warnings}"
        );
    }
    assert!(!warnings.contains("`wiki`"), "{warnings}");
}

#[test]
fn the_demo_takes_its_sections_from_the_environment_and_brings_the_rest() {
    let pairs = environment(&[
        ("RIVERHEAD_LOG__LEVEL", "debug"),
        ("RIVERHEAD__STREAMS", "[]"),
        ("RIVERHEAD_STREAM_CONFIG__FILE", "streams.json"),
    ]);
    let config = Config::of_environment(pairs).expect("no faults");
    assert_eq!(Ok(config.log.level), "debug".parse());
    assert!(config.stream_config.is_none());
    let faults =
        Config::of_environment(environment(&[("RIVERHEAD_LOG__LEVLE", "debug")])).expect_err("a fault");
    assert!(
        faults
            .to_string()
            .contains("did you mean `RIVERHEAD_LOG__LEVEL`?"),
        "{faults}"
    );
}
