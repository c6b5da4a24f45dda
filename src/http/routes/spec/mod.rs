//! The OpenAPI document of the public listener, in two versions.
//!
//! Not here: who sees which streams in it (`pages`).

mod schemas;

use serde_json::{Map, Value, json};

use super::{
    info::{DESCRIPTION, NAME, VERSION},
    target::TICKETS,
};
use crate::catalog::{Parameter, Stream};

/// A version of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpecVersion {
    /// The version that programs have always read here.
    V30,
    /// The first version that can describe the items of a stream.
    V32,
}

impl SpecVersion {
    fn number(self) -> &'static str {
        match self {
            Self::V30 => "3.0.3",
            Self::V32 => "3.2.0",
        }
    }
}

/// Returns the OpenAPI document. Programs look up `.paths['/v2/stream/{streams}'].get.parameters[0].schema.items.enum`.
pub(super) fn spec(streams: &[&Stream], version: SpecVersion) -> Value {
    let mut paths = Map::new();
    paths.insert("/v2/stream/{streams}".into(), any_streams(streams, version));
    for stream in streams {
        let path = format!("/v2/stream/{}", stream.name);
        paths.insert(path, one_stream(stream, version));
    }
    paths.insert("/v2/streams".into(), list());
    paths.insert("/v2/streams/{name}".into(), details());
    paths.insert(TICKETS.into(), tickets());
    json!({
        "openapi": version.number(),
        "info": {"title": NAME, "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas::all(version)},
    })
}

/// Returns the path of several streams at once.
fn any_streams(streams: &[&Stream], version: SpecVersion) -> Value {
    let names: Vec<_> = streams.iter().map(|stream| &*stream.name).collect();
    let parameter = json!({
        "name": "streams",
        "in": "path",
        "required": true,
        "description": "The streams to read, separated by commas.",
        "schema": {"type": "array", "items": {"type": "string", "enum": names}},
        "style": "simple",
    });
    let events = events(streams, version);
    operation("One or more streams.", vec![parameter], &[], events)
}

/// Returns the path of one stream.
fn one_stream(stream: &Stream, version: SpecVersion) -> Value {
    let fields: Vec<_> = stream.filter_fields.iter().map(|field| &**field).collect();
    let parameters = fields.iter();
    let parameters = parameters.map(|field| optional(field, "query", FILTER_FIELD));
    let events = events(&[stream], version);
    operation(&stream.description, parameters.collect(), &fields, events)
}

/// Returns the content of a streaming response. Only the later version can tell what an item of it is.
fn events(streams: &[&Stream], version: SpecVersion) -> Value {
    match version {
        SpecVersion::V30 => json!({"text/event-stream": {}, "application/json": {}}),
        SpecVersion::V32 => json!({
            "text/event-stream": {"itemSchema": schemas::event(streams)},
            "application/json": {"itemSchema": schemas::line(streams)},
        }),
    }
}

/// Returns a path that answers with a stream. A parameter of the name of a field is the field's on this stream.
fn operation(summary: &str, mut parameters: Vec<Value>, fields: &[&str], events: Value) -> Value {
    let ids = ID_PARAMETERS.iter();
    let ids = ids.filter(|(name, place, _)| *place != "query" || !fields.contains(name));
    parameters.extend(ids.map(|(name, place, description)| optional(name, place, description)));
    let others = PARAMETERS
        .iter()
        .filter(|(parameter, _)| !fields.contains(&parameter.name()));
    parameters
        .extend(others.map(|(parameter, description)| optional(parameter.name(), "query", description)));
    let mut responses = json!({"200": {"description": "A stream of events, endless without `limit` and `until`.", "content": events}});
    responses["204"] =
        json!({"description": "The read has ended: it has a bound, and the id of `event: end`."});
    for (status, description) in REFUSALS {
        responses[status] = refusal(description);
    }
    json!({"get": {"summary": summary, "parameters": parameters, "responses": responses}})
}

/// Returns the path that tells what there is to read.
fn list() -> Value {
    let streams = json!({
        "type": "object",
        "required": ["streams"],
        "properties": {"streams": {"type": "array", "items": schemas::reference("Stream")}},
    });
    let mut responses = json!({
        "200": {
            "description": "The streams that the asker may read.",
            "content": {"application/json": {"schema": streams}},
        },
    });
    for (status, description) in LIST_REFUSALS.iter().filter(|(status, _)| *status != "404") {
        responses[status] = refusal(description);
    }
    let summary = "What there is to read: streams, their topics, how far these go back, and how much comes.";
    json!({"get": {"summary": summary, "responses": responses}})
}

/// Returns the path that tells the same of one stream.
fn details() -> Value {
    let parameter = json!({
        "name": "name",
        "in": "path",
        "required": true,
        "description": "The name of a stream, or an alias.",
        "schema": {"type": "string"},
    });
    let mut responses = json!({
        "200": {
            "description": "The stream.",
            "content": {"application/json": {"schema": schemas::reference("Stream")}},
        },
    });
    for (status, description) in LIST_REFUSALS {
        responses[status] = refusal(description);
    }
    let summary = "What there is to read of one stream.";
    json!({"get": {"summary": summary, "parameters": [parameter], "responses": responses}})
}

/// Returns the path that makes tickets.
fn tickets() -> Value {
    let json_of = |name| json!({"application/json": {"schema": schemas::reference(name)}});
    let mut responses = json!({
        "201": {"description": "A ticket, and the URL with it.", "content": json_of("Ticket")},
    });
    for (status, description) in TICKET_REFUSALS {
        responses[status] = refusal(description);
    }
    json!({"post": {
        "summary": "Makes a short-lived URL for clients that cannot send the header `Authorization`.",
        "requestBody": {"required": true, "content": json_of("TicketRequest")},
        "responses": responses,
    }})
}

fn refusal(description: &str) -> Value {
    let content = json!({"application/json": {"schema": schemas::reference("Problem")}});
    json!({"description": description, "content": content})
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
    (
        Parameter::Fields,
        "Only these fields of each event, such as `title,user,meta.domain`. On streams of JSON only.",
    ),
    (
        Parameter::Partitions,
        "Only some partitions: the share `k/n`, such as `2/3`, or a list, such as `TOPIC:0,TOPIC:3`.",
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
        Parameter::Limit,
        "End after this many events, which `event: end` says.",
    ),
    (
        Parameter::Until,
        "End before the first record of each partition that bears this time, at the end of the log (`now`), or \
         where a client with this id would continue. `event: end` says so.",
    ),
    (
        Parameter::From,
        "Resume after the event with this id, also if that is the id of `event: end`.",
    ),
    (
        Parameter::Ticket,
        "A ticket of `POST /v2/tickets`, for clients that cannot send the header `Authorization`.",
    ),
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
    ("409", "The id is of a read with other `partitions`."),
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

/// The statuses with which a ticket can be refused, and their descriptions.
const TICKET_REFUSALS: &[(&str, &str)] = &[
    (
        "400",
        "The body is not as described, a stream or the filter is invalid, or the ticket would be too long; `detail` \
         says why.",
    ),
    ("401", "The request has no credential, or a bad one."),
    (
        "403",
        "This address is denied, or the credential lacks a scope, is a ticket itself, or is a cookie and the page is of \
         no listed origin.",
    ),
    ("404", "Credentials are not looked at here."),
    ("415", "The body is not sent as `application/json`."),
    (
        "429",
        "This client sends too many requests; retry after the time in `Retry-After`.",
    ),
    (
        "503",
        "The keys of the credential's issuer cannot be had; retry after the time in `Retry-After`.",
    ),
];

/// The statuses with which the paths that tell what there is to read refuse, and their descriptions.
const LIST_REFUSALS: &[(&str, &str)] = &[
    ("401", "The stream needs a credential, or the credential is bad."),
    ("403", "This address is denied, or the credential lacks a scope."),
    ("404", "There is no stream of this name."),
    (
        "429",
        "This client sends too many requests; retry after the time in `Retry-After`.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        let mut stream = Stream::new("edits", ["edits"]);
        stream.filter_fields = ["wiki", "checkpoint"].map(Into::into).into();
        stream
    }

    #[test]
    fn a_field_of_a_later_parameters_name_is_named_once() {
        for version in [SpecVersion::V30, SpecVersion::V32] {
            let spec = spec(&[&stream()], version);
            let named = |path: &str| {
                let parameters = spec["paths"][path]["get"]["parameters"].as_array().unwrap();
                let named = parameters.iter().filter(|it| it["name"] == "checkpoint");
                named.map(|it| it["description"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(named("/v2/stream/edits"), [FILTER_FIELD]);
            assert_eq!(named("/v2/stream/{streams}").len(), 1);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for version in [SpecVersion::V30, SpecVersion::V32] {
            let spec = spec(&[&stream()], version);
            let text = spec.to_string();
            let references = text.split(r##""$ref":"#"##).skip(1);
            let references: Vec<_> = references.filter_map(|rest| rest.split('"').next()).collect();
            assert!(references.len() > 10);
            for reference in references {
                assert!(spec.pointer(reference).is_some(), "{reference}");
            }
        }
    }
}
