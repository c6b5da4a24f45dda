//! A request as text, and a gateway in this process that answers it.

use std::{io::Write, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use axum::body::Body;
use flate2::write::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use riverhead::{
    catalog::{Catalog, Stream, StreamName},
    client::TrustedNetworks,
    discovery::Discovery,
    drain::{self, DrainSignal},
    health::{Health, Readiness},
    http::{
        self as own, AdminCommands, ClusterSwitch, ConfigReport, SwitchError, Switched,
        fuzzing::Listeners,
        settings::{AdminSettings, HttpSettings},
    },
    limits::{Admission, settings::LimitSettings},
    metrics::{self, HttpMetrics, LimitMetrics},
    partition::MemorySettings,
    sse::{SseMessage, SseReader},
    subscription::Lanes,
};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::model::{ModelFixture, TOPIC};

/// The token of commands.
pub const TOKEN: &str = "the-token-of-the-target";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Public,
    Admin,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Case {
    pub listener: Listener,
    version: Version,
    peer: SocketAddr,
    /// Which of the sent ids is tried.
    pub tried: u8,
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Case {
    /// Parses the case; `None` for a request that no server passes to its router.
    pub fn read(input: &[u8]) -> Option<Self> {
        let [choice, tried, text @ ..] = input else {
            return None;
        };
        let end = text.windows(2).position(|two| two == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&text[..end], &text[end + 2..]),
            None => (text, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
        let method = Method::from_bytes(first.next()?).ok()?;
        let uri = Uri::try_from(first.next()?).ok()?;
        let mut headers = HeaderMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(
                name,
                HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?,
            );
        }
        let bit = |bit: u8| choice & (1 << bit) != 0;
        Some(Self {
            listener: if bit(0) { Listener::Admin } else { Listener::Public },
            version: match (bit(1), bit(2)) {
                (false, _) => Version::HTTP_11,
                (true, false) => Version::HTTP_10,
                (true, true) => Version::HTTP_2,
            },
            peer: match (bit(3), bit(4)) {
                (false, _) => ([10, 0, 0, 1], 4711),
                (true, false) => ([198, 51, 100, 7], 4711),
                (true, true) => (DENIED, 4711),
            }
            .into(),
            tried: *tried,
            method,
            uri,
            headers,
            body: body.to_vec(),
        })
    }

    /// Returns whether it comes from a denied peer.
    pub fn is_from_denied(&self) -> bool {
        self.peer.ip() == SocketAddr::from((DENIED, 0)).ip()
    }

    /// Returns whether its query contains this text.
    pub fn mentions(&self, text: &str) -> bool {
        let query = self.uri.query().unwrap_or_default();
        let decoded = form_urlencoded::parse(query.as_bytes());
        decoded.into_iter().any(|(name, _)| name.contains(text))
    }

    fn request(&self, headers: HeaderMap) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        request
    }
}

const DENIED: [u8; 4] = [192, 0, 2, 66];

/// A gateway over two partitions of some sixty records. The first of them are deleted, some are canaries, and
/// some are tombstones.
pub struct Gateway {
    pub fixture: ModelFixture,
    listeners: Listeners,
    _signal: DrainSignal,
}

impl Gateway {
    pub fn new() -> Self {
        let fixture = fixture();
        let mut registry = metrics::registry();
        let readiness = Readiness::new();
        readiness.set();
        let (signal, drain) = drain::channel();
        let settings = HttpSettings {
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            ..HttpSettings::default()
        };
        let gateway = own::Gateway {
            catalog: catalog().into(),
            open_streams: Default::default(),
            lanes: Lanes::new(fixture.source.clone(), 16 * 1024 * 1024, TaskTracker::new()),
            discovery: Discovery::new(
                Arc::clone(&fixture.source.directory),
                Arc::clone(&fixture.source.history),
            ),
            trusted: TrustedNetworks::new(&settings.trusted_proxies),
            settings,
            admission: Arc::new(Admission::new(&limits(), LimitMetrics::register(&mut registry))),
            commands: commands(),
            auth: None,
            readiness,
            health: Health::new(),
            metrics: HttpMetrics::register(&mut registry),
            registry: Arc::new(registry),
            config_report: ConfigReport::default(),
            budgets: MemorySettings::default(),
            drain,
        };
        Self {
            fixture,
            listeners: Listeners::new(gateway),
            _signal: signal,
        }
    }

    /// Answers the case, with these headers instead of its own.
    pub async fn answer(&self, case: &Case, headers: HeaderMap) -> Answer {
        let request = case.request(headers);
        let response = match case.listener {
            Listener::Public => self.listeners.public(request, case.peer).await,
            Listener::Admin => self.listeners.admin(request, case.peer).await,
        };
        let (parts, body) = response.expect("descriptors").into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}

fn fixture() -> ModelFixture {
    let fixture = ModelFixture::new(2);
    let mut brokers = fixture.model.lock();
    brokers.canary_every = Some(13);
    brokers.produce(0, 20);
    brokers.produce(1, 20);
    brokers.quiet = true;
    brokers.produce(0, 3);
    brokers.quiet = false;
    brokers.produce(0, 8);
    drop(brokers);
    fixture.expire(0, 20);
    // The tail starts late, so everything older is history.
    for partition in [0, 1] {
        fixture.tail_lags(partition);
        fixture.write(partition, 5);
    }
    fixture
}

fn catalog() -> Catalog {
    let mut edits = Stream::new("edits", [TOPIC]);
    edits.aliases.push("changes".into());
    edits.filter_fields = ["n", "meta.wiki"].map(Into::into).to_vec();
    edits.former_topics.push("old".into());
    let both = Stream::new("both", [TOPIC, "absent"]);
    let nothing = Stream::new("nothing", ["absent"]);
    Catalog::new(vec![edits, both, nothing]).expect("a catalog")
}

/// Returns limits that deny some clients, and that no client reaches otherwise.
fn limits() -> LimitSettings {
    let plenty = const { NonZeroU32::new(1_000_000).expect("more than zero") };
    LimitSettings {
        streams_per_client: plenty,
        streams_total: plenty,
        requests_per_minute: plenty,
        request_burst: plenty,
        deny: vec!["192.0.2.0/24".parse().expect("a network")],
        ..LimitSettings::default()
    }
}

fn commands() -> AdminCommands {
    let settings = AdminSettings {
        token: Some(TOKEN.parse().expect("a token")),
        hosts: vec!["admin.example".parse().expect("a name")],
        ..AdminSettings::default()
    };
    AdminCommands::new(&settings, Arc::new(Pretended))
}

/// Accepts every command.
struct Pretended;

impl ClusterSwitch for Pretended {
    fn activate_cluster(&self, stream: &StreamName, cluster: &str, _force: bool) -> Result<Switched, SwitchError> {
        Ok(Switched {
            streams: vec![stream.to_string()],
            from: "a".into(),
            to: cluster.into(),
        })
    }
}

/// The head of a response, and what follows it.
pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    /// Returns a header that may occur once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().expect("text");
        assert!(values.next().is_none(), "{name} is there twice");
        Some(value)
    }

    /// Returns whether the body has no end.
    pub fn is_stream(&self) -> bool {
        self.headers.contains_key("x-accel-buffering")
    }

    /// Returns a whole body that ends.
    pub async fn all(self) -> Vec<u8> {
        self.body.collect().await.expect("a body").to_bytes().to_vec()
    }

    /// Returns the endless body.
    pub fn stream(self) -> Following {
        let is_packed = self.headers.contains_key("content-encoding");
        Following {
            body: self.body,
            text: match is_packed {
                true => Text::Packed(GzDecoder::new(Vec::new())),
                false => Text::Plain(Vec::new()),
            },
            ended: false,
        }
    }
}

/// An endless body, as far as it was read.
pub struct Following {
    body: Body,
    text: Text,
    ended: bool,
}

enum Text {
    Plain(Vec<u8>),
    Packed(GzDecoder<Vec<u8>>),
}

impl Following {
    /// Reads what arrives within [`PATIENCE`].
    pub async fn read(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(frame) = timeout_at(deadline, self.body.frame()).await {
            let Some(frame) = frame else {
                self.ended = true;
                break;
            };
            let frame = frame.expect("no error").into_data().expect("data");
            match &mut self.text {
                Text::Plain(text) => text.extend_from_slice(&frame),
                Text::Packed(decoder) => {
                    decoder.write_all(&frame).expect("gzip");
                    decoder.flush().expect("gzip");
                }
            }
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.text {
            Text::Plain(text) => text,
            Text::Packed(decoder) => decoder.get_ref(),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    pub fn messages(&self) -> Vec<SseMessage> {
        let mut reader = SseReader::new(usize::MAX);
        reader.push(self.bytes()).expect("no limit");
        std::iter::from_fn(|| reader.next_message()).collect()
    }
}

/// Longer than the model's history takes in total, and than two heartbeats. It takes no real time.
const PATIENCE: Duration = Duration::from_secs(40);
