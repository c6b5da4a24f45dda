//! Which of librdkafka's properties a configuration may set, and what must be said beside them.
//!
//! Three lists: what is refused, with the reason; what is passed through; and all else, which librdkafka does not have or
//! which means nothing to a reader. The names are those of librdkafka 2.12.1, `CONFIGURATION.md`,
//! less what is not built in.

use std::collections::BTreeMap;

/// Why riverhead does not let `property` be set, if it does not.
pub fn refusal(property: &str) -> Option<&'static str> {
    let listed = REFUSED
        .iter()
        .find(|(properties, _)| properties.contains(&property));
    if let Some((_, reason)) = listed {
        return Some(reason);
    }
    match property {
        _ if property.ends_with("_cb") => Some("a callback cannot be set from a file"),
        _ if property.starts_with("sasl.kerberos.") => Some("Kerberos is not built in"),
        _ if property.contains("oauthbearer") => Some("OAUTHBEARER needs libcurl, which is not built in"),
        _ if property.starts_with("https.ca.") => Some("it is for libcurl, which is not built in"),
        _ => None,
    }
}

/// A value that librdkafka would not take, or a property that lacks its companion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Which property it is about.
    pub property: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What does not fit together in `properties`, none of which is refused.
pub fn flaws(properties: &BTreeMap<String, String>) -> Vec<Flaw> {
    let mut flaws = security_flaws(properties);
    flaws.extend(sasl_flaws(properties));
    for flaw in values::flaws(properties) {
        if flaws.iter().all(|said| said.property != flaw.property) {
            flaws.push(flaw);
        }
    }
    flaws
}

/// Adds what TLS needs here: where the machine keeps its certificate authorities.
///
/// The OpenSSL that is built in looks below `/usr/local/ssl`, where nobody has any; `probe` makes librdkafka look where
/// distributions put them.
pub fn complete(properties: &mut BTreeMap<String, String>) {
    let tls = protocol(properties).is_some_and(|protocol| protocol.ends_with("ssl"));
    let told = AUTHORITIES
        .iter()
        .any(|property| properties.contains_key(*property));
    if tls && !told {
        properties.insert("ssl.ca.location".into(), "probe".into());
    }
}

fn protocol(properties: &BTreeMap<String, String>) -> Option<String> {
    properties.get(PROTOCOL).map(|value| value.to_ascii_lowercase())
}

fn security_flaws(properties: &BTreeMap<String, String>) -> Vec<Flaw> {
    let protocol = protocol(properties);
    let known = protocol.as_deref().is_none_or(|value| PROTOCOLS.contains(&value));
    let mut flaws = Vec::new();
    if !known {
        flaws.push(Flaw::new(
            PROTOCOL,
            format!("wants one of {}", PROTOCOLS.join(", ")),
        ));
    }
    // Credentials that silently are not used are worse than none: the operator believes they are.
    let idle = |prefix: &str, wanted: &str| {
        let first = properties.keys().find(|property| property.starts_with(prefix));
        first.map(|property| {
            let problem = format!("has no effect unless `{PROTOCOL}` is {wanted}");
            Flaw::new(property, problem)
        })
    };
    let protocol = protocol.unwrap_or_default();
    if known && !protocol.starts_with("sasl") {
        flaws.extend(idle("sasl.", "sasl_ssl or sasl_plaintext"));
    }
    if known && !protocol.ends_with("ssl") {
        flaws.extend(idle("ssl.", "ssl or sasl_ssl"));
    }
    flaws
}

fn sasl_flaws(properties: &BTreeMap<String, String>) -> Vec<Flaw> {
    if !protocol(properties).is_some_and(|protocol| protocol.starts_with("sasl")) {
        return Vec::new();
    }
    let named = MECHANISM
        .iter()
        .find_map(|property| properties.get_key_value(*property));
    let Some((property, mechanism)) = named else {
        let problem = "needs `sasl.mechanism` beside it: librdkafka's own choice, GSSAPI, is not built in";
        return vec![Flaw::new(PROTOCOL, problem)];
    };
    if !MECHANISMS.contains(&&**mechanism) {
        return vec![Flaw::new(
            property,
            format!("wants one of {}", MECHANISMS.join(", ")),
        )];
    }
    let missing = CREDENTIALS
        .iter()
        .filter(|needed| !properties.contains_key(**needed));
    missing
        .map(|needed| Flaw::new(property, format!("{mechanism} needs `{needed}` beside it")))
        .collect()
}

