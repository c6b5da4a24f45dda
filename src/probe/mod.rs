//! A black-box probe that judges a gateway as clients see it, to be run by monitoring.
//!
//! A run consists of checks, and each ends in a [`CheckResult`]. Together they are a [`ProbeReport`], which [`ReportFormat`]
//! writes for Nagios, as JSON, or for Prometheus. There is no status "unknown": a check without a result at its deadline is
//! critical, and a limit to the whole run reports that even if the probe itself hangs. (In 2019 an UNKNOWN sat unnoticed for 18 hours.)
//!
//! Not here: arguments and exit codes (`cli`), and health from the inside (`health`).

mod check_result;
mod checks;
mod measure;
mod plan;
mod range;
mod reasons;
mod render;
mod report;
mod run;
mod stream;
mod threshold;
mod time_limit;
mod watch;

pub use check_result::{CheckResult, Status};
pub use measure::{Measurement, MeasurementKind, Unit};
pub use plan::{CanaryCheck, LimitCheck, ProbePlan};
pub use range::{AlertRange, InvalidRange};
pub use render::ReportFormat;
pub use report::ProbeReport;
pub use run::run;
pub use threshold::{InvalidThreshold, Threshold, Thresholds};
pub use watch::{WatchOptions, watch};

use check_result::{Check, rounded};
use stream::{EventStream, ReceivedEvent, StreamItem};

use crate::stream_client::{
    CredentialFile, Deadline, IdPositions, PartitionKey, RequestOptions, StreamClient, StreamError,
    StreamResponse, StreamTarget, TlsOptions,
};

const USER_AGENT: &str = concat!("riverhead-probe/", env!("CARGO_PKG_VERSION"));
