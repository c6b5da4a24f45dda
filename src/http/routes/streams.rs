//! The routes `GET /v2/streams` and `GET /v2/streams/{name}`: what there is to read, how far back, and how much of it.
//!
//! Not here: what is known of topics, and what is asked of Kafka for it (`discovery`).

use std::{convert::Infallible, iter, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Uri, header};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use super::{access, pages::readable, stream::decode, target::STREAM_LIST};
use crate::{
    auth::Principal,
    catalog::{Access, Catalog, Stream},
    discovery::{Discovery, EventRate, TopicExtent},
    http::{error::Error, gateway::Gateway, json::JSON},
};

/// The documents of all streams, each kept for [`FRESH`].
///
/// They are kept one by one, not as lists, and a list is written document by document: so no asker gets what was made for
/// another, and a client that takes its answer slowly holds one document, not a list of its own.
#[derive(Debug)]
pub(super) struct StreamDocuments {
    catalog: Arc<Catalog>,
    kept: Box<[Mutex<Option<KeptDocument>>]>,
}

#[derive(Debug)]
struct KeptDocument {
    made: Instant,
    text: Bytes,
}

impl StreamDocuments {
    /// Makes room for the documents of these streams.
    pub(super) fn of(catalog: &Arc<Catalog>) -> Self {
        Self {
            catalog: Arc::clone(catalog),
            kept: catalog.streams().map(|_| Mutex::default()).collect(),
        }
    }

    /// Returns the document of the stream with this index. Returns `None` if there is no such stream.
    fn document(&self, gateway: &Gateway, index: usize) -> Option<Bytes> {
        let mut kept = self.kept.get(index)?.lock();
        if let Some(KeptDocument { made, text }) = &*kept
            && made.elapsed() < FRESH
        {
            return Some(text.clone());
        }
        let stream = self.catalog.streams().nth(index)?;
        let document = StreamDocument::of(stream, &gateway.discovery);
        let text = Bytes::from(serde_json::to_vec(&document).ok()?);
        *kept = Some(KeptDocument {
            made: Instant::now(),
            text: text.clone(),
        });
        Some(text)
    }

    /// Returns the parts of a list of these streams. Each document is made when it is about to be sent.
    fn list(self: Arc<Self>, gateway: Arc<Gateway>, indexes: Vec<usize>) -> impl Iterator<Item = Bytes> {
        let documents = indexes.into_iter();
        let documents = documents.filter_map(move |index| self.document(&gateway, index));
        let separated = documents.enumerate().flat_map(|(place, document)| {
            let separator: &[u8] = if place == 0 { b"" } else { b"," };
            [Bytes::from_static(separator), document]
        });
        let begin = [Bytes::from_static(br#"{"streams":["#)].into_iter();
        let parts = begin.chain(separated).chain([Bytes::from_static(b"]}")]);
        parts.filter(|part| !part.is_empty())
    }
}

/// Answers `/v2/streams` with the streams that the asker may read.
pub(super) fn answer_all(
    documents: &Arc<StreamDocuments>,
    gateway: &Arc<Gateway>,
    principal: Option<&Arc<Principal>>,
) -> Response {
    let indexes = readable(&documents.catalog, principal);
    let parts = Arc::clone(documents).list(Arc::clone(gateway), indexes);
    respond(gateway, parts)
}

/// Answers `/v2/streams/{name}` with one stream, under its name or an alias.
///
/// # Errors
/// 404 if there is no such stream; 401 or 403 if the asker may not read it.
pub(super) fn answer_one(
    documents: &Arc<StreamDocuments>,
    gateway: &Arc<Gateway>,
    principal: Option<&Arc<Principal>>,
    uri: &Uri,
) -> Result<Response, Error> {
    let name = decode(uri.path().strip_prefix(STREAM_LIST).unwrap_or_default())?;
    let selection = match documents.catalog.select(&name) {
        Ok(selection) if !name.contains(',') => selection,
        _ => return Err(Error::NoSuchStream),
    };
    access::check(&documents.catalog, principal, &selection)?;
    let is_it = |stream: &Stream| selection.streams.iter().any(|own| own.as_str() == &*stream.name);
    let index = documents.catalog.streams().position(is_it);
    let index = index.ok_or(Error::NoSuchStream)?;
    let (documents, kept) = (Arc::clone(documents), Arc::clone(gateway));
    let document = iter::once_with(move || documents.document(&kept, index).unwrap_or_default());
    Ok(respond(gateway, document))
}

/// Returns an answer whose body has these parts. Each is made when it is about to be sent.
fn respond(gateway: &Gateway, parts: impl Iterator<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)));
    (headers(gateway), body).into_response()
}

/// Returns the headers of both answers. Where credentials count, an answer is for the asker alone.
fn headers(gateway: &Gateway) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    let caching = match gateway.auth {
        Some(_) => PRIVATE,
        None => PUBLIC,
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if gateway.auth.is_some() {
        let vary = HeaderValue::from_static("Authorization, Cookie");
        headers.insert(header::VARY, vary);
    }
    headers
}

/// What is told of a stream.
#[derive(Serialize)]
struct StreamDocument<'a> {
    name: &'a str,
    uri: String,
    description: &'a str,
    aliases: Vec<&'a str>,
    topics: Vec<TopicExtent>,
    payload: &'static str,
    schema: Option<&'a str>,
    access: AccessDocument<'a>,
    filter_fields: Vec<&'a str>,
    rate: EventRate,
}

/// Who may read a stream, as the configuration writes it.
#[derive(Serialize)]
#[serde(untagged)]
enum AccessDocument<'a> {
    Public(&'static str),
    Scopes(Vec<&'a str>),
}

impl<'a> StreamDocument<'a> {
    fn of(stream: &'a Stream, discovery: &Discovery) -> Self {
        let topics = stream.topics.iter();
        Self {
            name: &stream.name,
            uri: format!("/v2/stream/{}", stream.name),
            description: &stream.description,
            aliases: texts(&stream.aliases),
            topics: topics.map(|topic| discovery.extent(topic)).collect(),
            payload: stream.encoding.payload.name(),
            schema: stream.schema.as_deref(),
            access: match &stream.access {
                Access::Public => AccessDocument::Public("public"),
                Access::Scopes(scopes) => AccessDocument::Scopes(texts(scopes)),
            },
            filter_fields: texts(&stream.filter_fields),
            rate: discovery.rate(&stream.topics),
        }
    }
}

/// Returns the names as texts.
pub(super) fn texts(names: &[Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

/// For how long a document is given to everybody who asks. Making one costs about a microsecond for each partition.
const FRESH: Duration = Duration::from_secs(2);

/// As long as [`FRESH`], for the caches of clients, and for shared ones where everybody sees the same.
const PUBLIC: &str = "public, max-age=2";
const PRIVATE: &str = "private, max-age=2";
