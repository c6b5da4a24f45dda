//! Which librdkafka properties a configuration may set.
//!
//! There are three kinds: properties that are refused, with the reason; properties that are passed through; and all others, which
//! librdkafka does not have or which mean nothing to a consumer. The names are those of librdkafka 2.12.1, `CONFIGURATION.md`,
//! less what is not built in.
//!
//! Not here: checks of the values (`passthrough`).

/// Returns why riverhead does not let `property` be set, or `None` if it does not refuse it.
pub fn refusal(property: &str) -> Option<&'static str> {
    let named = REFUSED.iter().find(|(names, _)| names.contains(&property));
    named.map(|(_, why)| *why).or_else(|| refusal_by_kind(property))
}

/// Returns why riverhead does not let properties of this kind be set.
fn refusal_by_kind(property: &str) -> Option<&'static str> {
    match property {
        _ if property.ends_with("_cb") => Some("a callback cannot be set from a file"),
        _ if property.starts_with("sasl.kerberos.") => Some("Kerberos is not built in"),
        _ if property.contains("oauthbearer") => Some("OAUTHBEARER needs libcurl, which is not built in"),
        _ if property.starts_with("https.ca.") => Some("it is for libcurl, which is not built in"),
        _ => None,
    }
}

/// Properties that are refused, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["bootstrap.servers", "metadata.broker.list"],
        "set the cluster's `bootstrap` instead",
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
        "riverhead uses no consumer group; the setting alone makes brokers create __consumer_offsets",
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
        "riverhead commits no offsets; clients keep their positions in the ids of events",
    ),
    (
        &["auto.offset.reset"],
        "an offset out of range must be an error; any other value skips or repeats records silently",
    ),
    (
        &["enable.partition.eof"],
        "history pages need this event at the end of a log, and the tail must not get it",
    ),
    (
        &["check.crcs"],
        "a record that was damaged on a broker's disk must not be served",
    ),
    (
        &["isolation.level"],
        "an id proves a position only if all records before it are committed; others may disappear",
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
        "if all known brokers were replaced, riverhead must ask the bootstrap brokers again",
    ),
    (
        &["api.version.request"],
        "the leader epochs that prove an id need the negotiated protocol versions",
    ),
    (
        &["statistics.interval.ms"],
        "health and metrics need the statistics",
    ),
    (
        &["debug"],
        "it can block a poll of librdkafka for hours (librdkafka issue 5325)",
    ),
    (
        &["log_level"],
        "set `log.level` instead, for example to `info,riverhead::kafka=debug`",
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

/// Properties that are passed through: client identity, connections, timeouts and retries.
pub const ALLOWED: &[&str] = &[
    "api.version.fallback.ms",
    "api.version.request.timeout.ms",
    "broker.address.family",
    "broker.address.ttl",
    "broker.version.fallback",
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

    #[test]
    fn no_property_is_both_passed_and_refused() {
        let both: Vec<_> = ALLOWED
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
        let missing: Vec<_> = ALLOWED
            .iter()
            .filter(|property| lacking(said(property)))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
