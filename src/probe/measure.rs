//! The kinds of numbers that a probe measures, with their default thresholds.

use super::range::AlertRange;

/// A kind of number that a probe measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasurementKind {
    /// The label in Nagios perfdata, and the name behind `riverhead_probe_` in Prometheus. Public names, as are the units.
    pub name: &'static str,
    /// The unit.
    pub unit: Unit,
    /// The help text of the metric.
    pub help: &'static str,
    /// The values that warn by default.
    pub warning: Option<AlertRange>,
    /// The values that are critical by default.
    pub critical: Option<AlertRange>,
}

/// The unit of a [`MeasurementKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Days.
    Days,
}

impl Unit {
    /// Returns the unit in perfdata. Days have none there.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Count | Self::Days => "",
        }
    }

    /// Returns the unit as the suffix of a Prometheus name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Seconds => "_seconds",
            Self::Count | Self::Days => "",
        }
    }
}

/// A measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The kind of number.
    pub kind: MeasurementKind,
    /// The number, in the unit of its kind.
    pub value: f64,
    /// The values that warn.
    pub warning: Option<AlertRange>,
    /// The values that are critical.
    pub critical: Option<AlertRange>,
    /// The largest possible value, if there is one.
    pub most: Option<f64>,
    /// The topic and partition, for a number of one partition.
    pub partition: Option<(String, i32)>,
}

impl Measurement {
    /// Creates a number of the whole stream.
    pub(super) fn new(kind: MeasurementKind, value: f64) -> Self {
        Self {
            kind,
            value,
            warning: kind.warning,
            critical: kind.critical,
            most: None,
            partition: None,
        }
    }

    /// Sets the largest possible value.
    pub(super) fn of(mut self, most: f64) -> Self {
        self.most = Some(most);
        self
    }

    /// Creates a number of one partition. It has no thresholds, because the worst partition is judged for all.
    pub(super) fn of_partition(kind: MeasurementKind, value: f64, partition: (String, i32)) -> Self {
        Self {
            warning: None,
            critical: None,
            partition: Some(partition),
            ..Self::new(kind, value)
        }
    }
}

/// The range that alerts for any value above zero.
const NONE: Option<AlertRange> = Some(AlertRange::at_most(0.0));

const fn at_most(end: f64) -> Option<AlertRange> {
    Some(AlertRange::at_most(end))
}

/// Declares the kinds of measurements, each with its name, unit, help text and thresholds.
macro_rules! measurement_kinds {
    ($(
        $(#[$doc:meta])*
        $kind:ident = $name:literal, $unit:ident, $help:literal, warning: $warning:expr, critical: $critical:expr;
    )*) => {
        $(
            $(#[$doc])*
            pub(super) const $kind: MeasurementKind = MeasurementKind {
                name: $name,
                unit: Unit::$unit,
                help: $help,
                warning: $warning,
                critical: $critical,
            };
        )*

        /// All kinds, in the order in which the checks that determine them run.
        pub(super) const KINDS: [MeasurementKind; [$($name),*].len()] = [$($kind),*];
    };
}

measurement_kinds! {
    CONNECT = "connect", Seconds, "Time from resolving the host name to a connection, including TLS",
        warning: at_most(1.0), critical: at_most(5.0);
    /// Two weeks, and one week: certificates that renew themselves are renewed a month before they expire.
    TLS_DAYS = "tls_days", Days, "Days until the first certificate of the chain expires",
        warning: Some(AlertRange::at_least(14.0)), critical: Some(AlertRange::at_least(7.0));
    FIRST_EVENT = "ttfe", Seconds, "Time from the request to the first event",
        warning: at_most(5.0), critical: at_most(10.0);
    CANARY = "canary", Seconds, "Time from producing a canary to receiving it, in the slowest partition",
        warning: at_most(2.0), critical: at_most(10.0);
    CANARIES_LOST = "canaries_lost", Count, "Partitions whose canary was not received",
        warning: None, critical: NONE;
    /// Critical only by `--max-age`: how quiet a stream may be is known only to its operator.
    EVENT_AGE = "event_age", Seconds, "Age of the newest record",
        warning: None, critical: None;
    SILENT = "partitions_silent", Count, "Partitions without a record younger than --max-age",
        warning: None, critical: NONE;
    LOST = "gap", Count, "Events that a resume lost, and gaps that it reported",
        warning: None, critical: NONE;
    REPEATED = "dup", Count, "Events that a resume repeated or changed",
        warning: None, critical: NONE;
    ADMITTED = "streams_admitted", Count, "Streams that one address had open at once",
        warning: None, critical: None;
}
