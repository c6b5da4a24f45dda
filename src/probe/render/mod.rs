//! A report as others read it.

mod json;
mod nagios;
mod prometheus;

use std::fmt;

use super::ProbeReport;

/// Who reads a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// The one line of a plugin for Nagios, Icinga and their like: what it is, then the numbers (perfdata).
    #[default]
    Nagios,
    /// One JSON document.
    Json,
    /// Metrics, for a textfile collector; the names of blackbox_exporter where it has one.
    Prometheus,
}

impl ReportFormat {
    /// Every format, in the order in which they are explained.
    pub const ALL: [Self; 3] = [Self::Nagios, Self::Json, Self::Prometheus];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nagios => "nagios",
            Self::Json => "json",
            Self::Prometheus => "prometheus",
        }
    }

    /// The report, its last line ended.
    ///
    /// # Errors
    /// When a metric cannot write itself; none of ours is known to.
    pub fn write(self, report: &ProbeReport) -> Result<String, fmt::Error> {
        match self {
            Self::Nagios => Ok(nagios::line(report)),
            Self::Json => Ok(json::document(report)),
            Self::Prometheus => prometheus::text(report, None),
        }
    }
}

#[cfg(test)]
mod tests;

pub(super) use json::document;
pub(super) use prometheus::{Runs, text};
