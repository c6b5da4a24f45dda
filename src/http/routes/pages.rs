//! The documents for people, and for programs that look for streams: the list of streams, OpenAPI, `/_info`, `robots.txt`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::RawQuery,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::access;
use crate::{
    auth::Principal,
    catalog::{Catalog, Parameter, Stream},
    http::{
        error::Error,
        json::{self, JSON},
    },
};

/// The documents of `/` for everybody who asks: each shows the streams that the asker may read.
#[derive(Debug)]
pub(super) struct RootPages {
    catalog: Arc<Catalog>,
    /// For whoever has no credential.
    public: RootDocuments,
    /// For principals, by the indexes of the streams that they may read.
    of_principals: Mutex<HashMap<Vec<usize>, RootDocuments>>,
}

impl RootPages {
    /// Makes the documents of this catalog for strangers.
    pub(super) fn of(catalog: &Arc<Catalog>) -> Self {
        Self {
            public: RootDocuments::of(catalog, &readable(catalog, None)),
            catalog: Arc::clone(catalog),
            of_principals: Mutex::default(),
        }
    }

    /// Answers `/` with the list of streams and how to read them, and `/?spec` with the OpenAPI document.
    pub(super) fn answer(&self, principal: Option<&Arc<Principal>>, query: RawQuery) -> Response {
        let has_ticket = principal.is_some_and(|principal| principal.grant.is_some());
        if principal.is_none() || !(self.catalog.is_restricted() || has_ticket) {
            return self.public.answer(query);
        }
        let readable = readable(&self.catalog, principal);
        let mut known = self.of_principals.lock();
        if known.len() >= MAX_DOCUMENTS && !known.contains_key(&readable) {
            known.clear();
        }
        let documents = known
            .entry(readable)
            .or_insert_with_key(|readable| RootDocuments::of(&self.catalog, readable));
        documents.answer(query)
    }
}

/// Returns the indexes of the streams that this principal may read.
fn readable(catalog: &Catalog, principal: Option<&Arc<Principal>>) -> Vec<usize> {
    let streams = catalog.streams().enumerate();
    let readable = streams.filter(|(_, stream)| access::may_read(principal, stream));
    readable.map(|(index, _)| index).collect()
}

/// The two documents of `/`. They are kept, because making one costs more than starting a stream.
#[derive(Debug)]
struct RootDocuments {
    listing: Bytes,
    spec: Bytes,
}

impl RootDocuments {
    /// Makes the documents of these streams.
    fn of(catalog: &Catalog, indexes: &[usize]) -> Self {
        let streams = catalog.streams().enumerate();
        let streams = streams.filter(|(index, _)| indexes.binary_search(index).is_ok());
        let streams: Vec<_> = streams.map(|(_, stream)| stream).collect();
        Self {
            listing: listing(&streams).to_string().into(),
            spec: spec(&streams).to_string().into(),
        }
    }

    fn answer(&self, RawQuery(query): RawQuery) -> Response {
        let wants_spec = query.is_some_and(|query| query == "spec" || query.starts_with("spec="));
        let document = if wants_spec { &self.spec } else { &self.listing };
        ([(header::CONTENT_TYPE, JSON)], document.clone()).into_response()
    }
}

/// Answers `/_info` with the name and version of the service, in the shape that the liveness probe of EventStreams expects.
pub(in crate::http) async fn info() -> Result<Response, Error> {
    Ok(json::response(
        StatusCode::OK,
        &json!({"name": NAME, "version": VERSION, "description": DESCRIPTION, "home": "/"}),
    )?)
}

/// Answers `/robots.txt`, which keeps crawlers away: a crawler would hang in a stream, which has no end.
pub(super) async fn robots() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        "User-agent: *\nDisallow: /\n",
    )
        .into_response()
}

fn listing(streams: &[&Stream]) -> Value {
    let streams: Vec<_> = streams
        .iter()
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
        "usage": "GET /v2/stream/{streams}, with one or more names separated by commas, answers with Server-Sent \
            Events. With 'Accept: application/json' it answers with one JSON document per line. Resume with the \
            header Last-Event-ID, or begin at a time with ?since=. /?spec is the OpenAPI document.",
        "streams": streams,
    })
}

/// Returns the OpenAPI document. Programs look up `.paths['/v2/stream/{streams}'].get.parameters[0].schema.items.enum`.
fn spec(streams: &[&Stream]) -> Value {
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

/// How many sets of readable streams have documents that are kept. Scopes make a handful.
const MAX_DOCUMENTS: usize = 64;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DESCRIPTION: &str = "Apache Kafka topics as resumable Server-Sent Events";
