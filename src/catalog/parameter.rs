//! The query parameters of a stream, and the names that fields of events may not have because of them.

/// A query parameter of every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The time or position at which the stream starts.
    Since,
    /// The events to send.
    Filter,
    /// The form of the ids.
    Id,
    /// What happens to a stream with a gap.
    OnGap,
    /// The compression of the stream.
    Encoding,
    /// Whether canary records of probes are sent.
    Canary,
    /// How long without an event until the position is sent.
    Checkpoint,
    /// The position to resume from. It has several names, and can be given many times.
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

/// The names that no field may have.
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

/// The names of parameters that were added when there were configurations already. On a stream with a field of this name the
/// field keeps it: no upgrade makes a valid configuration invalid.
pub(super) const ADDED_LATER: [&str; 5] = [
    "checkpoint",
    "lastEventID",
    "Last-Event-ID",
    "last-event-id",
    "evs_last_event_id",
];

/// Returns whether no field may have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Returns whether a field of this name takes precedence over the parameter.
pub fn yields_to_fields(name: &str) -> bool {
    ADDED_LATER.contains(&name)
}

/// The parameter of each name. Of names that share their letters, the first is suggested for a misspelt one.
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

impl Parameter {
    /// Returns its name in a query: of several the first in `PARAMETERS`.
    pub fn name(self) -> &'static str {
        let named = PARAMETERS.iter().find(|(_, parameter)| *parameter == self);
        named.map_or("", |(name, _)| name)
    }
}
