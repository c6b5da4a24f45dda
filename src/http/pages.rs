//! What a person, or a program that looks for streams, finds at the root.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::{Gateway, json};
use crate::catalog::Catalog;

/// The streams and how to read them; with `?spec` the same for programs.
pub(super) async fn root(State(gateway): State<Arc<Gateway>>, RawQuery(query): RawQuery) -> Response {
    let wants_spec = query.is_some_and(|query| query == "spec" || query.starts_with("spec="));
    let document = if wants_spec {
        spec(&gateway.catalog)
    } else {
        listing(&gateway.catalog)
    };
    json::response(StatusCode::OK, &document)
}

/// Which service this is, in the shape that EventStreams' liveness probe asks for.
pub(super) async fn info() -> Response {
    json::response(
        StatusCode::OK,
        &json!({"name": NAME, "version": VERSION, "description": DESCRIPTION, "home": "/"}),
    )
}

/// Streams have no end; a crawler that follows one would hang in it.
pub(super) async fn robots() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        "User-agent: *\nDisallow: /\n",
    )
        .into_response()
}

fn listing(catalog: &Catalog) -> Value {
    let streams: Vec<_> = catalog
        .streams()
        .map(|stream| {
            json!({
                "name": &*stream.name,
                "description": stream.description,
                "aliases": stream.aliases.iter().map(|alias| &**alias).collect::<Vec<_>>(),
                "uri": format!("/v2/stream/{}", stream.name),
            })
        })
        .collect();
    json!({
        "name": NAME,
        "description": DESCRIPTION,
        "usage": "GET /v2/stream/{streams}: one or more names with commas between, as Server-Sent Events; with \
            'Accept: application/json' one JSON document a line. Resume with the header Last-Event-ID, or begin at a \
            time with ?since=. /?spec is the OpenAPI document.",
        "streams": streams,
    })
}

/// OpenAPI. Programs look up `.paths['/v2/stream/{streams}'].get.parameters[0].schema.items.enum`.
fn spec(catalog: &Catalog) -> Value {
    let names: Vec<_> = catalog.streams().map(|stream| &*stream.name).collect();
    let mut paths = Map::new();
    let streams = json!({
        "name": "streams",
        "in": "path",
        "required": true,
        "description": "The streams to read, with commas between.",
        "schema": {"type": "array", "items": {"type": "string", "enum": names}},
        "style": "simple",
    });
    paths.insert(
        "/v2/stream/{streams}".into(),
        operation("One or more streams.", vec![streams]),
    );
    for stream in catalog.streams() {
        let path = format!("/v2/stream/{}", stream.name);
        paths.insert(path, operation(&stream.description, Vec::new()));
    }
    json!({
        "openapi": "3.0.3",
        "info": {"title": NAME, "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
    })
}

fn operation(summary: &str, mut parameters: Vec<Value>) -> Value {
    let optional = |name: &str, place: &str, description: &str| json!({"name": name, "in": place, "required": false, "description": description, "schema": {"type": "string"}});
    parameters.extend([
        optional(
            "since",
            "query",
            "Begin at this time: ISO 8601, or milliseconds since the epoch.",
        ),
        optional("Last-Event-ID", "header", "Go on behind the event with this id."),
        optional(
            "lastEventId",
            "query",
            "The same, for clients that cannot set a header.",
        ),
        optional("id", "query", "`compact` for short ids."),
        optional(
            "on_gap",
            "query",
            "`fail` to be refused, or to end, rather than to go on behind a gap.",
        ),
    ]);
    let content = json!({"text/event-stream": {}, "application/json": {}});
    let responses = json!({"200": {"description": "An endless stream of events.", "content": content}});
    json!({"get": {"summary": summary, "parameters": parameters, "responses": responses}})
}

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DESCRIPTION: &str = "Apache Kafka topics as resumable Server-Sent Events";
