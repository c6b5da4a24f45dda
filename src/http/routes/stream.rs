//! The route `GET /v2/stream/{streams}`: the steps from a request to a streaming response.
//!
//! Not here: what the body contains (`delivery`).

use std::{
    borrow::Cow,
    convert::Infallible,
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    Extension,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::{access, query::StreamQuery, standing::reason_to_end, target::STREAMS};
use crate::{
    auth::{Principal, SessionGuard},
    catalog::{Catalog, Selection, StreamName},
    client::{CandidateAddrs, ClientAddr, ClientKey},
    drain::DrainGuard,
    http::{
        delivery::{
            accounting::{StreamAccounting, StreamInfo},
            body::response_body,
            evict::EvictHandle,
            expiry::Expiry,
            handle::ConnHandle,
            handoff::HandoffSlot,
            state_machine::{Delivery, DeliveryConfig},
        },
        error::Error,
        gateway::Gateway,
        json::JSON,
        open_streams::{OpenStream, OpenStreamGuard},
        server::conn::MAX_PIPELINED_BYTES,
    },
    limits::{Evictable, Permit, RequestPrincipal, StreamRequest},
    metrics::{COMPOSITE, ConnectedClientGuard, StartPoint},
    subscription::{BatchSource, BoundedRead, ContentCoding, EventFormat, LaneSubscriber, SubscribeRequest},
};

/// Answers with an endless body, or with an error before the first byte. Only the gap check of `?on_gap=fail` waits for Kafka.
pub(in crate::http) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(address): Extension<ClientAddr>,
    candidates: Option<Extension<CandidateAddrs>>,
    Extension(client): Extension<ClientKey>,
    Extension(handle): Extension<ConnHandle>,
    head: Parts,
    request_body: Body,
) -> Result<Response, Error> {
    let catalog = gateway.catalog.get();
    let selection = select(&catalog, head.uri.path())?;
    let principal = access::principal_of(&head.extensions);
    // Before anything else is read: errors further down name topics and fields.
    let filter = access::check(&catalog, principal, &selection)?;
    let now = jiff::Timestamp::now().as_millisecond();
    // From the same moment: what follows may wait for seconds, and the stream must not end later for that.
    let expiry = principal.and_then(|principal| Expiry::of(principal, now));
    let read = || StreamQuery::read(&head.headers, &head.uri, &selection, filter, now);
    if head.method == Method::HEAD {
        return read().map(|query| answer_head(&query));
    }
    // Admission comes before anything that a stranger can make slow. Until the accounting has the permit, every return drops it.
    let evict_handle = EvictHandle::new(handle.downgrade(), gateway.settings.heartbeat);
    let evictable: Weak<dyn Evictable> = Arc::downgrade(&evict_handle) as _;
    let permit = {
        let request = stream_request(address, candidates, principal, &selection);
        gateway.admission.admit(&request, &evictable)?
    };
    let open = register(&gateway, &catalog, principal, &selection, &evictable);
    let session = access::open_session(&gateway, &catalog, principal, &selection, evictable)?;
    let query = read()?;
    if query.is_over {
        return Ok(over());
    }
    discard(request_body).await?;
    let may_meet_end = query.may_meet_end;
    let (start, checkpoint) = (query.start(), query.checkpoint.filter(|_| query.may_lack_id()));
    let (config, coding) = (delivery_config(&gateway, &query), query.view.coding);
    let mut source = StreamSource::open(&gateway, query, client, now)?;
    if config.ends_at_gap {
        resume_verdict(&mut source).await?;
    }
    let streams = &selection.streams;
    let accounting = open_accounting(&gateway, client, streams, start, session, permit, evict_handle);
    let accounting = accounting.with_open(open);
    let opening = StreamOpening {
        config,
        coding,
        expiry,
        checkpoint,
        may_meet_end,
        drain_guard: gateway.drain.guard(),
        accounting,
        handle,
        slot: head.extensions.get::<Arc<HandoffSlot>>().cloned(),
    };
    let mut response = respond(config.format, coding, opening.body(source));
    if head.version == Version::HTTP_10 {
        // The body ends with the connection, even if the client asked to keep it: hyper would keep it open for another version.
        *response.version_mut() = Version::HTTP_10;
    }
    Ok(response)
}

