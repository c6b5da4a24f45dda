//! An outside client that judges a gateway as its clients meet it: what monitoring runs.
//!
//! A run is a row of checks, each of which ends in a [`Finding`]; together they are a [`Report`], which [`Format`] writes
//! for Nagios, as JSON, or for Prometheus. There is no "unknown": what cannot be told within its deadline is critical, and
//! a watchdog says so even when the probe itself hangs. (In 2019 an UNKNOWN sat unnoticed for 18 hours.)
//!
//! Not here: arguments and exit codes (`cli`), and health from the inside (`health`).

mod checks;
mod client;
mod deadline;
mod failure;
mod finding;
mod marks;
mod measure;
mod plan;
mod range;
mod render;
mod report;
mod run;
mod stream;
mod target;
mod threshold;
mod tls;
mod watch;
mod watchdog;

pub use finding::{Finding, Status};
pub use measure::{Kind, Measure, Unit};
pub use plan::{Canary, Limit, Plan};
pub use range::{BadRange, Range};
pub use render::Format;
pub use report::Report;
pub use run::run;
pub use target::{BadTarget, Target};
pub use threshold::{BadThreshold, Threshold, Thresholds};
pub use watch::{Watch, watch};
