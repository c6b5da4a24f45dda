//! The state file: which stream was read, and up to where.
//!
//! The file is replaced in one step, so that a killed process leaves a whole one. If the output is a regular file, the state also says
//! what was about to be written to it. After SIGKILL the length of the output then tells whether that was done, and each event is in
//! the output once. Into a pipe, what was being written at that moment is written again.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::output::{FilePosition, Output};
use crate::{catalog::ticket_parameter::mask_target, storage::replace_unsynced};

/// A state file, and what it holds.
pub(super) struct StateFile {
    path: PathBuf,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The version of this format.
    riverhead_tail: u32,
    source: Source,
    /// The id of the last event that was written.
    id: Option<String>,
    /// The output in front of what is being written.
    output: Option<FilePosition>,
    /// What is being written.
    writing: Option<Writing>,
}

/// What is read. The position in another stream, behind another filter, or in other partitions, means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) filter: Option<String>,
    /// Files of versions before this field have none, and so have reads of all partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partitions: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Writing {
    /// The id of the last event in it.
    id: Option<String>,
    /// Its length, in bytes.
    length: u64,
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It holds something else.
    #[error("{} is not a state file of `riverhead tail`: {}", .0.display(), .1)]
    Foreign(PathBuf, String),
    /// It is of another stream, another filter or other partitions.
    #[error("{} is the state of another read, {}: choose another file, or delete it", .0.display(), .1)]
    OtherRead(PathBuf, String),
    /// It cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

impl StateError {
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Foreign(..) | Self::OtherRead(..))
    }
}

impl StateFile {
    /// Opens the state of this source, or begins it. Brings the output into the state that the file tells.
    ///
    /// # Errors
    /// When it holds something else, or cannot be read or written.
    pub(super) fn open(path: PathBuf, source: Source, output: &mut Output) -> Result<Self, StateError> {
        let mut state = Self {
            content: read(&path, source)?,
            path,
        };
        state.settle(output).map_err(|error| state.error(error))?;
        // A file that cannot be written shows now, and not behind the first events.
        state.write()?;
        Ok(state)
    }

    /// Returns the id of the last event that was written.
    pub(super) fn id(&self) -> Option<&str> {
        self.content.id.as_deref()
    }

    /// Records that so many bytes are about to be written to a regular file, and what their last id is.
    pub(super) fn announce(
        &mut self,
        id: Option<&str>,
        output: FilePosition,
        length: usize,
    ) -> Result<(), StateError> {
        self.content.output = Some(output);
        self.content.writing = Some(Writing {
            id: id.map(str::to_owned),
            length: length as u64,
        });
        self.write()
    }

    /// Records the id of what was written, without writing the file.
    pub(super) fn note(&mut self, id: Option<&str>) {
        self.content.id = id.map(str::to_owned);
        (self.content.output, self.content.writing) = (None, None);
    }

    /// Writes the file, in one step.
    pub(super) fn write(&self) -> Result<(), StateError> {
        let text = serde_json::to_vec(&self.content).map_err(io::Error::other);
        // Not synced, as the output is not: a sync takes milliseconds, for each batch.
        let written = text.and_then(|text| replace_unsynced(&self.path, &text));
        written.map_err(|error| self.error(error))
    }

    /// Finds out whether what was announced was written.
    fn settle(&mut self, output: &mut Output) -> io::Result<()> {
        let announced = (self.content.output, self.content.writing.take());
        let (Some(before), Some(writing)) = announced else {
            return Ok(());
        };
        self.content.output = None;
        let Some(now) = output.position().filter(|now| now.is_in_file_of(&before)) else {
            return Ok(());
        };
        if now.length >= before.length + writing.length {
            self.content.id = writing.id;
        } else if now.length > before.length {
            output.cut_at(before)?;
        }
        Ok(())
    }

    fn error(&self, error: io::Error) -> StateError {
        StateError::Io(self.path.clone(), error)
    }
}

fn read(path: &Path, source: Source) -> Result<Content, StateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Content {
                riverhead_tail: VERSION,
                source,
                id: None,
                output: None,
                writing: None,
            });
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(StateError::Foreign(path.to_owned(), error.to_string()));
        }
        Err(error) => return Err(StateError::Io(path.to_owned(), error)),
    };
    let content = serde_json::from_str::<Content>(&text);
    let mut content = content.map_err(|error| StateError::Foreign(path.to_owned(), error.to_string()))?;
    // Another ticket makes no other read. Older files have the ticket itself.
    content.source.url = mask_target(&content.source.url).into_owned();
    if content.riverhead_tail != VERSION {
        let version = format!("its version is {}", content.riverhead_tail);
        return Err(StateError::Foreign(path.to_owned(), version));
    }
    if content.source != source {
        return Err(StateError::OtherRead(path.to_owned(), content.source.described()));
    }
    Ok(content)
}

