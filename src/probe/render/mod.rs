//! The formats of a report.

mod json;
mod nagios;
mod prometheus;

use std::fmt;

use super::ProbeReport;

/// The format of a report, by its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// The line of a plugin for Nagios, Icinga and similar systems: the text, then the numbers (perfdata).
    #[default]
    Nagios,
    /// One JSON document.
    Json,
    /// Metrics for a textfile collector, with the names of blackbox_exporter where it has one.
    Prometheus,
}

impl ReportFormat {
    /// Every format, in the order in which they are explained.
    pub const ALL: [Self; 3] = [Self::Nagios, Self::Json, Self::Prometheus];

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nagios => "nagios",
            Self::Json => "json",
            Self::Prometheus => "prometheus",
        }
    }

    /// Returns the report as text that ends with a newline.
    ///
    /// # Errors
    /// If a metric cannot be encoded. None of ours is known to fail.
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
