//! The formats of a report.

mod json;
mod nagios;
mod prometheus;

use std::fmt;

use super::ProbeReport;

named! {
    /// The format of a report, by its reader.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum ReportFormat {
        /// The line of a plugin for Nagios, Icinga and similar systems: the text, then the numbers (perfdata).
        #[default]
        Nagios = "nagios",
        /// One JSON document.
        Json = "json",
        /// Metrics for a textfile collector, with the names of blackbox_exporter where it has one.
        Prometheus = "prometheus",
    }
}

impl ReportFormat {
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