impl Source {
    /// Returns the stream, with what else tells it from other reads.
    fn described(&self) -> String {
        let mut text = self.url.clone();
        for (name, value) in [("filter", &self.filter), ("partitions", &self.partitions)] {
            if let Some(value) = value {
                text += &format!(" with {name} {value:?}");
            }
        }
        text
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    fn source(filter: Option<&str>) -> Source {
        Source {
            url: "http://h/v2/stream/a".into(),
            filter: filter.map(str::to_owned),
            partitions: None,
        }
    }

    /// The output as `>>` opens it.
    fn output(path: &Path) -> Output {
        Output::new(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    #[test]
    fn after_a_kill_the_length_of_the_output_tells_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let (file, log) = (directory.path().join("state"), directory.path().join("log"));
        for (written, id, left) in [
            ("", "1", "one\n"),
            ("tw", "1", "one\n"),
            ("two\n", "2", "one\ntwo\n"),
        ] {
            let _ = fs::remove_file(&file);
            fs::write(&log, "one\n").unwrap();
            let mut out = output(&log);
            let mut state = StateFile::open(file.clone(), source(None), &mut out).unwrap();
            assert_eq!(state.id(), None);
            state.note(Some("1"));
            state.announce(Some("2"), out.position().unwrap(), 4).unwrap();
            out.write(written.as_bytes()).unwrap();
            // The process is killed here.
            let mut out = output(&log);
            let state = StateFile::open(file.clone(), source(None), &mut out).unwrap();
            assert_eq!(state.id(), Some(id), "{written:?}");
            out.write(b"next\n").unwrap();
            assert_eq!(
                fs::read_to_string(&log).unwrap(),
                format!("{left}next\n"),
                "{written:?}"
            );
        }
    }

    #[test]
    fn another_output_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (file, log) = (directory.path().join("state"), directory.path().join("log"));
        let mut out = output(&log);
        let mut state = StateFile::open(file.clone(), source(None), &mut out).unwrap();
        state.note(Some("1"));
        state.announce(Some("2"), out.position().unwrap(), 4).unwrap();
        let other = directory.path().join("other");
        fs::File::create(&other).unwrap().write_all(b"ab").unwrap();
        let state = StateFile::open(file, source(None), &mut output(&other)).unwrap();
        assert_eq!(state.id(), Some("1"));
        assert_eq!(fs::read(&other).unwrap(), b"ab");
    }

    #[test]
    fn what_is_the_state_of_something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (file, log) = (directory.path().join("state"), directory.path().join("log"));
        let open = |filter| StateFile::open(file.clone(), source(filter), &mut output(&log)).map(drop);
        open(Some("a = 1")).unwrap();
        open(Some("a = 1")).unwrap();
        assert!(open(Some("a = 2")).unwrap_err().is_usage());
        let of_some = Source {
            partitions: Some("1/2".into()),
            ..source(Some("a = 1"))
        };
        let refused = StateFile::open(file.clone(), of_some, &mut output(&log));
        assert!(refused.map(drop).unwrap_err().is_usage());
        for text in [&b""[..], b"{}", b"hello", b"\xff", b"{\"riverhead_tail\":2}"] {
            fs::write(&file, text).unwrap();
            let error = open(Some("a = 1")).unwrap_err();
            assert!(error.is_usage(), "{error}");
            assert_eq!(fs::read(&file).unwrap(), text, "it is not overwritten");
        }
        fs::remove_file(&file).unwrap();
        let of = |url: &str| {
            let source = Source {
                url: url.into(),
                filter: None,
                partitions: None,
            };
            StateFile::open(file.clone(), source, &mut output(&log)).map(drop)
        };
        // As an earlier version has written it, and with the ticket hidden.
        of("http://h/v2/stream/a?ticket=rvt_one").unwrap();
        of("http://h/v2/stream/a?ticket=...").unwrap();
        let error = of("http://h/v2/stream/b?ticket=...").unwrap_err();
        assert!(
            error.is_usage() && !error.to_string().contains("rvt_one"),
            "{error}"
        );
        let nowhere = StateFile::open("/nowhere/state".into(), source(None), &mut output(&log));
        assert!(!nowhere.map(drop).unwrap_err().is_usage());
    }
}
