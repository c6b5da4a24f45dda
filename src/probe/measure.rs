//! What a probe measures.

use super::range::AlertRange;

/// One kind of number that a probe brings back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasurementKind {
    /// Its label in Nagios' perfdata, and what follows `riverhead_probe_` in Prometheus. Public, as are the units.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// What it says, for whoever reads a metric.
    pub help: &'static str,
    /// Which values warn, unless told otherwise.
    pub warning: Option<AlertRange>,
    /// Which values are critical, unless told otherwise.
    pub critical: Option<AlertRange>,
}

/// What a [`MeasurementKind`] counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Days.
    Days,
}

impl Unit {
    /// The unit in perfdata; days have none there.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Count | Self::Days => "",
        }
    }

    /// The unit as Prometheus has it at the end of a name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Seconds => "_seconds",
            Self::Count | Self::Days => "",
        }
    }
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// What was measured.
    pub kind: MeasurementKind,
    /// The number, in the kind's unit.
    pub value: f64,
    /// Which values warn.
    pub warning: Option<AlertRange>,
    /// Which values are critical.
    pub critical: Option<AlertRange>,
    /// The largest value that was possible, where there is one.
    pub most: Option<f64>,
    /// The topic and partition, for what is measured of each.
    pub partition: Option<(String, i32)>,
}

impl Measurement {
    /// One of the whole stream.
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

    /// With the largest value that was possible.
    pub(super) fn of(mut self, most: f64) -> Self {
        self.most = Some(most);
        self
    }

    /// One of one partition. Its thresholds are those of the worst, which is judged for all.
    pub(super) fn of_partition(kind: MeasurementKind, value: f64, partition: (String, i32)) -> Self {
        Self {
            warning: None,
            critical: None,
            partition: Some(partition),
            ..Self::new(kind, value)
        }
    }
}

const fn kind(name: &'static str, unit: Unit, help: &'static str) -> MeasurementKind {
    MeasurementKind {
        name,
        unit,
        help,
        warning: None,
        critical: None,
    }
}

const fn judged(
    kind: MeasurementKind,
    warning: Option<AlertRange>,
    critical: Option<AlertRange>,
) -> MeasurementKind {
    MeasurementKind {
        warning,
        critical,
        ..kind
    }
}

/// Nothing of it may happen.
const NONE: Option<AlertRange> = Some(AlertRange::at_most(0.0));

const fn at_most(end: f64) -> Option<AlertRange> {
    Some(AlertRange::at_most(end))
}

pub(super) const CONNECT: MeasurementKind = judged(
    kind(
        "connect",
        Unit::Seconds,
        "From the name to a connection, TLS included",
    ),
    at_most(1.0),
    at_most(5.0),
);

/// Two weeks and one: certificates that renew themselves are renewed a month before.
pub(super) const TLS_DAYS: MeasurementKind = judged(
    kind(
        "tls_days",
        Unit::Days,
        "Until the first certificate of the chain expires",
    ),
    Some(AlertRange::at_least(14.0)),
    Some(AlertRange::at_least(7.0)),
);

pub(super) const FIRST_EVENT: MeasurementKind = judged(
    kind("ttfe", Unit::Seconds, "From the request to the first event"),
    at_most(5.0),
    at_most(10.0),
);

/// Critical by `--max-age`, and else by nothing: only who knows the stream knows how quiet it may be.
pub(super) const EVENT_AGE: MeasurementKind = kind("event_age", Unit::Seconds, "Age of the newest record");

pub(super) const SILENT: MeasurementKind = judged(
    kind(
        "partitions_silent",
        Unit::Count,
        "Partitions without a record younger than --max-age",
    ),
    None,
    NONE,
);

pub(super) const LOST: MeasurementKind = judged(
    kind(
        "gap",
        Unit::Count,
        "Events that a resume lost, and gaps it told of",
    ),
    None,
    NONE,
);

pub(super) const REPEATED: MeasurementKind = judged(
    kind("dup", Unit::Count, "Events that a resume repeated"),
    None,
    NONE,
);

pub(super) const ADMITTED: MeasurementKind = kind(
    "streams_admitted",
    Unit::Count,
    "Streams that one address got at once",
);

pub(super) const CANARY: MeasurementKind = judged(
    kind(
        "canary",
        Unit::Seconds,
        "From producing a record to seeing it, the slowest partition",
    ),
    at_most(2.0),
    at_most(10.0),
);

pub(super) const CANARIES_LOST: MeasurementKind = judged(
    kind("canaries_lost", Unit::Count, "Partitions whose canary never came"),
    None,
    NONE,
);

/// All kinds, in the order of a run.
pub(super) const KINDS: [MeasurementKind; 10] = [
    CONNECT,
    TLS_DAYS,
    FIRST_EVENT,
    CANARY,
    CANARIES_LOST,
    EVENT_AGE,
    SILENT,
    LOST,
    REPEATED,
    ADMITTED,
];
