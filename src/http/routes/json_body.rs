//! Bodies of requests that are JSON.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// With the reason for the client if it is longer, does not come within [`TIMEOUT`], or is no such JSON.
pub(super) async fn read<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, String> {
    let body = timeout(TIMEOUT, Limited::new(body, limit).collect()).await;
    let body = body.map_err(|_| format!("the body did not come within {TIMEOUT:?}"))?;
    let body = body.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}

/// Whether the body is said to be JSON. A page of another origin cannot say so without asking first (a preflight).
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}

/// How long a client has to send a body, which is small and comes right behind the head.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_json_is_said_to_be_json() {
        let is = |types: &[&'static str]| {
            let types = types.iter();
            let mut headers = HeaderMap::new();
            types.for_each(|value| _ = headers.append(header::CONTENT_TYPE, HeaderValue::from_static(value)));
            is_json(&headers)
        };
        for good in ["application/json", "Application/JSON ; charset=utf-8"] {
            assert!(is(&[good]), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "text/plain; application/json",
            "application/jsonp",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is(&[bad]), "{bad}");
        }
        assert!(!is(&[]) && !is(&["application/json", "text/plain"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_length_and_in_time() {
        let read = async |body: Body| read::<Value>(body, 10).await;
        assert_eq!(read(Body::from("{\"a\":1}")).await, Ok(json!({"a": 1})));
        assert!(read(Body::from("{\"a\":12345}")).await.is_err());
        assert!(read(Body::from("{\"a\":")).await.is_err());
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let late = read(Body::from_stream(never)).await.unwrap_err();
        assert_eq!(late, "the body did not come within 10s");
    }
}
