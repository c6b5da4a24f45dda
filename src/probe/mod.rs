//! A black-box probe that judges a gateway as clients see it, to be run by monitoring.
//!
//! A run consists of checks, and each ends in a [`CheckResult`]. Together they are a [`ProbeReport`], which [`ReportFormat`]
//! writes for Nagios, as JSON, or for Prometheus. There is no status "unknown": a check without a result at its deadline is
//! critical, and a watchdog reports that even if the probe itself hangs. (In 2019 an UNKNOWN sat unnoticed for 18 hours.)
//!
//! Not here: arguments and exit codes (`cli`), and health from the inside (`health`).

mod check_result;
mod checks;
mod client;
mod credential;
mod deadline;
mod failure;
mod id_positions;
mod measure;
mod plan;
mod range;
mod reasons;
mod render;
mod report;
mod run;
mod stream;
mod target;
mod threshold;
mod tls;
mod watch;
mod watchdog;

pub use check_result::{CheckResult, Status};
pub use measure::{Measurement, MeasurementKind, Unit};
pub use plan::{CanaryCheck, LimitCheck, ProbePlan};
pub use range::{AlertRange, InvalidRange};
pub use render::ReportFormat;
pub use report::ProbeReport;
pub use run::run;
pub use target::{InvalidTarget, ProbeTarget};
pub use threshold::{InvalidThreshold, Threshold, Thresholds};
pub use tls::ProbeTls;
pub use watch::{WatchOptions, watch};

use check_result::{Check, rounded};
use client::{ProbeClient, ProbeRequest};
use credential::CredentialFile;
use deadline::Deadline;
use failure::ProbeError;
use id_positions::{IdPositions, PartitionKey};
use stream::{EventStream, ProbeResponse, ReceivedEvent, StreamItem};
use tls::TlsDetails;