/// Returns the answer to a HEAD of the stream that `query` asks for.
fn answer_head(query: &StreamQuery) -> Response {
    match query.is_over {
        true => over(),
        false => respond(query.view.format, query.view.coding, endless()),
    }
}

fn delivery_config(gateway: &Gateway, query: &StreamQuery) -> DeliveryConfig {
    DeliveryConfig {
        format: query.view.format,
        heartbeat: gateway.settings.heartbeat,
        hold_limit: gateway.settings.hold_limit,
        ends_at_gap: query.fails_on_gap,
    }
}

/// Where the events of a stream come from.
enum StreamSource {
    Lane(LaneSubscriber),
    /// A read with an end.
    Bounded(Box<BoundedRead>),
}

impl StreamSource {
    /// Begins to read what `query` asks for.
    fn open(gateway: &Gateway, query: StreamQuery, client: ClientKey, now: i64) -> Result<Self, Error> {
        let request = SubscribeRequest {
            topics: query.topics,
            position: query.position,
            ranges: query.ranges,
            since: query.since,
            view: query.view,
            client,
            now,
        };
        Ok(match query.bounds {
            None => Self::Lane(gateway.lanes.subscribe(request)?),
            Some(bounds) => Self::Bounded(Box::new(gateway.lanes.read_bounded(request, bounds)?)),
        })
    }
}

/// What a stream has beside its source.
struct StreamOpening {
    config: DeliveryConfig,
    coding: ContentCoding,
    expiry: Option<Expiry>,
    /// After how long without an event the client gets a checkpoint.
    checkpoint: Option<Duration>,
    /// Whether the client can meet an `event: end`.
    may_meet_end: bool,
    drain_guard: DrainGuard,
    accounting: StreamAccounting,
    handle: ConnHandle,
    slot: Option<Arc<HandoffSlot>>,
}

impl StreamOpening {
    /// Returns the body of a stream with the events of `source`.
    fn body(self, source: StreamSource) -> Body {
        match source {
            StreamSource::Lane(subscriber) => self.body_of(subscriber),
            StreamSource::Bounded(read) => self.body_of(*read),
        }
    }

    fn body_of<S: BatchSource + Unpin + Send + 'static>(self, source: S) -> Body {
        let delivery = Delivery::new(source, self.config, self.drain_guard, self.accounting)
            .with_coding(self.coding)
            .with_expiry(self.expiry)
            .with_checkpoint_after(self.checkpoint)
            .with_end_told(self.may_meet_end);
        response_body(delivery, self.handle, self.slot)
    }
}

/// Returns the answer to a client that asks for a read again which has ended. The status ends an `EventSource` for good (HTML
/// standard, section 9.2.3).
fn over() -> Response {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response()
}

/// Reads and discards the request's body for up to [`BODY_TIMEOUT`]. A client that sends too much gets an error, instead of a
/// stream that ends for it, after which the client would come back with as much. What comes later is discarded as it comes.
///
/// # Errors
/// 413 if the body is longer than [`MAX_PIPELINED_BYTES`].
async fn discard(mut request_body: Body) -> Result<(), Error> {
    let mut length = 0;
    let all = async {
        while let Some(Ok(frame)) = request_body.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > MAX_PIPELINED_BYTES {
                return Err(Error::BodyTooLarge(MAX_PIPELINED_BYTES));
            }
        }
        Ok(())
    };
    timeout(BODY_TIMEOUT, all).await.unwrap_or(Ok(()))
}

/// Returns the body of a response to HEAD. It is never polled, and has no known length, as the body for GET. An empty body would
/// be announced as `content-length: 0`.
fn endless() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>())
}

/// Returns the streams that the path names.
fn select(catalog: &Catalog, path: &str) -> Result<Selection, Error> {
    let names = decode(path.strip_prefix(STREAMS).unwrap_or_default())?;
    Ok(catalog.select(&names)?)
}

/// Adds a stream to the open ones. A reload that was not told of it, because it came in between, ends it here if it has to.
fn register(
    gateway: &Gateway,
    catalog: &Arc<Catalog>,
    principal: Option<&Arc<Principal>>,
    selection: &Selection,
    stream: &Weak<dyn Evictable>,
) -> OpenStreamGuard {
    let open = || OpenStream {
        names: selection.streams.as_slice().into(),
        principal: principal.cloned(),
        stream: Weak::clone(stream),
    };
    let guard = gateway.open_streams.add(open());
    if !gateway.catalog.is(catalog)
        && let Some(why) = reason_to_end(catalog, &gateway.catalog.get(), &open())
        && let Some(stream) = stream.upgrade()
    {
        stream.evict(why);
    }
    guard
}

