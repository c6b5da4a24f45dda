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
    /// A credential that may stand in a URL.
    Ticket,
    /// The fields of events to send.
    Fields,
    /// The partitions to read.
    Partitions,
    /// After how many events the read ends.
    Limit,
    /// The time or position at which the read ends.
    Until,
    /// The position to start at, also if it is that of an end.
    From,
    /// The position to resume from. It has several names, and can be given many times.
    LastEventId,
}

/// Every name of a parameter, and whether it was added when there were configurations already. Of names that share their letters,
/// the first is suggested for a misspelt one.
///
/// No field may have one of the first names. On a stream with a field of a later name the field keeps it: no upgrade makes a
/// valid configuration invalid. The id has several names, for clients that cannot set the header: browsers' polyfills, Mercure's
/// clients, and the header's own name.
pub(super) const PARAMETERS: [(&str, Parameter, bool); 19] = [
    ("since", Parameter::Since, false),
    ("filter", Parameter::Filter, false),
    ("id", Parameter::Id, false),
    ("on_gap", Parameter::OnGap, false),
    ("encoding", Parameter::Encoding, false),
    ("canary", Parameter::Canary, false),
    ("checkpoint", Parameter::Checkpoint, true),
    ("ticket", Parameter::Ticket, true),
    ("fields", Parameter::Fields, true),
    ("partitions", Parameter::Partitions, true),
    ("limit", Parameter::Limit, true),
    ("until", Parameter::Until, true),
    ("from", Parameter::From, true),
    ("lastEventId", Parameter::LastEventId, false),
    ("lastEventID", Parameter::LastEventId, true),
    ("last_event_id", Parameter::LastEventId, false),
    ("Last-Event-ID", Parameter::LastEventId, true),
    ("last-event-id", Parameter::LastEventId, true),
    ("evs_last_event_id", Parameter::LastEventId, true),
];

/// Returns whether no field may have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    PARAMETERS.iter().any(|(own, _, later)| *own == name && !later)
}

/// Returns whether a field of this name takes precedence over the parameter.
pub fn yields_to_fields(name: &str) -> bool {
    PARAMETERS.iter().any(|(own, _, later)| *own == name && *later)
}

impl Parameter {
    /// Returns its names in a query.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let own = PARAMETERS.into_iter().filter(move |(_, own, _)| *own == self);
        own.map(|(name, ..)| name)
    }

    /// Returns the first of its names.
    pub fn name(self) -> &'static str {
        self.names().next().unwrap_or_default()
    }
}
