//! What `riverhead demo` has behind it: brokers inside the process, and events that look like Wikimedia's.
//!
//! Not here: the gateway in front, which is the same as anywhere (`app`).

mod brokers;
mod changes;
mod generator;
mod native;
mod recentchange;
mod text;
mod wikis;

pub use brokers::{MockBrokers, MockBrokersError};
pub use generator::{Generator, GeneratorConfig, GeneratorError};

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
};

/// The public name of the demo's stream.
pub const STREAM: &str = "recentchange";

/// Its other name.
pub const ALIAS: &str = "mediawiki.recentchange";

/// The topics it is made of, one for each data centre.
pub const TOPICS: [&str; 2] = ["eqiad.mediawiki.recentchange", "codfw.mediawiki.recentchange"];

/// Fields that a query may name, as in `?wiki=enwiki`.
pub const FILTER_FIELDS: [&str; 5] = ["wiki", "type", "namespace", "user", "bot"];

/// How many partitions each topic has.
pub const PARTITIONS: i32 = 3;

/// Brokers with events flowing through them, until this is dropped.
///
/// The drop blocks for up to a few seconds: not for a runtime's thread, and after the last client of the brokers.
pub struct Demo {
    // In this order: fields are dropped from the top, and the generator must be done before the brokers go.
    _generator: Generator,
    brokers: MockBrokers,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The brokers do not start.
    #[error(transparent)]
    Brokers(#[from] MockBrokersError),
    /// The generator does not start.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
}

impl Demo {
    /// Starts the brokers, creates [`TOPICS`], and begins to write `rate` events a second to them.
    ///
    /// Blocks, for some 100 ms: not for a runtime's thread.
    ///
    /// # Errors
    ///
    /// [`DemoError`] when librdkafka refuses, or when threads, sockets or ports have run out.
    pub fn start(rate: NonZeroU32) -> Result<Self, DemoError> {
        let brokers = MockBrokers::start(&TOPICS.map(|topic| (topic, PARTITIONS)))?;
        let generator = Generator::start(&GeneratorConfig {
            bootstrap: brokers.bootstrap().to_vec(),
            topics: TOPICS,
            rate,
            seed: fastrand::u64(..),
        })?;
        Ok(Self {
            _generator: generator,
            brokers,
        })
    }

    /// Where the brokers listen, as `host:port`.
    pub fn bootstrap(&self) -> &[String] {
        self.brokers.bootstrap()
    }
}

/// What to try in another terminal: each line a command for a POSIX shell, below a comment that says what it shows.
pub fn lines_to_try(public: SocketAddr, admin: SocketAddr) -> Vec<String> {
    let stream = format!("http://{}/v2/stream/{STREAM}", reachable(public));
    let health = format!("http://{}/healthz", reachable(admin));
    vec![
        "# the stream".into(),
        format!("curl -N {stream}"),
        "# cut, and resumed right behind the event that was seen last".into(),
        format!("id=$(curl -sN {stream} | grep -m1 '^id: ' | cut -c5-)"),
        format!("curl -N -H \"Last-Event-ID: $id\" {stream}"),
        "# from a minute ago".into(),
        format!("curl -N \"{stream}?since=$(( ($(date +%s) - 60) * 1000 ))\""),
        "# one JSON document a line".into(),
        format!("curl -N -H 'Accept: application/json' {stream}"),
        "# how it is".into(),
        format!("curl {health}"),
    ]
}

/// An address that listens everywhere is no address to connect to.
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
