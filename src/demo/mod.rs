//! Backend of `riverhead demo`: brokers inside the process, and events that look like Wikimedia's.
//!
//! Not here: the gateway in front of them, which is the same as without the demo (`app`).

mod brokers;
mod certificate;
mod changes;
mod credentials;
mod directory;
mod generator;
mod native;
mod recentchange;
mod text;
mod wikis;

pub use brokers::{MockBrokers, MockBrokersError};
pub use certificate::{DemoCertificate, DemoCertificateError};
pub use credentials::{DemoCredentials, DemoCredentialsError};
pub use directory::DemoFilesError;
pub use generator::{Generator, GeneratorConfig, GeneratorError};

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    path::Path,
};

/// The public name of the demo's stream.
pub const STREAM: &str = "recentchange";

/// The stream's alias.
pub const ALIAS: &str = "mediawiki.recentchange";

/// The topics of the stream, one for each data centre.
pub const TOPICS: [&str; 2] = ["eqiad.mediawiki.recentchange", "codfw.mediawiki.recentchange"];

/// Fields that a query may filter by, as in `?wiki=enwiki`.
pub const FILTER_FIELDS: [&str; 5] = ["wiki", "type", "namespace", "user", "bot"];

/// The public name of the stream that is not for everybody.
pub const PRIVATE_STREAM: &str = "private";

/// The topic of that stream.
pub const PRIVATE_TOPIC: &str = "eqiad.mediawiki.private-change";

/// The scope that may read that stream.
pub const PRIVATE_SCOPE: &str = credentials::SCOPE;

/// Number of partitions of each topic.
pub const PARTITIONS: i32 = 3;

/// Running brokers and generators that write events to them. All of them end on drop.
///
/// The drop blocks for up to a few seconds. So do not drop it on a runtime's thread, nor before the last client of the brokers is
/// gone.
pub struct Demo {
    // Fields are dropped in this order: generators must end before the brokers do.
    _generators: Vec<Generator>,
    brokers: MockBrokers,
}

/// Why the demo could not be started.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The brokers did not start.
    #[error(transparent)]
    Brokers(#[from] MockBrokersError),
    /// The generator did not start.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// There is no certificate.
    #[error(transparent)]
    Certificate(#[from] DemoCertificateError),
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] DemoCredentialsError),
}

impl Demo {
    /// Starts the brokers, creates [`TOPICS`], and starts to write `rate` events per second to them.
    ///
    /// Blocks for about 100 ms, so do not call it on a runtime's thread.
    ///
    /// # Errors
    ///
    /// [`DemoError`] if librdkafka refuses, or if threads, sockets or ports have run out.
    pub fn start(rate: NonZeroU32) -> Result<Self, DemoError> {
        Self::of(&[(TOPICS, rate)])
    }

    /// As [`start`](Self::start), and also writes a tenth as many events to [`PRIVATE_TOPIC`].
    ///
    /// # Errors
    ///
    /// [`DemoError`] if librdkafka refuses, or if threads, sockets or ports have run out.
    pub fn with_private_stream(rate: NonZeroU32) -> Result<Self, DemoError> {
        let tenth = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
        Self::of(&[(TOPICS, rate), ([PRIVATE_TOPIC; 2], tenth)])
    }

