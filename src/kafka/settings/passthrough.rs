//! Validation of the properties that are passed through to librdkafka, and additions to them.
//!
//! Not here: which properties are allowed (`properties`).

use std::collections::BTreeMap;

/// A value that librdkafka rejects, or a property that lacks its companion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyError {
    /// The property in question.
    pub property: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Returns the problems of `properties`, all of which are allowed.
pub fn flaws(properties: &BTreeMap<String, String>) -> Vec<PropertyError> {
    let mut flaws = security_flaws(properties);
    flaws.extend(sasl_flaws(properties));
    flaws.extend(age_flaws(properties));
    // One property at a time, because librdkafka stops at the first that it rejects.
    for (property, value) in properties {
        if flaws.iter().all(|said| said.property != *property) {
            flaws.extend(value_flaw(property, value));
        }
    }
    flaws
}

/// Adds the location of the machine's certificate authorities if TLS is used and none is set.
///
/// The built-in OpenSSL looks below `/usr/local/ssl`, where no distribution has them. `probe` makes librdkafka look where
/// distributions put them.
pub fn add_ca_location(properties: &mut BTreeMap<String, String>) {
    let tls = protocol(properties).is_some_and(|protocol| protocol.ends_with("ssl"));
    let told = AUTHORITIES.iter().any(|it| properties.contains_key(*it));
    if tls && !told {
        properties.insert("ssl.ca.location".into(), "probe".into());
    }
}

/// Returns the value of `security.protocol`, in lower case.
fn protocol(properties: &BTreeMap<String, String>) -> Option<String> {
    properties.get(PROTOCOL).map(|value| value.to_ascii_lowercase())
}

/// Returns an unknown protocol, and properties that have no effect with the chosen one.
fn security_flaws(properties: &BTreeMap<String, String>) -> Vec<PropertyError> {
    let protocol = protocol(properties);
    let known = protocol.as_deref().is_none_or(|value| PROTOCOLS.contains(&value));
    let mut flaws = Vec::new();
    if !known {
        flaws.push(PropertyError::expecting(PROTOCOL, PROTOCOLS));
    }
    // Credentials that are silently unused are worse than none: the operator believes that they are used.
    let idle = |prefix: &str, wanted: &str| {
        let first = properties.keys().find(|property| property.starts_with(prefix));
        first.map(|property| {
            let problem = format!("has no effect unless `{PROTOCOL}` is {wanted}");
            PropertyError::new(property, problem)
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

/// Returns an unknown mechanism, and credentials that are missing.
fn sasl_flaws(properties: &BTreeMap<String, String>) -> Vec<PropertyError> {
    if !protocol(properties).is_some_and(|protocol| protocol.starts_with("sasl")) {
        return Vec::new();
    }
    let named = MECHANISM.iter().find_map(|it| properties.get_key_value(*it));
    let Some((property, mechanism)) = named else {
        let problem = "needs `sasl.mechanism` too: librdkafka's default, GSSAPI, is not built in";
        return vec![PropertyError::new(PROTOCOL, problem)];
    };
    if !MECHANISMS.contains(&&**mechanism) {
        return vec![PropertyError::expecting(property, MECHANISMS)];
    }
    let missing = CREDENTIALS.iter().filter(|it| !properties.contains_key(**it));
    missing
        .map(|needed| PropertyError::new(property, format!("{mechanism} needs `{needed}` too")))
        .collect()
}

/// Returns metadata ages that librdkafka gets wrong: it multiplies them by 1,000 in 32 bits (2.12, `rdkafka_metadata_cache.c`).
/// If that overflows, metadata has expired when it arrives, and the leaders of partitions never become known.
fn age_flaws(properties: &BTreeMap<String, String>) -> Vec<PropertyError> {
    let too_long = |(property, most): &(&str, i64)| {
        let age: i64 = properties.get(*property)?.trim().parse().ok()?;
        let problem = || format!("must be at most {most}: above that, librdkafka's arithmetic overflows");
        (age > *most).then(|| PropertyError::new(property, problem()))
    };
    AGES.iter().filter_map(too_long).collect()
}

impl PropertyError {
    fn new(property: &str, problem: impl Into<String>) -> Self {
        Self {
            property: property.into(),
            problem: problem.into(),
        }
    }

    fn expecting(property: &str, values: &[&str]) -> Self {
        Self::new(property, format!("must be one of {}", values.join(", ")))
    }
}

/// Returns what librdkafka itself says against a value.
#[cfg(feature = "kafka")]
fn value_flaw(property: &str, value: &str) -> Option<PropertyError> {
    let mut config = rdkafka::ClientConfig::new();
    config.set(property, value);
    let problem = match config.create_native_config().err()? {
        // librdkafka's text may repeat the value, and a value may be a password.
        rdkafka::error::KafkaError::ClientConfig(_, said, _, _)
            if !said.contains(value) || value.is_empty() =>
        {
            format!("is rejected by librdkafka: {said}")
        }
        _ => "has a value that librdkafka rejects".to_owned(),
    };
    Some(PropertyError::new(property, problem))
}

/// Without librdkafka, values cannot be validated.
#[cfg(not(feature = "kafka"))]
fn value_flaw(_property: &str, _value: &str) -> Option<PropertyError> {
    None
}

const PROTOCOL: &str = "security.protocol";
const PROTOCOLS: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
const MECHANISM: &[&str] = &["sasl.mechanism", "sasl.mechanisms"];
/// The built-in mechanisms. Kerberos and OAUTHBEARER need libraries that are not built in.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const CREDENTIALS: &[&str] = &["sasl.username", "sasl.password"];
/// The properties for the age of metadata, with the maximum of each in milliseconds. Metadata lives for three refreshes.
const AGES: &[(&str, i64)] = &[
    ("metadata.max.age.ms", LONGEST_AGE),
    ("topic.metadata.refresh.interval.ms", LONGEST_AGE / 3),
];
const LONGEST_AGE: i64 = i32::MAX as i64 / 1000;
const AUTHORITIES: &[&str] = &["ssl.ca.location", "ssl.ca.pem"];

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
    fn tls_without_authorities_looks_where_the_machine_keeps_them() {
        let mut tls = properties(&[("security.protocol", "SASL_SSL")]);
        add_ca_location(&mut tls);
        assert_eq!(tls.get("ssl.ca.location").map(String::as_str), Some("probe"));

        let mut told = properties(&[("security.protocol", "ssl"), ("ssl.ca.pem", "...")]);
        add_ca_location(&mut told);
        assert!(!told.contains_key("ssl.ca.location"));

        let mut plain = properties(&[]);
        add_ca_location(&mut plain);
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

    #[test]
    fn an_age_of_metadata_that_librdkafka_cannot_count_is_a_flaw() {
        let refresh = "topic.metadata.refresh.interval.ms";
        assert_eq!(flawed(&[(refresh, "3600000")]), [refresh]);
        assert_eq!(
            flawed(&[("metadata.max.age.ms", "2147484")]),
            ["metadata.max.age.ms"]
        );
        let fine = [(refresh, "715827"), ("metadata.max.age.ms", "2147483")];
        assert_eq!(flawed(&fine), [""; 0]);
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