/// Percent-decodes strictly: `%ZZ` is an error, not a name.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    let mut escapes = text.as_bytes().split(|byte| *byte == b'%').skip(1);
    if !escapes.all(|behind| behind.len() >= 2 && behind[..2].iter().all(is_hex)) {
        return Err(Error::BadPath);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| Error::BadPath)
}

fn stream_request(
    client: ClientAddr,
    candidates: Option<Extension<CandidateAddrs>>,
    principal: Option<&Arc<Principal>>,
    selection: &Selection,
) -> StreamRequest {
    let names = selection.streams.iter().map(StreamName::to_shared);
    StreamRequest {
        client,
        candidates: candidates.map(|Extension(it)| it).unwrap_or_default(),
        principal: principal.map(|principal| RequestPrincipal {
            key: ClientKey::of_principal(principal.id()),
            name: Arc::new(principal.to_string()),
            streams: principal.limits.streams,
        }),
        names: names.collect(),
    }
}

/// Begins to account for a stream: in limits, metrics and the log.
fn open_accounting(
    gateway: &Gateway,
    client: ClientKey,
    streams: &[StreamName],
    start: StartPoint,
    session: Option<SessionGuard>,
    permit: Permit,
    evict_handle: Arc<EvictHandle>,
) -> StreamAccounting {
    let label = label(streams);
    let info = StreamInfo {
        client,
        principal: session.as_ref().map(|session| Arc::clone(session.principal())),
        streams: names(streams),
        start,
        log_limiter: Arc::clone(&gateway.admission.client_log),
    };
    StreamAccounting::open(info, gateway.metrics.stream(&label), permit, evict_handle)
        .with_session(session)
        .with_connected(connected(gateway, &label, streams))
}

fn names(streams: &[StreamName]) -> Arc<str> {
    match streams {
        [stream] => stream.to_shared(),
        streams => {
            let names: Vec<_> = streams.iter().map(StreamName::as_str).collect();
            names.join(",").into()
        }
    }
}

fn label(streams: &[StreamName]) -> String {
    match streams {
        [stream] => stream.to_string(),
        _ => COMPOSITE.to_owned(),
    }
}

/// Counts the client in the metrics of EventStreams, if these are asked for.
fn connected(gateway: &Gateway, label: &str, streams: &[StreamName]) -> Option<ConnectedClientGuard> {
    let metrics = gateway.metrics.eventstreams.as_ref()?;
    Some(metrics.client(label, streams.iter().map(StreamName::as_str)))
}

/// Waits until it is known whether the position can be resumed without a gap.
///
/// # Errors
/// 410 if it cannot, 503 if it is not known within [`VERDICT_TIMEOUT`].
async fn resume_verdict(source: &mut StreamSource) -> Result<(), Error> {
    let verdict = poll_fn(|context| match source {
        StreamSource::Lane(subscriber) => subscriber.poll_gap_check(context),
        StreamSource::Bounded(read) => read.poll_gap_check(context),
    });
    let verdict = timeout(VERDICT_TIMEOUT, verdict).await;
    let undetermined = Error::Undetermined {
        retry_after: VERDICT_TIMEOUT,
    };
    verdict.map_err(|_| undetermined)?.map_err(Error::Gap)
}

fn respond(format: EventFormat, coding: ContentCoding, body: Body) -> Response {
    let content_type = match format {
        EventFormat::Sse => "text/event-stream; charset=utf-8",
        EventFormat::Ndjson => JSON,
    };
    let headers = [
        // The first header, and in lower case. Without the charset a client guesses another one, and one client compares only the
        // start of the value.
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // Without this nginx would hold events back until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (header::VARY, "Accept"),
    ];
    let mut response = (headers, body).into_response();
    if coding == ContentCoding::Gzip {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    response
}

/// How long a client has to send the body of its request, which comes right behind the head or never.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client with `?on_gap=fail` waits for its head. The check depends on requests to brokers, each of which is answered
/// or given up within a few seconds. With a longer timeout a proxy in between might give up first.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(5);
