//! The schemas of the OpenAPI document: what clients get, as JSON Schema.

use serde_json::{Map, Value, json};

use super::SpecVersion;
use crate::{
    catalog::Stream,
    encoding::{Payload, Tombstones},
};

/// Returns a reference to one of the schemas that [`all`] returns.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Returns all schemas, by name. Those of events are in the version that can refer to them.
pub(super) fn all(version: SpecVersion) -> Map<String, Value> {
    let mut schemas = vec![
        ("Problem", problem()),
        ("Stream", stream(version)),
        ("Partition", partition()),
        ("LogEdge", log_edge(version)),
        ("TicketRequest", ticket_request()),
        ("Ticket", ticket()),
    ];
    if version == SpecVersion::V32 {
        schemas.extend([
            (
                "JsonMessage",
                message(json!({"contentMediaType": "application/json"})),
            ),
            ("RawMessage", message(json!({}))),
            ("Base64Message", message(json!({"contentEncoding": "base64"}))),
            ("DeleteEvent", carried("delete", "Delete", true)),
            ("GapEvent", carried("gap", "Gap", false)),
            ("CheckpointEvent", carried("checkpoint", "Checkpoint", true)),
            ("EndEvent", carried("end", "End", true)),
            ("JsonLine", json!({"type": ["object", "array"]})),
            ("TextLine", json!({"type": "string"})),
            ("DeleteLine", wrapped("delete", "Delete")),
            ("GapLine", wrapped("gap", "Gap")),
            ("EndLine", wrapped("end", "EndOfLines")),
            ("Delete", delete()),
            ("Gap", gap()),
            ("Checkpoint", checkpoint()),
            ("End", end("position", &json!({"type": ["array", "string"]}))),
            ("EndOfLines", end("id", &json!({"type": "string"}))),
        ]);
    }
    let schemas = schemas.into_iter();
    schemas.map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Returns the schema of one Server-Sent Event of these streams.
pub(super) fn event(streams: &[&Stream]) -> Value {
    let mut kinds = kinds(streams, |payload| match payload {
        Payload::Json => "JsonMessage",
        Payload::Raw => "RawMessage",
        Payload::Base64 => "Base64Message",
    });
    if has_deletions(streams) {
        kinds.push("DeleteEvent");
    }
    kinds.extend(["GapEvent", "CheckpointEvent", "EndEvent"]);
    any_of(&kinds)
}

/// Returns the schema of one line of the same streams.
pub(super) fn line(streams: &[&Stream]) -> Value {
    let mut kinds = kinds(streams, |payload| match payload {
        Payload::Json => "JsonLine",
        Payload::Raw | Payload::Base64 => "TextLine",
    });
    if has_deletions(streams) {
        kinds.push("DeleteLine");
    }
    kinds.extend(["GapLine", "EndLine"]);
    any_of(&kinds)
}

/// Returns the schema of what a ticket is asked for with.
fn ticket_request() -> Value {
    json!({
        "type": "object",
        "required": ["streams"],
        "properties": {
            "streams": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The streams that the ticket is for.",
            },
            "filter": {
                "type": "string",
                "description": "A filter of all requests with the ticket. They can add another one, and cannot leave it out.",
            },
        },
        "additionalProperties": false,
    })
}

/// Returns the schema of a ticket.
fn ticket() -> Value {
    json!({
        "type": "object",
        "required": ["ticket", "url", "expires"],
        "properties": {
            "ticket": {"type": "string", "description": "The value of the parameter `ticket`."},
            "url": {"type": "string", "description": "The path and query of the streams, with the ticket."},
            "expires": {
                "type": "string",
                "format": "date-time",
                "description": "Until when it begins a stream. It takes one up again for longer.",
            },
        },
    })
}

/// Returns the names of the schemas of the streams' values, each once.
fn kinds(streams: &[&Stream], name: impl Fn(Payload) -> &'static str) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for payload in Payload::ALL {
        let is_used = streams.iter().any(|stream| stream.encoding.payload == payload);
        let name = name(payload);
        if is_used && !kinds.contains(&name) {
            kinds.push(name);
        }
    }
    kinds
}

fn has_deletions(streams: &[&Stream]) -> bool {
    streams
        .iter()
        .any(|stream| stream.encoding.tombstones == Tombstones::Delete)
}

fn any_of(names: &[&str]) -> Value {
    let schemas: Vec<_> = names.iter().map(|name| reference(name)).collect();
    json!({"anyOf": schemas})
}

/// Returns the schema of a record as an event, whose data is as this schema says.
fn message(data: Value) -> Value {
    event_of("message", data, true)
}

