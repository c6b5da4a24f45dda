//! Address of a broker.
//!
//! Not here: connecting to it (`client`).

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// Address of a broker: `host:port`. Host names are compared without regard to case: `B1` and `b1` are one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerAddr {
    /// A host name in lower case or an IP address, IPv6 in brackets.
    host: String,
    port: u16,
}

impl BrokerAddr {
    /// Returns the host name or IP address, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for BrokerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a text is not a broker address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBrokerAddr {
    /// `SASL_SSL://b1:9092`.
    #[error("the address must not have a protocol; set `security.protocol` under `librdkafka`")]
    Protocol,
    /// `b1`.
    #[error("the port is missing")]
    NoPort,
    /// `b1:kafka`, `b1:0`.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// `:9092`, `b 1:9092`.
    #[error("the host is neither a name nor an address")]
    Host,
    /// `::1:9092`.
    #[error("an IPv6 address needs brackets, as in `[::1]:9092`")]
    Brackets,
}

impl FromStr for BrokerAddr {
    type Err = BadBrokerAddr;

    fn from_str(text: &str) -> Result<Self, BadBrokerAddr> {
        if text.contains("://") {
            return Err(BadBrokerAddr::Protocol);
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(BadBrokerAddr::Brackets);
        }
        let split = text.rsplit_once(':').filter(|_| !text.ends_with(']'));
        let (host, port) = split.ok_or(BadBrokerAddr::NoPort)?;
        is_host(host)?;
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: port_of(port)?,
        })
    }
}

fn is_host(host: &str) -> Result<(), BadBrokerAddr> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let parsed = address.parse::<Ipv6Addr>();
        return parsed.map(drop).map_err(|_| BadBrokerAddr::Host);
    }
    if host.contains(':') {
        return Err(BadBrokerAddr::Brackets);
    }
    let fits = !host.is_empty() && host.len() <= MAX_HOST_BYTES;
    let letters = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (fits && letters).then_some(()).ok_or(BadBrokerAddr::Host)
}

fn port_of(text: &str) -> Result<u16, BadBrokerAddr> {
    // `parse` alone would accept a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|port| digits && *port != 0);
    port.ok_or(BadBrokerAddr::Port)
}

/// RFC 1035, section 2.3.4, less the root's empty label. Underscores are not valid in host names, but container networks use
/// them.
const MAX_HOST_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_was_written() {
        for text in ["b1.example:9092", "127.0.0.1:1", "[::1]:65535", "kafka_1:9092"] {
            let address: BrokerAddr = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn case_does_not_make_two_brokers_of_one() {
        assert_eq!("B1.Example:9092".parse::<BrokerAddr>(), "b1.example:9092".parse());
    }

    #[test]
    fn each_slip_is_named() {
        let cases = [
            ("", BadBrokerAddr::NoPort),
            ("b1", BadBrokerAddr::NoPort),
            ("[::1]", BadBrokerAddr::NoPort),
            ("b1:", BadBrokerAddr::Port),
            ("b1:0", BadBrokerAddr::Port),
            ("b1:+9092", BadBrokerAddr::Port),
            ("b1:65536", BadBrokerAddr::Port),
            ("b1:kafka", BadBrokerAddr::Port),
            (":9092", BadBrokerAddr::Host),
            ("b 1:9092", BadBrokerAddr::Host),
            ("b1,b2:9092", BadBrokerAddr::Host),
            ("[b1]:9092", BadBrokerAddr::Host),
            ("2001:db8::1:9092", BadBrokerAddr::Brackets),
            ("::1", BadBrokerAddr::Brackets),
            ("2001:db8:0:0:0:0:0:1:9092", BadBrokerAddr::Brackets),
            ("SSL://b1:9092", BadBrokerAddr::Protocol),
        ];
        for (text, slip) in cases {
            assert_eq!(text.parse::<BrokerAddr>(), Err(slip), "{text}");
        }
    }
}
