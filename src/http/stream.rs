//! `GET /v2/stream/{streams}`: the story of a request, up to its body.

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
use http::{HeaderName, HeaderValue, Method, Version, header, request::Parts};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{
    Gateway,
    accept::format_of,
    account::{Account, Opening},
    carrier::Carrier,
    checkpoint,
    delivery::{Delivery, Terms},
    error::Error,
    exit::Exit,
    front::STREAMS,
    http1::PIPELINED,
    json::JSON,
    question::Question,
    settings::Settings,
};
use crate::{
    catalog::{Selection, StreamName, unescaped},
    client::{ClientAddr, ClientKey, Named},
    limits::{OpenStream, Wish},
    metrics::{COMPOSITE, StartPlace},
    subscription::{Coding, Follower, Format, Request},
};

/// Answers with an endless body, or says before the first byte why not. Nothing here waits for Kafka, but for the verdict
/// of `?on_gap=fail`.
pub(super) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(address): Extension<ClientAddr>,
    named: Option<Extension<Named>>,
    Extension(client): Extension<ClientKey>,
    Extension(carrier): Extension<Carrier>,
    head: Parts,
    sent: Body,
) -> Result<Response, Error> {
    let Parts {
        method,
        uri,
        headers,
        version,
        ..
    } = head;
    let selection = select(&gateway, uri.path())?;
    let format = format_of(&headers);
    let now = jiff::Timestamp::now().as_millisecond();
    let read = || {
        let question = Question::read(&headers, &uri, &selection, now)?;
        let first_id = checkpoint::wait(question.checkpoint, &headers, format)?;
        Ok::<_, Error>((question, first_id))
    };
    if method == Method::HEAD {
        return read().map(|(question, _)| respond(format, question.coding, endless()));
    }
    // Before anything that a stranger can make long. Until the account has it, every way out of here gives it back.
    let exit = Exit::new(&carrier, gateway.settings.heartbeat);
    let permit = gateway
        .admission
        .admit(&wish(address, named, &selection), &watched(&exit))?;
    let (question, first_id) = read()?;
    discard(sent).await?;
    let (start, fails_on_gap, coding) = (question.start(), question.fails_on_gap, question.coding);
    let (streams, label) = (names(&selection), label(&selection));
    let request = request(selection, question, format, client, now);
    let mut follower = gateway.lanes.follow(request)?;
    if fails_on_gap {
        verdict(&mut follower).await?;
    }
    let opening = Opening {
        client,
        streams,
        start,
        lines: Arc::clone(&gateway.admission.client_lines),
    };
    let account = Account::open(opening, gateway.metrics.stream(&label), permit, exit);
    let terms = terms(&gateway.settings, format, fails_on_gap);
    let first_id = first_id.filter(|_| start == StartPlace::Live);
    let delivery = Delivery::new(follower, terms, gateway.drain.ticket(), account)
        .coded(coding)
        .told_within(first_id);
    let mut response = respond(format, coding, carrier.carry(delivery));
    if version == Version::HTTP_10 {
        // Its end is that of the connection, whatever the client would rather: hyper would keep an answer of another version.
        *response.version_mut() = Version::HTTP_10;
    }
    Ok(response)
}

/// Reads what was sent with the request, for a moment, so that whoever sends too much is told, and does not come back with as
/// much when its stream ends for that. What comes later is thrown away as it comes.
async fn discard(mut sent: Body) -> Result<(), Error> {
    let mut length = 0;
    let all = async {
        while let Some(Ok(frame)) = sent.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > PIPELINED {
                return Err(Error::BodyTooLarge(PIPELINED));
            }
        }
        Ok(())
    };
    timeout(SENT, all).await.unwrap_or(Ok(()))
}

/// What a HEAD is answered with: never polled, and of no known length, as the body of a GET. An empty one would be announced
/// as `content-length: 0`.
fn endless() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>())
}

fn select(gateway: &Gateway, path: &str) -> Result<Selection, Error> {
    let names = decode(path.strip_prefix(STREAMS).unwrap_or_default())?;
    Ok(gateway.catalog.select(&names)?)
}

/// Percent-decodes strictly: `%ZZ` is a mistake, not a name.
fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    let mut escapes = text.as_bytes().split(|byte| *byte == b'%').skip(1);
    if !escapes.all(|behind| behind.len() >= 2 && behind[..2].iter().all(is_hex)) {
        return Err(Error::BadPath);
    }
    let names = String::from_utf8(unescaped(text, b'+'));
    names.map(Cow::Owned).map_err(|_| Error::BadPath)
}

fn wish(client: ClientAddr, named: Option<Extension<Named>>, selection: &Selection) -> Wish {
    let names = selection.streams.iter().map(StreamName::to_shared);
    Wish {
        client,
        named: named.map(|Extension(named)| named).unwrap_or_default(),
        names: names.collect(),
    }
}

fn watched(exit: &Arc<Exit>) -> Weak<dyn OpenStream> {
    Arc::downgrade(exit) as _
}

fn names(selection: &Selection) -> Arc<str> {
    match selection.streams.as_slice() {
        [stream] => stream.to_shared(),
        streams => {
            let names: Vec<_> = streams.iter().map(ToString::to_string).collect();
            names.join(",").into()
        }
    }
}

fn label(selection: &Selection) -> String {
    match selection.streams.as_slice() {
        [stream] => stream.to_string(),
        _ => COMPOSITE.to_owned(),
    }
}

fn request(selection: Selection, question: Question, format: Format, client: ClientKey, now: i64) -> Request {
    Request {
        topics: selection.topics,
        position: question.position,
        since: question.since,
        form: question.form,
        format,
        coding: question.coding,
        shows_canaries: question.shows_canaries,
        filter: question.filter,
        client,
        now,
    }
}

fn terms(settings: &Settings, format: Format, ends_at_gap: bool) -> Terms {
    Terms {
        format,
        heartbeat: settings.heartbeat,
        hold_limit: settings.hold_limit,
        ends_at_gap,
    }
}

/// Waits until it is known whether the position can be resumed without a gap.
async fn verdict(follower: &mut Follower) -> Result<(), Error> {
    match timeout(VERDICT, poll_fn(|context| follower.poll_verdict(context))).await {
        Ok(verdict) => verdict.map_err(Error::Gap),
        Err(_) => Err(Error::Undetermined { retry_after: VERDICT }),
    }
}

fn respond(format: Format, coding: Coding, body: Body) -> Response {
    let content_type = match format {
        Format::Sse => "text/event-stream; charset=utf-8",
        Format::Ndjson => JSON,
    };
    let headers = [
        // The first, and in lower case: a client guesses another charset without it, and one only looks at its start.
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // nginx would hold events back until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (header::VARY, "Accept"),
    ];
    let mut response = (headers, body).into_response();
    if coding == Coding::Gzip {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    response
}

/// How long a client has to send what it sends with its request: it comes right behind the head, or never.
const SENT: Duration = Duration::from_secs(1);

/// How long a client that wants no gap waits for its head. Behind it lie questions to brokers, each of which is answered
/// or given up within a few seconds; longer than this a proxy in between may give up first.
const VERDICT: Duration = Duration::from_secs(5);