/// Returns the schema of an event whose data is a JSON document of another schema.
fn carried(event: &str, document: &str, has_id: bool) -> Value {
    let data = json!({"contentMediaType": "application/json", "contentSchema": reference(document)});
    event_of(event, data, has_id)
}

fn event_of(event: &str, mut data: Value, has_id: bool) -> Value {
    data["type"] = "string".into();
    let mut properties = json!({"event": {"const": event}, "data": data});
    let mut required = vec!["event", "data"];
    if has_id {
        properties["id"] = json!({"type": "string", "description": "For `Last-Event-ID`."});
        required.push("id");
    }
    json!({"type": "object", "properties": properties, "required": required})
}

/// Returns the schema of a line that has a document of another schema as its only member.
fn wrapped(member: &str, document: &str) -> Value {
    json!({"type": "object", "required": [member], "properties": {member: reference(document)}})
}

fn delete() -> Value {
    json!({
        "description": "The key of a record without a value.",
        "type": "object",
        "properties": {"key": {"type": ["string", "null"]}, "key_base64": {"type": "string"}},
    })
}

fn gap() -> Value {
    let offset = json!({"type": ["integer", "null"]});
    json!({
        "description": "Events that were lost, or may be repeated.",
        "type": "object",
        "required": ["topic", "partition", "requested", "resumed", "reason"],
        "properties": {
            "topic": {"type": "string"},
            "partition": {"type": "integer"},
            "requested": offset,
            "resumed": offset,
            "reason": {"type": "string"},
        },
    })
}

fn checkpoint() -> Value {
    json!({
        "description": "A position to resume from, where no event came.",
        "type": "object",
        "properties": {"skipped": {"type": "integer"}},
    })
}

/// Returns the schema of the end of a bounded read, which tells where that is by this member, or of a stream that a reload has ended.
fn end(place: &str, schema: &Value) -> Value {
    json!({
        "description": "The end of a read with `limit` or `until`, or of a stream that was removed or may not be read any more.",
        "type": "object",
        "required": ["reason", "events"],
        "properties": {
            "reason": {"type": "string", "enum": ["limit", "until", "removed", "access"]},
            "events": {"type": "integer"},
            place: schema,
        },
    })
}

fn problem() -> Value {
    json!({
        "description": "Why a request is refused.",
        "type": "object",
        "required": ["status", "type", "title", "detail", "method", "uri"],
        "properties": {
            "status": {"type": "integer"},
            "type": {"type": "string"},
            "title": {"type": "string"},
            "detail": {"type": "string"},
            "method": {"type": "string"},
            "uri": {"type": "string"},
        },
    })
}

fn stream(version: SpecVersion) -> Value {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let topic = json!({
        "type": "object",
        "required": ["name", "partitions"],
        "properties": {
            "name": {"type": "string"},
            "partitions": {"type": "array", "items": reference("Partition")},
        },
    });
    let rate = json!({
        "description": "Events a second, on average over the last minute and the last hour.",
        "type": "object",
        "required": ["minute", "hour"],
        "properties": {"minute": or_null(version, "number"), "hour": or_null(version, "number")},
    });
    let properties = json!({
        "name": {"type": "string"},
        "uri": {"type": "string"},
        "description": {"type": "string"},
        "aliases": texts,
        "topics": {"type": "array", "items": topic},
        "payload": {"type": "string", "enum": Payload::ALL.map(Payload::name)},
        "schema": or_null(version, "string"),
        "access": {
            "description": "`public`, or the scopes of which one is needed.",
            "oneOf": [{"type": "string", "enum": ["public"]}, texts],
        },
        "filter_fields": texts,
        "rate": rate,
    });
    let required: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn partition() -> Value {
    json!({
        "type": "object",
        "required": ["partition", "earliest", "latest"],
        "properties": {
            "partition": {"type": "integer"},
            "earliest": reference("LogEdge"),
            "latest": reference("LogEdge"),
        },
    })
}

fn log_edge(version: SpecVersion) -> Value {
    json!({
        "description": "The first offset and the time of the first record, or the offset behind the last record and \
            its time, in milliseconds since the Unix epoch.",
        "type": "object",
        "required": ["offset", "timestamp"],
        "properties": {"offset": or_null(version, "integer"), "timestamp": or_null(version, "integer")},
    })
}

/// Returns the schema of a value that may be null.
fn or_null(version: SpecVersion, kind: &str) -> Value {
    match version {
        SpecVersion::V30 => json!({"type": kind, "nullable": true}),
        SpecVersion::V32 => json!({"type": [kind, "null"]}),
    }
}
