//! Readers that connect, are cut anywhere, and reconnect, for as long as the run lasts.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};

use super::{
    form::{FORMS, Form, Parser},
    history::RecentObservations,
    judge::{ReaderChecker, RecordSelection},
    note::{Observation, ObservationKind, ObservationLog},
    stage::STREAMS,
};
use crate::{ask::Ask, http2::Http2, response::Response, scenarios::runtime};

/// All readers of a run. Dropping it ends them.
pub(super) struct Readers {
    pub(super) all: Vec<Reader>,
    /// While it is set, no reader is cut, and no reader is slow.
    calm: Arc<AtomicBool>,
    _runtime: Runtime,
}

/// A reader, as the checker sees it.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) notes: ObservationLog,
    pub(super) judge: ReaderChecker,
    pub(super) history: RecentObservations,
}

/// A reader, as its task runs it.
struct Life {
    server: SocketAddr,
    form: Form,
    streams: String,
    notes: ObservationLog,
    calm: Arc<AtomicBool>,
    clock: Instant,
    rng: Rng,
    last_id: Option<String>,
}

/// The body of a response.
enum Body {
    Http1(Response),
    Http2(Http2),
}

impl Readers {
    /// Starts this many readers, of each form in turn and of various streams.
    pub(super) fn start(count: usize, server: SocketAddr, clock: Instant, rng: &mut Rng) -> Self {
        let (runtime, calm) = (runtime(), Arc::new(AtomicBool::new(false)));
        let choices = choices();
        let all = (0..count).map(|index| {
            let form = FORMS[index % FORMS.len()];
            let (streams, topics) = &choices[(index + index / FORMS.len()) % choices.len()];
            let notes = ObservationLog::default();
            let life = Life {
                server,
                form,
                streams: streams.clone(),
                notes: notes.clone(),
                calm: Arc::clone(&calm),
                clock,
                rng: rng.fork(),
                last_id: None,
            };
            runtime.spawn(life.live());
            let numbers = form.wants();
            let topics = topics.clone();
            Reader {
                name: format!("{index}: {}, of {streams}", form.name),
                notes,
                judge: ReaderChecker::new(RecordSelection { topics, numbers }),
                history: RecentObservations::default(),
            }
        });
        Self {
            all: all.collect(),
            calm,
            _runtime: runtime,
        }
    }

    /// Sets whether readers are cut.
    pub(super) fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Relaxed);
    }
}

/// Returns what a reader can request: the names of streams, and their topics.
fn choices() -> Vec<(String, Vec<usize>)> {
    let mut all: Vec<_> = STREAMS
        .iter()
        .map(|(name, topics)| ((*name).to_owned(), topics.to_vec()))
        .collect();
    let names: Vec<_> = STREAMS.iter().map(|(name, _)| *name).collect();
    let mut topics: Vec<_> = STREAMS.iter().flat_map(|(_, topics)| topics.to_vec()).collect();
    topics.sort_unstable();
    topics.dedup();
    all.push((names.join(","), topics));
    all
}

impl Life {
    async fn live(mut self) {
        loop {
            let last_id = self.last_id.clone();
            let ask = self.form.ask(&self.streams, last_id.clone());
            match self.connect(&ask).await {
                Ok((200, response)) => {
                    let resumes = last_id.is_some();
                    self.note([ObservationKind::Began { resumes }]);
                    self.read(response).await;
                    self.note([ObservationKind::Ended]);
                    self.pause().await;
                }
                // A reader that was admitted before must not be refused, whatever happened. A gateway that
                // ends may answer 503.
                Ok((status, _)) if status != 503 => {
                    self.note([ObservationKind::Strange(format!(
                        "refused: {status}, with the id {last_id:?}"
                    ))]);
                    sleep(REFUSED).await;
                }
                _ => sleep(RECONNECT).await,
            }
        }
    }

    async fn connect(&self, ask: &Ask) -> io::Result<(u16, Body)> {
        if self.form.http2 {
            let response = Http2::connect(self.server, ask).await?;
            Ok((response.status, Body::Http2(response)))
        } else {
            let response = Response::connect(self.server, ask).await?;
            Ok((response.status, Body::Http1(response)))
        }
    }

    /// Reads until the response ends or breaks, or until the reader is to be cut, also inside an event.
    async fn read(&mut self, mut body: Body) {
        let mut parser = self.form.parser();
        let cut = Instant::now() + LONGEST_LIFE.mul_f64(self.rng.f64());
        while self.is_calm() || Instant::now() < cut {
            let mut bytes = Vec::new();
            let limit = if self.is_slow() { SLOW } else { usize::MAX };
            match timeout(LOOK, body.read(limit, &mut bytes)).await {
                Ok(Ok(0) | Err(_)) => return,
                Err(_) => {}
                Ok(Ok(_)) => {
                    if let Err(error) = self.take(&mut parser, &bytes) {
                        return self.note([ObservationKind::Strange(error.to_string())]);
                    }
                    if body.ended() {
                        return;
                    }
                }
            }
            if self.is_slow() {
                sleep(SLOWLY).await;
            }
        }
    }

    fn take(&mut self, parser: &mut Parser, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        let taken = parser.push(bytes, &mut out);
        if let Some(id) = parser.last_id.take() {
            self.last_id = Some(id);
        }
        self.note(out);
        taken
    }

    async fn pause(&mut self) {
        if !self.is_calm() {
            sleep(LONGEST_PAUSE.mul_f64(self.rng.f64().powi(3))).await;
        }
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Relaxed)
    }

    fn is_slow(&self) -> bool {
        self.form.slow && !self.is_calm()
    }

    fn note(&self, what: impl IntoIterator<Item = ObservationKind>) {
        let at = self.clock.elapsed();
        self.notes
            .add(what.into_iter().map(|what| Observation { at, what }));
    }
}

impl Body {
    async fn read(&mut self, limit: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Http1(response) => response.read(limit, out).await,
            Self::Http2(response) => response.read(out).await,
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::Http1(response) => response.ended(),
            Self::Http2(response) => response.ended(),
        }
    }
}

/// A reader is cut within this time.
const LONGEST_LIFE: Duration = Duration::from_secs(20);

/// The longest pause after a cut. Most are much shorter.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The pause between attempts while no gateway accepts connections.
const RECONNECT: Duration = Duration::from_millis(100);

/// The pause after a refusal, which is a violation and is recorded each time.
const REFUSED: Duration = Duration::from_secs(1);

/// The time after which a reader without events checks whether it is to be cut.
const LOOK: Duration = Duration::from_millis(200);

/// The bytes that a slow reader reads at a time, and the pause after that: a fifth of the rate at which its
/// records are written.
const SLOW: usize = 1024;
const SLOWLY: Duration = Duration::from_millis(50);
