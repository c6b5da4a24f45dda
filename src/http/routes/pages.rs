//! What `/` answers: the page for people, and the documents for programs that look for streams. And the files of the page.
//!
//! Not here: the OpenAPI document itself (`spec`), and the page (`http::pages`).

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use axum::{
    extract::RawQuery,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    access,
    info::{DESCRIPTION, NAME},
    negotiation::prefers_page,
    spec::{SpecVersion, spec},
};
use crate::{
    auth::Principal,
    catalog::{Catalog, Stream},
    http::{error::Error, json::JSON, pages::live::LIVE_PAGE},
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
    /// Makes the documents of this catalog for strangers, and the files of the page.
    pub(super) fn of(catalog: &Arc<Catalog>) -> Self {
        // Now, and not while the first person waits.
        LazyLock::force(&LIVE_PAGE);
        Self {
            public: RootDocuments::of(catalog, &readable(catalog, None)),
            catalog: Arc::clone(catalog),
            of_principals: Mutex::default(),
        }
    }

    /// Answers `/` with the page for those who prefer one, and for all others with the list of streams and how to read them. Answers
    /// `/?spec` with the OpenAPI document: version 3.0, which programs read, or with `/?spec=3.2` the one that describes events.
    pub(super) fn answer(
        &self,
        principal: Option<&Arc<Principal>>,
        RawQuery(query): RawQuery,
        headers: &HeaderMap,
    ) -> Response {
        if let Some(version) = query.as_deref().and_then(spec_version) {
            return self.document(principal, |documents| documents.spec(version));
        }
        let mut response = match LIVE_PAGE.page().filter(|_| prefers_page(headers)) {
            Some(page) => page.answer(headers),
            None => self.document(principal, |documents| &documents.listing),
        };
        let vary = HeaderValue::from_static("accept");
        response.headers_mut().append(header::VARY, vary);
        response
    }

    /// Answers with one of the documents of the streams that this principal may read.
    fn document(
        &self,
        principal: Option<&Arc<Principal>>,
        choose: impl FnOnce(&RootDocuments) -> &Bytes,
    ) -> Response {
        let answer = |documents: &RootDocuments| {
            ([(header::CONTENT_TYPE, JSON)], choose(documents).clone()).into_response()
        };
        let has_ticket = principal.is_some_and(|principal| principal.grant.is_some());
        if principal.is_none() || !(self.catalog.is_restricted() || has_ticket) {
            return answer(&self.public);
        }
        let readable = readable(&self.catalog, principal);
        let mut known = self.of_principals.lock();
        if known.len() >= MAX_DOCUMENTS && !known.contains_key(&readable) {
            known.clear();
        }
        let documents = known
            .entry(readable)
            .or_insert_with_key(|readable| RootDocuments::of(&self.catalog, readable));
        answer(documents)
    }
}

/// Returns the version of the OpenAPI document that a query asks for. Returns `None` if it asks for none.
fn spec_version(query: &str) -> Option<SpecVersion> {
    match query {
        "spec=3.2" => Some(SpecVersion::V32),
        _ if query == "spec" || query.starts_with("spec=") => Some(SpecVersion::V30),
        _ => None,
    }
}

/// Answers with a file of the page.
///
/// # Errors
/// 404 if the page has no such file.
pub(super) async fn file(uri: Uri, headers: HeaderMap) -> Result<Response, Error> {
    let name = uri.path().strip_prefix(FILES).unwrap_or_default();
    let file = LIVE_PAGE.get(name).ok_or(Error::NoSuchPath)?;
    Ok(file.answer(&headers))
}

/// The path before the names of the page's files.
const FILES: &str = "/ui/";

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

    fn spec(&self, version: SpecVersion) -> &Bytes {
        match version {
            SpecVersion::V30 => &self.spec,
            SpecVersion::V32 => &self.later_spec,
        }
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