    /// Starts a generator for each of these topics of both data centres.
    fn of(written: &[([&'static str; 2], NonZeroU32)]) -> Result<Self, DemoError> {
        let topics: BTreeSet<_> = written.iter().flat_map(|(topics, _)| topics).collect();
        let topics: Vec<_> = topics.into_iter().map(|topic| (*topic, PARTITIONS)).collect();
        let brokers = MockBrokers::start(&topics)?;
        let generators = written.iter().map(|(topics, rate)| {
            Generator::start(&GeneratorConfig {
                bootstrap: brokers.bootstrap().to_vec(),
                topics: *topics,
                rate: *rate,
                seed: fastrand::u64(..),
            })
        });
        Ok(Self {
            _generators: generators.collect::<Result<_, _>>()?,
            brokers,
        })
    }

    /// Returns the addresses of the brokers, as `host:port`.
    pub fn bootstrap(&self) -> &[String] {
        self.brokers.bootstrap()
    }
}

/// Returns commands to try in another terminal. Each is a line for a POSIX shell, below a comment that says what it shows. The first
/// comment is about a browser.
pub fn lines_to_try(public: SocketAddr, admin: SocketAddr) -> Vec<String> {
    let stream = format!("{}/v2/stream/{STREAM}", base("http", public));
    let (page, operator) = (base("http", public), base("http", admin));
    let health = format!("{operator}/healthz");
    vec![
        format!("# in a browser: {page}/ shows the streams, and {operator}/ the state of the gateway"),
        "# the stream".into(),
        format!("curl -N {stream}"),
        "# read one event, then resume the stream after it".into(),
        format!("id=$(curl -sN {stream} | grep -m1 '^id: ' | cut -c5-)"),
        format!("curl -N -H \"Last-Event-ID: $id\" {stream}"),
        "# the events since a minute ago".into(),
        format!("curl -N \"{stream}?since=$(( ($(date +%s) - 60) * 1000 ))\""),
        "# one JSON document per line".into(),
        format!("curl -N -H 'Accept: application/json' {stream}"),
        "# the health of the gateway".into(),
        format!("curl {health}"),
    ]
}

/// Returns commands to try over TLS, with the file of the authority that is to be trusted.
pub fn tls_lines_to_try(https: SocketAddr, authority: &Path) -> Vec<String> {
    let stream = format!("{}/v2/stream/{STREAM}", base("https", https));
    vec![
        "# over TLS, with a certificate of this run".into(),
        format!("curl -N --cacert {} {stream}", authority.display()),
    ]
}

/// Returns commands to try on the stream that is not for everybody. `curl` is the command with the options that every line needs.
pub fn auth_lines_to_try(curl: &str, base: &str, credentials: &DemoCredentials) -> Vec<String> {
    let stream = format!("{base}/v2/stream/{PRIVATE_STREAM}");
    let (token, key) = (credentials.token(), credentials.api_key());
    vec![
        "# a stream that is not for everybody: 401".into(),
        format!("{curl} -i {stream}"),
        "# the same with a token, which is good for an hour".into(),
        format!("token={token}"),
        format!("{curl} -N -H \"Authorization: Bearer $token\" {stream}"),
        "# the same with an API key".into(),
        format!("key={key}"),
        format!("{curl} -N -H \"Authorization: Bearer $key\" {stream}"),
        "# the streams that the holder of the key may read".into(),
        format!("{curl} -H \"Authorization: Bearer $key\" {base}/"),
    ]
}

/// Returns the beginning of URLs of a listener.
pub fn base(scheme: &str, listening: SocketAddr) -> String {
    format!("{scheme}://{}", reachable(listening))
}

/// Returns an address to connect to: a listener on all addresses has none, so the loopback address stands in.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listening.port())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn events_of_every_partition_are_read_back_without_a_group() {
        let demo = Demo::start(NonZeroU32::new(500).unwrap()).unwrap();
        let mut reader = native::TopicReader::new(demo.bootstrap(), TOPICS, PARTITIONS);
        let mut counts = BTreeMap::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        while counts.len() < 6 || counts.values().sum::<usize>() < 200 {
            assert!(Instant::now() < deadline, "{counts:?}");
            let Some((topic, partition, value)) = reader.next() else {
                continue;
            };
            let event: serde_json::Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(event["$schema"], "/mediawiki/recentchange/1.0.0");
            *counts.entry((topic, partition)).or_default() += 1;
        }
    }

    #[test]
    fn the_demo_is_up_well_before_its_three_seconds() {
        let started = Instant::now();
        let _demo = Demo::start(NonZeroU32::MIN).unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{:?}",
            started.elapsed()
        );
    }

    #[test]
    fn the_lines_name_addresses_that_can_be_connected_to() {
        let lines = lines_to_try("0.0.0.0:8080".parse().unwrap(), "[::]:8081".parse().unwrap()).join("\n");
        assert!(
            lines.contains("curl -N http://127.0.0.1:8080/v2/stream/recentchange\n"),
            "{lines}"
        );
        assert!(lines.ends_with("curl http://[::1]:8081/healthz"), "{lines}");
    }
}