impl Flaw {
    fn new(property: &str, problem: impl Into<String>) -> Self {
        Self {
            property: property.into(),
            problem: problem.into(),
        }
    }
}

/// What librdkafka itself says of the values.
#[cfg(feature = "kafka")]
mod values {
    use std::collections::BTreeMap;

    use rdkafka::{ClientConfig, error::KafkaError};

    use super::Flaw;

    /// One property at a time, because librdkafka stops at the first it does not like.
    pub(super) fn flaws(properties: &BTreeMap<String, String>) -> Vec<Flaw> {
        let all = properties.iter();
        all.filter_map(|(property, value)| flaw(property, value))
            .collect()
    }

    fn flaw(property: &str, value: &str) -> Option<Flaw> {
        let mut config = ClientConfig::new();
        config.set(property, value);
        match config.create_native_config().err()? {
            // Its text can repeat the value, and a value can be a password.
            KafkaError::ClientConfig(_, said, _, _) if !said.contains(value) || value.is_empty() => {
                Some(Flaw::new(property, format!("librdkafka says: {said}")))
            }
            _ => Some(Flaw::new(property, "librdkafka does not take this value")),
        }
    }
}

/// Without librdkafka nobody knows.
#[cfg(not(feature = "kafka"))]
mod values {
    use std::collections::BTreeMap;

    use super::Flaw;

    pub(super) fn flaws(_properties: &BTreeMap<String, String>) -> Vec<Flaw> {
        Vec::new()
    }
}

const PROTOCOL: &str = "security.protocol";
const PROTOCOLS: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
const MECHANISM: &[&str] = &["sasl.mechanism", "sasl.mechanisms"];
/// Those that are built in; Kerberos and OAUTHBEARER need libraries that are not.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const CREDENTIALS: &[&str] = &["sasl.username", "sasl.password"];
const AUTHORITIES: &[&str] = &["ssl.ca.location", "ssl.ca.pem"];

/// What riverhead rests on.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["bootstrap.servers", "metadata.broker.list"],
        "the brokers asked first are the cluster's `bootstrap`",
    ),
    (
        &[
            "group.id",
            "group.instance.id",
            "group.protocol",
            "group.protocol.type",
            "group.remote.assignor",
            "partition.assignment.strategy",
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "coordinator.query.interval.ms",
            "max.poll.interval.ms",
        ],
        "riverhead is in no consumer group: the mere setting makes brokers create __consumer_offsets",
    ),
    (
        &[
            "enable.auto.commit",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "enable.auto.offset.store",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
        "riverhead commits nothing: positions live in the ids that clients hold",
    ),
    (
        &["auto.offset.reset"],
        "an offset out of range must be an error: any other choice skips or repeats records without a word",
    ),
    (
        &["enable.partition.eof"],
        "a history page to the end of a log finishes by it, and the tail must not hear it",
    ),
    (
        &["isolation.level"],
        "ids prove a position only over committed records: an uncommitted one may vanish again",
    ),
    (
        &[
            "fetch.min.bytes",
            "fetch.max.bytes",
            "fetch.wait.max.ms",
            "fetch.queue.backoff.ms",
            "fetch.message.max.bytes",
            "max.partition.fetch.bytes",
            "queued.min.messages",
            "queued.max.messages.kbytes",
            "receive.message.max.bytes",
            "consume.callback.max.messages",
        ],
        "fetches are sized to riverhead's pages and to the budgets under `memory`",
    ),
    (
        &["allow.auto.create.topics"],
        "reading for the public must never create a topic",
    ),
    (
        &["topic.blacklist"],
        "it would hide topics of the configured streams",
    ),
    (
        &["metadata.recovery.strategy"],
        "asking the bootstrap brokers again is the way back when every known broker was replaced",
    ),
    (
        &["api.version.request"],
        "the leader epochs that prove an id need the versions it negotiates",
    ),
    (
        &["statistics.interval.ms"],
        "health and metrics are fed by the statistics",
    ),
    (
        &["debug"],
        "with it a poll of librdkafka can block for hours (librdkafka issue 5325)",
    ),
    (
        &["log_level"],
        "set `log.level`, for instance `info,riverhead::kafka=debug`",
    ),
    (
        &["log.queue", "enabled_events"],
        "librdkafka's logs, errors and statistics reach riverhead through them",
    ),
    (
        &[
            "plugin.library.paths",
            "interceptors",
            "ssl.engine.location",
            "ssl.providers",
        ],
        "it would load foreign code into this process",
    ),
    (
        &[
            "ssl_engine_callback_data",
            "opaque",
            "default_topic_conf",
            "internal.termination.signal",
        ],
        "it is a pointer or a signal inside a process, and cannot be set from a file",
    ),
];

