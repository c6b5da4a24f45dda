//! Shorter texts for the errors that librdkafka reports about a broker.

/// Splits an error text `HOST:PORT/ID: TEXT` into the broker's `host:port` and the cause. Returns `None` if it names no broker.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    // "ssl://b1:9092/bootstrap: ..." and "b1:9092/1: ..."
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (name, cause) = text.split_once(": ")?;
    let (address, _) = name.rsplit_once('/')?;
    let (_, port) = address.rsplit_once(':')?;
    port.parse::<u16>().is_ok().then_some((address, cause))
}

/// Shortens `Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)` to `connection refused`.
pub(super) fn shorten(cause: &str) -> String {
    let cause = cause.split(" (after ").next().unwrap_or(cause);
    let cause = match cause.split_once(" failed: ") {
        Some((what, why)) if what.starts_with("Connect to") => why,
        _ => cause,
    };
    let cause = cause.trim_end_matches(" in state CONNECT").trim_end_matches('.');
    let mut letters = cause.chars().take(MAX_CAUSE_LEN);
    letters.next().map_or_else(
        || "an error without a message".to_owned(),
        |first| first.to_lowercase().chain(letters).collect(),
    )
}

/// In characters: a health sentence fits on one line of a pager.
const MAX_CAUSE_LEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_broker_names_it_and_its_cause() {
        let cases = [
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                Some(("127.0.0.1:1", "connection refused")),
            ),
            (
                "sasl_ssl://b1.example:9093/1: Connection setup timed out in state CONNECT (after 5001ms in state CONNECT)",
                Some(("b1.example:9093", "connection setup timed out")),
            ),
            (
                "b1.example:9092/bootstrap: Failed to resolve 'b1.example:9092': Name or service not known (after 4ms in state CONNECT)",
                Some((
                    "b1.example:9092",
                    "failed to resolve 'b1.example:9092': Name or service not known",
                )),
            ),
            ("3/3 brokers are down", None),
        ];
        for (text, expected) in cases {
            let found = split(text).map(|(address, cause)| (address, shorten(cause)));
            let expected = expected.map(|(address, cause)| (address, cause.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn no_cause_is_without_words() {
        assert_eq!(shorten(""), "an error without a message");
        assert_eq!(shorten(" (after 1ms in state UP)"), "an error without a message");
    }
}
