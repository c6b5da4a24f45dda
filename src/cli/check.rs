//! The report of `check-config` about a configuration without faults.
//!
//! Not here: what the brokers answer (`online`).

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{
    auth::AuthSummary,
    catalog::{Access, Stream},
    config::{Config, Warning},
    event::MAX_VALUE_BYTES,
    kafka::settings::ClusterSettings as Cluster,
    partition::MemorySettings as Memory,
    tls::{self, CheckedFiles, TlsFaults},
};

/// What the files of both listeners with TLS are good for.
pub(super) struct TlsFiles {
    http: CheckedFiles,
    admin: CheckedFiles,
}

impl TlsFiles {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn read(config: &Config) -> Result<Self, TlsFaults> {
        let http = config.http.tls.as_ref();
        let http = http.map(|https| tls::check(HTTP, &https.tls));
        let admin = config.admin.tls.as_ref();
        let admin = admin.map(|own| tls::check(ADMIN, own));
        let (http, admin) = TlsFaults::both(http.transpose(), admin.transpose())?;
        Ok(Self {
            http: http.unwrap_or_default(),
            admin: admin.unwrap_or_default(),
        })
    }
}

/// Writes the parts of the configuration, one line each, then the warnings.
pub(super) fn report(
    out: &mut impl Write,
    path: &Path,
    config: &Config,
    tls: &TlsFiles,
    auth: Option<&AuthSummary>,
    warnings: &[Warning],
) -> io::Result<()> {
    writeln!(out, "ok: {} has no errors", path.display())?;
    listeners(out, config, tls)?;
    for line in auth.map(AuthSummary::lines).unwrap_or_default() {
        writeln!(out, "ok: auth: {line}")?;
    }
    for cluster in &config.clusters {
        let topics = config.catalog.topics_of(&cluster.name).len();
        writeln!(out, "ok: {}", of_cluster(cluster, topics))?;
    }
    writeln!(out, "ok: {}", of_memory(config))?;
    if let Some(more) = of_large_records(config) {
        writeln!(out, "ok: {more}")?;
    }
    for stream in config.catalog.streams() {
        writeln!(out, "ok: {}", of_stream(stream))?;
        for line in of_records(stream) {
            writeln!(out, "ok: stream {}: {line}", stream.name)?;
        }
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let burst = config.limits.request_burst;
    for warning in auth.map(|auth| auth.warnings(burst)).unwrap_or_default() {
        writeln!(out, "warning: auth: {warning}")?;
    }
    for (section, files) in [(HTTP, &tls.http), (ADMIN, &tls.admin)] {
        for warning in &files.warnings {
            writeln!(out, "warning: {section}: {warning}")?;
        }
    }
    Ok(())
}

fn listeners(out: &mut impl Write, config: &Config, tls: &TlsFiles) -> io::Result<()> {
    if let Some(http) = config.http.listen {
        let what = if config.http.redirect {
            "redirects"
        } else {
            "streams"
        };
        writeln!(out, "ok: {what} on http://{http}")?;
    }
    if let Some(https) = &config.http.tls {
        writeln!(out, "ok: streams on https://{}", https.listen)?;
    }
    tls_files(out, HTTP, &tls.http)?;
    let scheme = if config.admin.tls.is_some() {
        "https"
    } else {
        "http"
    };
    writeln!(out, "ok: admin on {scheme}://{}", config.admin.listen)?;
    tls_files(out, ADMIN, &tls.admin)
}

fn tls_files(out: &mut impl Write, section: &str, files: &CheckedFiles) -> io::Result<()> {
    for certificate in &files.certificates {
        writeln!(out, "ok: {section}: {certificate}")?;
    }
    if let Some((path, keys)) = &files.ticket_keys {
        let keys = count(*keys, "key");
        writeln!(
            out,
            "ok: {section}: {} has {keys} of session tickets",
            path.display()
        )?;
    }
    Ok(())
}

/// The sections that have TLS.
const HTTP: &str = "http.tls";
const ADMIN: &str = "admin.tls";

fn of_cluster(cluster: &Cluster, topics: usize) -> String {
    let Cluster { name, bootstrap, .. } = cluster;
    let brokers = count(bootstrap.len(), "bootstrap broker");
    format!("cluster {name}: {brokers}, {}", count(topics, "topic"))
}

/// Returns a line about the most memory that the process takes. The limit of a container or a unit must be above the sum.
fn of_memory(config: &Config) -> String {
    let (memory, clusters) = (&config.memory, config.clusters.len());
    let all = mib(memory.resident_bytes(clusters));
    let [tail, history, lanes] = [memory.tail, memory.history, memory.lanes].map(|budget| mib(budget.get()));
    let cluster_overhead = mib(Memory::cluster_overhead(clusters));
    let clusters = count(clusters, "cluster");
    let streams = config.limits.streams_total.get() as usize;
    let (plain, http2) = (mib(streams * CLIENT_BYTES), mib(streams * HTTP2_CLIENT_BYTES));
    let tls = config.http.tls.as_ref().map(|_| {
        let tls = mib(streams * (HTTP2_CLIENT_BYTES + TLS_CLIENT_BYTES));
        format!(", or {tls} if all of them use TLS")
    });
    let tls = tls.unwrap_or_default();
    format!(
        "memory: at most {all} (tail {tail}, history {history}, lanes {lanes}, {cluster_overhead} for {clusters}), plus \
         {plain} for {streams} streams, or {http2} if all of them use HTTP/2{tls}"
    )
}

/// Returns a line about the memory while the largest possible records are read, if that is more.
fn of_large_records(config: &Config) -> Option<String> {
    let brokers = config.clusters.iter().map(|cluster| cluster.bootstrap.len());
    let brokers: Vec<_> = brokers.collect();
    let most = config.memory.resident_bytes_with_large(&brokers, MAX_VALUE_BYTES);
    (most > config.memory.resident_bytes(brokers.len())).then(|| {
        format!(
            "memory: at most {} while records of {} are read, if there are no more brokers than `bootstrap` lists",
            mib(most),
            mib(MAX_VALUE_BYTES)
        )
    })
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

/// The memory of a client whose connection was taken over, in bytes. docs/memory.md lists what else a client may take.
const CLIENT_BYTES: usize = 2 * 1024;

/// The memory of a client of HTTP/2, in bytes.
const HTTP2_CLIENT_BYTES: usize = 14 * 1024;

/// What TLS adds to a client that the HTTP library writes to, in bytes: 7.4 to 9.9 KB were measured.
const TLS_CLIENT_BYTES: usize = 10 * 1024;

fn of_stream(stream: &Stream) -> String {
    let (name, topics) = (&stream.name, count(stream.topics.len(), "topic"));
    let (payload, tombstones) = (stream.encoding.payload.name(), stream.encoding.tombstones.name());
    let clusters = stream.clusters.join(", ");
    let expected = stream
        .expect_event_within
        .map(|within| format!(", an event within {within:?} expected"));
    let expected = expected.unwrap_or_default();
    let only = stream.only.as_ref().map(|only| format!(", only {only}"));
    let only = only.unwrap_or_default();
    let access = match &stream.access {
        Access::Public => String::new(),
        Access::Scopes(scopes) => format!(", for scope {}", scopes.join(" or ")),
    };
    format!(
        "stream {name}: {topics} from {clusters}, payload {payload}, tombstones {tombstones}{expected}{access}{only}"
    )
}

/// Returns a line about each thing that happens to the records of a stream, in the order in which it does, and one about its
/// schema.
fn of_records(stream: &Stream) -> Vec<String> {
    let rules = &stream.rules;
    let drop = rules.drop.iter().map(|when| format!("drops records when {when}"));
    let canary = rules
        .canary
        .iter()
        .map(|when| format!("canaries are records when {when}"));
    let redact = rules.redact.iter().map(|rule| format!("redacts records: {rule}"));
    let annotate = rules
        .annotate
        .then(|| "annotates records: meta.topic, meta.partition, meta.offset, meta.key".into());
    let schema = stream.schema.iter().map(|schema| format!("schema {schema}"));
    drop.chain(canary)
        .chain(redact)
        .chain(annotate)
        .chain(schema)
        .collect()
}

pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
