//! The streams of `[stream_config]`: when the document with them is read, and what of it is served.
//!
//! What was read last stays when the document cannot be read, for as long as that lasts and over restarts.
//!
//! Not here: reading the document (`stream_document`), and putting its streams in force (`reload`).

mod kept;
mod told;

use std::{path::Path, time::Duration};

use tokio::{
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::stream_document::DocumentReader;
use crate::{
    config::{Config, MergedStreams, StreamConfigSettings, StreamDocument, StreamEntries, StreamFault},
    health::Health,
    metrics::Registry,
};
use kept::KeptStreams;
use told::Told;

/// The streams of `[stream_config]`.
pub(super) struct StreamConfig {
    settings: Option<StreamConfigSettings>,
    reader: DocumentReader,
    kept: KeptStreams,
    /// The document that was read last.
    document: Option<StreamDocument>,
    /// What of it is served, and what was before where it has faults.
    served: StreamEntries,
    /// The next reading, once it has begun.
    reading: Option<AbortOnDropHandle<Result<StreamDocument, String>>>,
    /// When it begins.
    due: Instant,
    told: Told,
}

/// The result of a reading.
pub(super) type Reading = Result<StreamDocument, ReadError>;

/// Why there is no document.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It takes longer than anybody waits for it.
    #[error("no answer within {WAIT:?}")]
    Late,
    /// It cannot be read, or cannot be used.
    #[error("{0}")]
    Failed(String),
}

/// A configuration with the streams of a document, and what is known of these.
pub(super) struct WithStreams {
    /// The configuration with all streams.
    pub(super) config: Config,
    /// `None` if there is no document to be read.
    reading: Option<Reading>,
    entries: StreamEntries,
    faults: Vec<StreamFault>,
}

impl WithStreams {
    /// Adds the streams of a document to `config`, or those of `served` where there is none. Takes a part of a second.
    pub(super) fn new(config: Config, reading: Option<Reading>, served: &StreamEntries) -> Self {
        let entries = match (&reading, &config.stream_config) {
            (Some(Ok(document)), _) => document.entries.clone(),
            (_, Some(settings)) => settings.allowed_of(served),
            (_, None) => StreamEntries::default(),
        };
        let MergedStreams {
            config,
            entries,
            faults,
        } = config.with_streams_of(&entries, served);
        Self {
            config,
            reading,
            entries,
            faults,
        }
    }
}

impl StreamConfig {
    /// Reads the streams of `config` and adds them to it. Waits for them for [`WAIT`] at most: then those are added that were read
    /// before the restart.
    pub(super) async fn start(config: &mut Config) -> Self {
        let mut own = Self::new(config.state.directory.as_deref());
        if let Some(settings) = &config.stream_config {
            own.served = own.kept.read(&settings.origin()).unwrap_or_default();
            let reading = own.read_soon(settings).await;
            let all = WithStreams::new(config.clone(), Some(reading), &own.served);
            *config = all.config.clone();
            own.applied(all).await;
        }
        own
    }

    /// Tells health and metrics of what there is, from now on.
    pub(super) fn report_to(&mut self, health: &Health, registry: &mut Registry) {
        self.told.report_to(health, registry);
    }

    fn new(state: Option<&Path>) -> Self {
        Self {
            settings: None,
            reader: DocumentReader::default(),
            kept: KeptStreams::new(state),
            document: None,
            served: StreamEntries::default(),
            reading: None,
            due: Instant::now(),
            told: Told::default(),
        }
    }

    /// Reads the document of these settings. Does not wait for long.
    pub(super) async fn read_soon(&self, settings: &StreamConfigSettings) -> Reading {
        let read = self.begin(settings);
        match timeout(WAIT, read).await {
            Ok(read) => finished(read),
            Err(_) => Err(ReadError::Late),
        }
    }

    /// Waits until the document was read again, or could not be. Does not return without a section. Nothing is lost if it is not awaited
    /// to its end.
    pub(super) async fn read_when_due(&mut self) -> Reading {
        let Some(settings) = self.settings.clone() else {
            return std::future::pending().await;
        };
        if self.reading.is_none() {
            sleep_until(self.due).await;
            self.reading = Some(self.begin(&settings));
        }
        let Some(reading) = &mut self.reading else {
            return std::future::pending().await;
        };
        let read = reading.await;
        self.reading = None;
        self.due = Instant::now() + settings.refresh;
        finished(read)
    }

    fn begin(&self, settings: &StreamConfigSettings) -> AbortOnDropHandle<Result<StreamDocument, String>> {
        AbortOnDropHandle::new(tokio::spawn(self.reader.clone().read(settings.clone())))
    }

    /// Returns what is served.
    pub(super) fn served(&self) -> StreamEntries {
        self.served.clone()
    }

    /// Whether a document has other streams than the one that was read last.
    pub(super) fn is_changed_by(&self, document: &StreamDocument) -> bool {
        let before = self.document.as_ref();
        before.is_none_or(|before| before.entries != document.entries)
    }

    /// Records that the document is as it was.
    pub(super) fn unchanged(&mut self, document: StreamDocument) {
        self.told.read(document.left_out.clone());
        self.document = Some(document);
    }

    /// Records that the streams of a document are in force, and keeps them for the next process.
    pub(super) async fn applied(&mut self, all: WithStreams) {
        self.reading = None;
        let origin = self.settings.as_ref().map(StreamConfigSettings::origin);
        self.settings = all.config.stream_config;
        let (Some(settings), Some(reading)) = (&self.settings, all.reading) else {
            (self.document, self.served) = (None, StreamEntries::default());
            return self.told.forget();
        };
        self.told.set_source(settings.source.to_string());
        let is_kept = self.served == all.entries && origin == Some(settings.origin());
        // Streams of another service are served until this one can be read, also by the next process.
        let is_known = reading.is_ok() || (origin.is_some() && !all.entries.is_empty());
        self.served = all.entries;
        self.told.set_streams(self.served.len(), &all.faults);
        if is_known && !is_kept {
            let (kept, origin, served) = (self.kept.clone(), settings.origin(), self.served.clone());
            // It tells its faults itself.
            _ = spawn_blocking(move || kept.write(origin, &served)).await;
        }
        match reading {
            Ok(document) => {
                self.due = Instant::now() + settings.refresh;
                self.unchanged(document);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Records that the document could not be read, or that its streams could not be put in force.
    pub(super) fn failed(&mut self, error: &ReadError) {
        let refresh = self.settings.as_ref().map(|settings| settings.refresh);
        self.due = Instant::now()
            + match error {
                ReadError::Late => Duration::ZERO,
                ReadError::Failed(_) => refresh.unwrap_or(RETRY_AFTER).min(RETRY_AFTER),
            };
        self.told.failed(&error.to_string());
    }
}

fn finished(read: Result<Result<StreamDocument, String>, JoinError>) -> Reading {
    let read = read.unwrap_or_else(|panic| Err(panic.to_string()));
    read.map_err(ReadError::Failed)
}

/// How long the start and a reload wait for the document. A client that comes back meanwhile waits with them, and a process that
/// hangs at its start is taken for dead.
const WAIT: Duration = Duration::from_secs(2);

/// How long after a failure the document is read again, unless it is read more often anyway.
const RETRY_AFTER: Duration = Duration::from_secs(10);
