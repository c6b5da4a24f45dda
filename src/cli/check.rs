//! What `check-config` says of a configuration without faults.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{
    catalog::Stream,
    config::{Config, Warning},
    kafka::settings::Settings as Cluster,
};

/// Writes what the configuration makes, a line for each part, then the warnings.
pub(super) fn report(
    out: &mut impl Write,
    path: &Path,
    config: &Config,
    warnings: &[Warning],
) -> io::Result<()> {
    writeln!(out, "ok: {} has no faults", path.display())?;
    writeln!(out, "ok: streams on http://{}", config.http.listen)?;
    writeln!(out, "ok: admin on http://{}", config.admin.listen)?;
    for cluster in &config.clusters {
        let topics = config.catalog.topics_of(&cluster.name).len();
        writeln!(out, "ok: {}", of_cluster(cluster, topics))?;
    }
    for stream in config.catalog.streams() {
        writeln!(out, "ok: {}", of_stream(stream))?;
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn of_cluster(cluster: &Cluster, topics: usize) -> String {
    let Cluster { name, bootstrap, .. } = cluster;
    let brokers = count(bootstrap.len(), "bootstrap broker");
    format!("cluster {name}: {brokers}, {}", count(topics, "topic"))
}

fn of_stream(stream: &Stream) -> String {
    let Stream {
        name,
        topics,
        encoding,
        clusters,
        expect_event_within,
        ..
    } = stream;
    let topics = count(topics.len(), "topic");
    let (payload, tombstones) = (encoding.payload.name(), encoding.tombstones.name());
    let clusters = clusters.join(", ");
    let expected = expect_event_within.map(|within| format!(", an event within {within:?} expected"));
    let expected = expected.unwrap_or_default();
    format!("stream {name}: {topics} from {clusters}, payload {payload}, tombstones {tombstones}{expected}")
}

pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
