//! Files that keep something over a restart: replacing a file in one step, and versioned JSON files.
//!
//! Not here: what the files hold.

mod replace;
mod state_file;

pub(crate) use replace::{open_directory_of, replace, replace_private, replace_unsynced};
pub(crate) use state_file::StateFile;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Reads a file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// If the file cannot be read, or is longer.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, MAX_FILE_BYTES)
}

/// Reads a file of at most so many bytes.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_up_to(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?.take(max_bytes + 1).read_to_end(&mut contents)?;
    match contents.len() as u64 > max_bytes {
        true => Err(io::Error::other(format!("longer than {max_bytes} bytes"))),
        false => Ok(contents),
    }
}

/// The longest file that is read, in bytes: some thousands of keys or brokers.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
