//! The OpenAPI document of the public listener.
//!
//! Not here: who sees which streams in it (`pages`).

use serde_json::{Map, Value, json};

use super::info::{DESCRIPTION, NAME, VERSION};
use crate::catalog::{Parameter, Stream};

/// Returns the OpenAPI document. Programs look up `.paths['/v2/stream/{streams}'].get.parameters[0].schema.items.enum`.
pub(super) fn spec(streams: &[&Stream]) -> Value {
    let names: Vec<_> = streams.iter().map(|stream| &*stream.name).collect();
    let mut paths = Map::new();
    let parameter = json!({
        "name": "streams",
        "in": "path",
        "required": true,
        "description": "The streams to read, separated by commas.",
        "schema": {"type": "array", "items": {"type": "string", "enum": names}},
        "style": "simple",
    });
    paths.insert(
        "/v2/stream/{streams}".into(),
        operation("One or more streams.", vec![parameter]),
    );
    for stream in streams {
        let path = format!("/v2/stream/{}", stream.name);
        let fields = stream.filter_fields.iter();
        let fields = fields.map(|field| optional(field, "query", FILTER_FIELD));
        paths.insert(path, operation(&stream.description, fields.collect()));
    }
    json!({
        "openapi": "3.0.3",
        "info": {"title": NAME, "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
    })
}

fn operation(summary: &str, mut parameters: Vec<Value>) -> Value {
    let ids = ID_PARAMETERS.iter();
    parameters.extend(ids.map(|(name, place, description)| optional(name, place, description)));
    let others = PARAMETERS.iter();
    parameters
        .extend(others.map(|(parameter, description)| optional(parameter.name(), "query", description)));
    let events = json!({"text/event-stream": {}, "application/json": {}});
    let mut responses = json!({"200": {"description": "An endless stream of events.", "content": events}});
    for (status, description) in REFUSALS {
        responses[status] = json!({"description": description, "content": {"application/json": {}}});
    }
    json!({"get": {"summary": summary, "parameters": parameters, "responses": responses}})
}

fn optional(name: &str, place: &str, description: &str) -> Value {
    let schema = json!({"type": "string"});
    json!({"name": name, "in": place, "required": false, "description": description, "schema": schema})
}

/// The description of a query parameter that is named after a field of events.
const FILTER_FIELD: &str = "Only events in which this field has one of these values, separated by commas.";

/// The names under which every stream takes an id, where each goes (header or query), and its description.
const ID_PARAMETERS: &[(&str, &str, &str)] = &[
    ("Last-Event-ID", "header", "Resume after the event with this id."),
    (
        "lastEventId",
        "query",
        "The same as the header `Last-Event-ID`, for clients that cannot set it.",
    ),
    (
        "last_event_id",
        "query",
        "The same as `lastEventId`. Also accepted: `lastEventID`, `Last-Event-ID`, `last-event-id` and \
         `evs_last_event_id`.",
    ),
];

/// The other query parameters of every stream, and their descriptions.
const PARAMETERS: &[(Parameter, &str)] = &[
    (
        Parameter::Since,
        "Without an id, begin at this time: ISO 8601, or milliseconds since the Unix epoch.",
    ),
    (
        Parameter::Filter,
        "Only events that match this filter, such as `wiki = enwiki and not bot = true`.",
    ),
    (Parameter::Id, "`compact` for short ids."),
    (Parameter::Encoding, "`gzip` for a compressed stream."),
    (
        Parameter::Checkpoint,
        "If the first event does not come within this time, such as `10s`, the stream sends `event: checkpoint` \
         with an id to resume from.",
    ),
    (Parameter::Canary, "`true` for the canary records of probes too."),
    (
        Parameter::OnGap,
        "With `fail` the request is refused, or the stream ends, instead of continuing after a gap.",
    ),
];

/// The statuses with which a stream can be refused, and their descriptions.
const REFUSALS: &[(&str, &str)] = &[
    (
        "400",
        "A name, id, time, filter or other parameter is invalid; `detail` says why.",
    ),
    ("401", "The stream needs a credential, or the credential is bad."),
    ("403", "This address is denied, or the credential lacks a scope."),
    ("404", "The id names a topic that the streams do not have."),
    ("410", "With `on_gap=fail`: resuming would leave a gap."),
    ("414", "The request target is too long."),
    (
        "429",
        "This client has too many streams, filters or requests; retry after the time in `Retry-After`.",
    ),
    ("431", "The request headers are too large."),
    (
        "503",
        "A stream, the filters or the host are full, or with `on_gap=fail` it is not known yet whether there is \
         a gap; retry after the time in `Retry-After`.",
    ),
];
