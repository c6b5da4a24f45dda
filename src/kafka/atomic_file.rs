//! Small state files: read with a bound, replaced in one step.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    process,
};

/// The file's text; `None` when there is no file.
///
/// # Errors
/// When there is one that cannot be read.
pub(super) fn read(file: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(file) {
        Ok(file) => file.take(LONGEST).read_to_string(&mut text).map(|_| Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file: whoever reads it finds the old text or the new one, also after a crash. Its directory is made when
/// it is not there.
///
/// # Errors
/// When the new text could not be written; the old file stays then.
pub(super) fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    // With the process's id: while one process takes over from another both may write.
    let draft = file.with_extension(format!("{}.tmp", process::id()));
    let mut out = File::create(&draft)?;
    let written = out.write_all(text).and_then(|()| out.sync_all());
    written
        .and_then(|()| fs::rename(&draft, file))
        .inspect_err(|_| _ = fs::remove_file(&draft))
}

/// A few hundred brokers take a tenth of it, in bytes; what is cut does not parse.
const LONGEST: u64 = 256 * 1024;
