//! riverhead serves Apache Kafka topics to the public as resumable Server-Sent Events.
//!
//! Every client is a cursor over a shared log. One tail reader per cluster reads each partition once. An offset that is no
//! longer in memory is one more page, read on demand. A cursor is in one of three states: live, catching up or slow.
//!
//! The modules form layers, and imports point down only: a module never imports from its own layer or from one above, and
//! `http` never imports `kafka`. Within a module, the imports between its files form no circle; a file and its parents are
//! aside. `tests/hermetic/layers` checks all of that.
//!
//! | layer | module | what it holds |
//! |---|---|---|
//! | 7 | [`cli`] | arguments: serve, demo, probe, tail, check-config, key |
//! | 6 | [`app`] | the composition root: builds leaves, logs, Kafka and HTTP, spawns them, stops them in order |
//! | 5 | [`config`] | one configuration from each module's own settings; reports every fault at once |
//! | 4 | [`http`] | from a request to a response body; the one table from error to status |
//! | 4 | [`demo`] | in-process brokers and a generator of plausible events |
//! | 4 | [`probe`] | an outside client that judges a gateway, for monitoring |
//! | 4 | [`tail`] | an outside client that prints a stream, and resumes it |
//! | 3 | [`kafka`] | reading Kafka without consumer groups: tail, history, clusters |
//! | 3 | [`subscription`] | a client's cursors over all its partitions: one order, one position; lanes share them |
//! | 3 | [`discovery`] | what there is to read, from memory: first and last offset and time of each partition, events per second |
//! | 3 | [`redaction`] | removes fields or whole records, and adds fields, before a record becomes an event |
//! | 2 | [`partition`] | pages, logs, cursors, the directory of current logs, the [`partition::History`] trait |
//! | 2 | [`auth`] | authentication: principals from API keys, tokens and client certificates; tickets |
//! | 2 | [`stream_client`] | reads streams of a gateway from outside, for the probe and for `tail` |
//! | 2 | [`filter`] | which events a client wants: a bounded language with a canonical form |
//! | 1 | [`projection`] | which fields of them: a splice of their text |
//! | 1 | [`event`], [`catalog`], [`limits`], [`tls`] | a record as it is kept; which streams are public; what a client may use; certificates |
//! | 0 | [`position`], [`encoding`], [`sse`], [`client`], [`drain`], [`fetch`], [`log`], [`metrics`], [`health`], [`named`], [`storage`] | leaves |
//!
//! `main.rs`, above all layers, turns arguments into an exit code.

#[macro_use]
pub mod named;

pub mod app;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod config;
#[cfg(feature = "kafka")]
pub mod demo;
pub mod discovery;
pub mod drain;
pub mod encoding;
pub mod event;
pub mod fetch;
pub mod filter;
pub mod health;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
/// Without librdkafka: only what the configuration needs, so that it can be checked all the same.
#[cfg(not(feature = "kafka"))]
pub mod kafka {
    pub mod settings;
}
pub mod limits;
pub mod log;
pub mod metrics;
pub mod partition;
pub mod position;
pub mod probe;
pub mod projection;
pub mod redaction;
pub mod sse;
pub mod storage;
pub mod stream_client;
pub mod subscription;
pub mod tail;
pub mod tls;
