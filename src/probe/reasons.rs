//! The reasons that the gateway's admin listener gives in `/healthz`, for the report on a failed check.
//!
//! They never change a status. Only what clients see is judged, and the gateway may not know what is wrong.

use serde_json::Value;

use super::{
    Deadline, RequestOptions, StreamClient, StreamError, StreamResponse, StreamTarget, TlsOptions, USER_AGENT,
};

/// Asks the admin listener at `admin`. Returns what it says, or why it does not, in words.
pub(super) async fn of_gateway(admin: &StreamTarget, tls: &TlsOptions, deadline: Deadline) -> String {
    match ask(admin, tls, deadline).await {
        Ok(said) => format!("/healthz says {said}"),
        Err(failure) => format!("/healthz does not say why: {failure}"),
    }
}

async fn ask(admin: &StreamTarget, tls: &TlsOptions, deadline: Deadline) -> Result<String, StreamError> {
    let mut client = StreamClient::new(admin.health(), tls, deadline, USER_AGENT)?;
    client.accept = "application/json";
    let response = client.open(&RequestOptions::default()).await?;
    let status = response.head.status.as_u16();
    let body = body(response, deadline).await?;
    let report: Value = serde_json::from_slice(&body).unwrap_or_default();
    summary(&report).ok_or_else(|| {
        let detail = report.get("detail").and_then(Value::as_str);
        match status {
            200 => StreamError::NoHealth,
            _ => StreamError::Status(
                status,
                detail.map_or_else(String::new, |detail| format!(": {detail}")),
            ),
        }
    })
}

async fn body(mut response: StreamResponse, deadline: Deadline) -> Result<Vec<u8>, StreamError> {
    let mut bytes = Vec::new();
    loop {
        match deadline.on("health report", response.next_bytes()).await? {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(StreamError::Ended) => return Ok(bytes),
            Err(error) => return Err(error),
        }
        if bytes.len() > MAX_REPORT_BYTES {
            return Err(StreamError::NoHealth);
        }
    }
}

/// Returns the state of everything with its reason, followed by the reasons of what is not ok. Returns `None` if this is no health
/// report.
fn summary(report: &Value) -> Option<String> {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut said = format!("{}: {}", text(report, "state")?, text(report, "reason")?);
    for part in parts(report) {
        let (Some(state), Some(reason)) = (text(part, "state"), text(part, "reason")) else {
            continue;
        };
        // The reason of the whole is that of one of its parts.
        if state != "ok" && !said.contains(&reason) {
            said += &format!("; {}: {reason}", name(part));
        }
        if said.len() > MAX_SUMMARY_BYTES {
            said.truncate(said.floor_char_boundary(MAX_SUMMARY_BYTES));
            said += "...";
            break;
        }
    }
    Some(said)
}

/// Returns the report itself, and then its streams, clusters, topics and partitions.
fn parts(report: &Value) -> impl Iterator<Item = &Value> {
    let clusters = list(report, "clusters");
    let of_clusters = ["topics", "partitions"]
        .into_iter()
        .flat_map(move |name| clusters.iter().flat_map(move |cluster| list(cluster, name)));
    [report]
        .into_iter()
        .chain(list(report, "streams"))
        .chain(clusters)
        .chain(of_clusters)
}

fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    let items = of.get(name).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

/// Returns the name of a stream, cluster, topic or partition.
fn name(part: &Value) -> String {
    let text = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default();
    match part.get("partition").and_then(Value::as_i64) {
        Some(number) => format!("{}-{number}", text("topic")),
        None => format!("{}{}", text("name"), text("topic")),
    }
}

/// The largest report that is read: 600 bytes for each of some thousand partitions.
const MAX_REPORT_BYTES: usize = 4 << 20;

/// How much of the reasons is shown. Monitoring systems cut longer lines.
const MAX_SUMMARY_BYTES: usize = 600;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(partitions: usize) -> Value {
        let partition = |number| json!({"topic": "t", "partition": number, "state": "failing", "reason": format!("cannot be read, {number}")});
        let partitions: Vec<_> = (0..partitions).map(partition).collect();
        json!({
            "state": "failing",
            "reason": "stream edits: no partition is read",
            "streams": [{"name": "edits", "state": "failing", "reason": "no partition is read"}],
            "clusters": [{
                "name": "main",
                "state": "ok",
                "reason": "2 brokers reachable",
                "topics": [{"topic": "t", "state": "ok", "reason": "the cluster describes it"}],
                "partitions": partitions,
            }],
        })
    }

    #[test]
    fn the_reasons_of_what_is_not_ok_are_told_once_each_with_its_name() {
        assert_eq!(
            summary(&report(2)).as_deref(),
            Some(
                "failing: stream edits: no partition is read; t-0: cannot be read, 0; t-1: cannot be read, 1"
            )
        );
    }

    #[test]
    fn a_thousand_reasons_are_cut_off() {
        let said = summary(&report(1000)).expect("a report");
        assert_eq!(said.len(), MAX_SUMMARY_BYTES + 3);
        let long = json!({"state": "failing", "reason": "ä".repeat(2000)});
        assert!(
            summary(&long).is_some_and(|said| said.len() <= MAX_SUMMARY_BYTES + 3 && said.ends_with("..."))
        );
    }

    #[test]
    fn another_document_is_no_health_report() {
        for other in [
            json!(null),
            json!([1]),
            json!({"state": "ok"}),
            json!({"status": 403}),
        ] {
            assert_eq!(summary(&other), None, "{other}");
        }
    }
}
