//! The documents of `/`: the list of streams for people, and for programs that look for streams.
//!
//! Not here: the OpenAPI document itself (`spec`).

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::RawQuery,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    access,
    info::{DESCRIPTION, NAME},
    spec::{SpecVersion, spec},
};
use crate::{
    auth::Principal,
    catalog::{Catalog, Stream},
    http::json::JSON,
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

    /// Answers `/` with the list of streams and how to read them, and `/?spec` with the OpenAPI document: version 3.0, which
    /// programs read, or with `/?spec=3.2` the one that describes events.
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
pub(super) fn readable(catalog: &Catalog, principal: Option<&Arc<Principal>>) -> Vec<usize> {
    let streams = catalog.streams().enumerate();
    let readable = streams.filter(|(_, stream)| access::may_read(principal, stream));
    readable.map(|(index, _)| index).collect()
}

/// The documents of `/`. They are kept, because making one costs more than starting a stream.
#[derive(Debug)]
struct RootDocuments {
    listing: Bytes,
    spec: Bytes,
    /// The same in OpenAPI 3.2.
    later_spec: Bytes,
}

impl RootDocuments {
    /// Makes the documents of these streams.
    fn of(catalog: &Catalog, indexes: &[usize]) -> Self {
        let streams = catalog.streams().enumerate();
        let streams = streams.filter(|(index, _)| indexes.binary_search(index).is_ok());
        let streams: Vec<_> = streams.map(|(_, stream)| stream).collect();
        Self {
            listing: listing(&streams).to_string().into(),
            spec: spec(&streams, SpecVersion::V30).to_string().into(),
            later_spec: spec(&streams, SpecVersion::V32).to_string().into(),
        }
    }

    fn answer(&self, RawQuery(query): RawQuery) -> Response {
        let document = match query.as_deref() {
            Some("spec=3.2") => &self.later_spec,
            Some(query) if query == "spec" || query.starts_with("spec=") => &self.spec,
            _ => &self.listing,
        };
        ([(header::CONTENT_TYPE, JSON)], document.clone()).into_response()
    }
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
            header Last-Event-ID, or begin at a time with ?since=. /v2/streams tells what there is to read, \
            and /?spec is the OpenAPI document.",
        "streams": streams,
    })
}

/// How many sets of readable streams have documents that are kept. Scopes make a handful.
const MAX_DOCUMENTS: usize = 64;
