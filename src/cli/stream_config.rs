//! What `check-config` says of the streams that are configured elsewhere.
//!
//! A file is read always, and an address with `--online` only.

use std::io::{self, Write};

use tokio::runtime;

use super::{CliError, check::count};
use crate::{
    app::stream_document::DocumentReader,
    config::{
        Config, LeftOut, MergedStreams, StreamConfigSettings, StreamConfigSource, StreamDocument,
        StreamEntries, StreamFault,
    },
};

/// The document of a configuration, if it was read.
pub(super) struct CheckedDocument {
    source: StreamConfigSource,
    result: ReadResult,
}

enum ReadResult {
    NotRead,
    Failed(String),
    Read {
        streams: usize,
        left_out: LeftOut,
        faults: Vec<StreamFault>,
    },
}

/// Reads the document that a configuration names. Also returns the configuration with its streams.
pub(super) fn read(config: Config, online: bool) -> io::Result<(Config, Option<CheckedDocument>)> {
    let Some(settings) = config.stream_config.clone() else {
        return Ok((config, None));
    };
    let source = settings.source.clone();
    let is_read = online || matches!(source, StreamConfigSource::File(_));
    let (config, result) = match is_read {
        true => match fetch(settings)? {
            Ok(document) => merged(config, document),
            Err(problem) => (config, ReadResult::Failed(problem)),
        },
        false => (config, ReadResult::NotRead),
    };
    Ok((config, Some(CheckedDocument { source, result })))
}

fn fetch(settings: StreamConfigSettings) -> io::Result<Result<StreamDocument, String>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(DocumentReader::default().read(settings)))
}

fn merged(config: Config, document: StreamDocument) -> (Config, ReadResult) {
    let all = config.with_streams_of(&document.entries, &StreamEntries::default());
    let MergedStreams {
        config,
        entries,
        faults,
    } = all;
    let result = ReadResult::Read {
        streams: entries.len(),
        left_out: document.left_out,
        faults,
    };
    (config, result)
}

impl CheckedDocument {
    /// Writes what was found.
    ///
    /// # Errors
    /// If not everything can be served.
    pub(super) fn report(&self, out: &mut impl Write) -> Result<(), CliError> {
        let source = &self.source;
        match &self.result {
            ReadResult::NotRead => {
                writeln!(out, "ok: stream_config: {source} is read with --online only")?;
                Ok(())
            }
            ReadResult::Failed(problem) => {
                writeln!(out, "error: stream_config: {source} cannot be read: {problem}")?;
                Err(self.error())
            }
            ReadResult::Read {
                streams,
                left_out,
                faults,
            } => {
                let (streams, others) = (count(*streams, "stream"), left_out.not_allowed);
                writeln!(
                    out,
                    "ok: stream_config: {streams} of {source}, {others} more are not in `allowed`"
                )?;
                for (why, names) in left_out
                    .by_reason()
                    .into_iter()
                    .filter(|(_, names)| !names.is_empty())
                {
                    let names: Vec<_> = names.iter().map(|name| name.escape_debug().to_string()).collect();
                    writeln!(
                        out,
                        "warning: stream_config: streams are left out because {why}: {}",
                        names.join(", ")
                    )?;
                }
                for fault in faults {
                    writeln!(out, "error: stream_config: {fault}")?;
                }
                match faults.is_empty() {
                    true => Ok(()),
                    false => Err(self.error()),
                }
            }
        }
    }

    fn error(&self) -> CliError {
        match self.source {
            StreamConfigSource::File(_) => CliError::StreamFile,
            StreamConfigSource::Url(_) => CliError::StreamUrl,
        }
    }
}
