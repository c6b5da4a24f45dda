//! The names of the parameters of a stream, and how fields of events stand to them.

/// A parameter of every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// From when on.
    Since,
    /// Which events.
    Filter,
    /// How ids are written.
    Id,
    /// What becomes of a stream with a gap.
    OnGap,
    /// How the stream is packed.
    Encoding,
    /// Whether records of probes are shown.
    Canary,
    /// After how long without an event the place is told.
    Checkpoint,
    /// Where to go on. It has several names, and can be given many times.
    LastEventId,
}

/// The names of the id in a query, for clients that cannot set the header: browsers' polyfills, Mercure's clients, and the
/// header's own name.
pub const LAST_EVENT_ID: [&str; 6] = [
    "lastEventId",
    "lastEventID",
    "last_event_id",
    "Last-Event-ID",
    "last-event-id",
    "evs_last_event_id",
];

/// Those that no field may have.
pub(super) const RESERVED: [&str; 8] = [
    "since",
    "filter",
    "id",
    "on_gap",
    "encoding",
    "canary",
    "lastEventId",
    "last_event_id",
];

/// Those that came when there were configurations already. On a stream with a field of this name the field keeps it: no
/// upgrade makes a valid configuration invalid.
pub(super) const LATER: [&str; 5] = [
    "checkpoint",
    "lastEventID",
    "Last-Event-ID",
    "last-event-id",
    "evs_last_event_id",
];

/// Whether no field may have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether a field of this name keeps a parameter's.
pub fn yields_to_fields(name: &str) -> bool {
    LATER.contains(&name)
}

/// What each name means; of those that share their letters the first is the one that is named.
pub(super) const PARAMETERS: [(&str, Parameter); 13] = [
    ("since", Parameter::Since),
    ("filter", Parameter::Filter),
    ("id", Parameter::Id),
    ("on_gap", Parameter::OnGap),
    ("encoding", Parameter::Encoding),
    ("canary", Parameter::Canary),
    ("checkpoint", Parameter::Checkpoint),
    (LAST_EVENT_ID[0], Parameter::LastEventId),
    (LAST_EVENT_ID[1], Parameter::LastEventId),
    (LAST_EVENT_ID[2], Parameter::LastEventId),
    (LAST_EVENT_ID[3], Parameter::LastEventId),
    (LAST_EVENT_ID[4], Parameter::LastEventId),
    (LAST_EVENT_ID[5], Parameter::LastEventId),
];