/// What is passed through: who riverhead is, how it connects, how long it waits and tries.
pub const PASSED: &[&str] = &[
    "api.version.fallback.ms",
    "api.version.request.timeout.ms",
    "broker.address.family",
    "broker.address.ttl",
    "broker.version.fallback",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "enable.metrics.push",
    "enable.random.seed",
    "enable.ssl.certificate.verification",
    "fetch.error.backoff.ms",
    "log.connection.close",
    "log.thread.name",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.copy.max.bytes",
    "message.max.bytes",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "reconnect.backoff.jitter.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.blocking.max.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.engine.id",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.sigalgs.list",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.fast.cnt",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    fn flawed(pairs: &[(&str, &str)]) -> Vec<String> {
        flaws(&properties(pairs))
            .into_iter()
            .map(|flaw| flaw.property)
            .collect()
    }

    #[test]
    fn no_property_is_both_passed_and_refused() {
        let both: Vec<_> = PASSED
            .iter()
            .filter(|property| refusal(property).is_some())
            .collect();
        assert!(both.is_empty(), "{both:?}");
    }

    #[test]
    fn a_group_cannot_come_in_through_the_back_door() {
        for property in [
            "group.id",
            "enable.auto.commit",
            "auto.offset.reset",
            "rebalance_cb",
        ] {
            assert!(refusal(property).is_some(), "{property}");
        }
    }

    #[test]
    fn tls_without_authorities_looks_where_the_machine_keeps_them() {
        let mut tls = properties(&[("security.protocol", "SASL_SSL")]);
        complete(&mut tls);
        assert_eq!(tls.get("ssl.ca.location").map(String::as_str), Some("probe"));

        let mut told = properties(&[("security.protocol", "ssl"), ("ssl.ca.pem", "...")]);
        complete(&mut told);
        assert!(!told.contains_key("ssl.ca.location"));

        let mut plain = properties(&[]);
        complete(&mut plain);
        assert!(plain.is_empty());
    }

    #[test]
    fn sasl_needs_a_mechanism_that_is_built_in_and_its_credentials() {
        assert_eq!(
            flawed(&[("security.protocol", "sasl_ssl")]),
            ["security.protocol"]
        );
        let gssapi = [("security.protocol", "sasl_ssl"), ("sasl.mechanism", "GSSAPI")];
        assert_eq!(flawed(&gssapi), ["sasl.mechanism"]);
        let nameless = [("security.protocol", "sasl_ssl"), ("sasl.mechanisms", "PLAIN")];
        assert_eq!(flawed(&nameless), ["sasl.mechanisms", "sasl.mechanisms"]);
        let whole = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "riverhead"),
            ("sasl.password", "x"),
        ];
        assert_eq!(flawed(&whole), [""; 0]);
    }

    #[test]
    fn credentials_that_would_not_be_used_are_a_flaw() {
        assert_eq!(flawed(&[("sasl.username", "x")]), ["sasl.username"]);
        let clear = [("security.protocol", "plaintext"), ("ssl.ca.location", "/x")];
        assert_eq!(flawed(&clear), ["ssl.ca.location"]);
        assert_eq!(flawed(&[("security.protocol", "tls")]), ["security.protocol"]);
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn librdkafka_has_every_property_that_is_passed() {
        let said = |property: &str| {
            let mut config = rdkafka::ClientConfig::new();
            config.set(property, "x");
            config
                .create_native_config()
                .map(drop)
                .map_or_else(|error| error.to_string(), |()| String::new())
        };
        let lacking = |said: String| said.contains("No such configuration") || said.contains("not supported");
        assert!(lacking(said("group.idd")), "{}", said("group.idd"));
        let missing: Vec<_> = PASSED.iter().filter(|property| lacking(said(property))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn librdkafka_judges_values_and_no_password_is_repeated() {
        assert_eq!(flawed(&[("socket.timeout.ms", "soon")]), ["socket.timeout.ms"]);
        let key = [("security.protocol", "ssl"), ("ssl.key.pem", "hunter2")];
        assert!(
            flaws(&properties(&key))
                .iter()
                .all(|flaw| !flaw.problem.contains("hunter2"))
        );
    }
}
