//! The output: a file, a pipe or a terminal.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::MetadataExt,
};

use serde::{Deserialize, Serialize};

/// Where lines are written.
pub(super) struct Output(File);

/// A position in a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilePosition {
    device: u64,
    inode: u64,
    pub(super) length: u64,
}

/// Why nothing more can be written.
#[derive(Debug)]
pub(super) enum WriteEnd {
    /// Nobody reads it any more.
    Closed,
    /// A signal came while the reader did not read.
    Interrupted,
    Failed(io::Error),
}

impl Output {
    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    /// Writes all of this text, without a buffer of its own.
    pub(super) fn write(&mut self, mut text: &[u8]) -> Result<(), WriteEnd> {
        while !text.is_empty() {
            match self.0.write(text) {
                Ok(written) => text = &text[written..],
                Err(error) => {
                    return Err(match error.kind() {
                        io::ErrorKind::BrokenPipe => WriteEnd::Closed,
                        io::ErrorKind::Interrupted => WriteEnd::Interrupted,
                        _ => WriteEnd::Failed(error),
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns the position at the end of the file, if this is a regular file.
    pub(super) fn position(&self) -> Option<FilePosition> {
        let metadata = self.0.metadata().ok()?;
        metadata.is_file().then(|| FilePosition {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
        })
    }

    /// Cuts the file off at this position, and goes on there.
    pub(super) fn cut_at(&mut self, position: FilePosition) -> io::Result<()> {
        self.0.set_len(position.length)?;
        io::Seek::seek(&mut self.0, io::SeekFrom::Start(position.length)).map(drop)
    }
}

impl FilePosition {
    /// Whether both are in the same file.
    pub(super) fn is_in_file_of(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
