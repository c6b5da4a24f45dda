//! Replacing a file in one step: a reader finds the old text or the new one, and so does a process that starts after a crash.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process,
};

/// Replaces the file in one step, also if the machine crashes. A file that exists keeps its permissions.
///
/// # Errors
/// If the new text could not be written. The old file stays then.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    replace_with(path, text, SHARED, File::sync_all).inspect(|()| sync_directory_of(path))
}

/// Does the same with a file that only its owner may read, unless it exists with other permissions.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_private(path: &Path, text: &[u8]) -> io::Result<()> {
    replace_with(path, text, PRIVATE, File::sync_all).inspect(|()| sync_directory_of(path))
}

/// Does the same as [`replace`] without waiting for the disk, which takes milliseconds: after a crash of the machine, and not only of
/// the process, the file may hold an older text.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_unsynced(path: &Path, text: &[u8]) -> io::Result<()> {
    replace_with(path, text, SHARED, |_| Ok(()))
}

/// Writes a file beside the one at `path`, calls `sync` with it, and renames it.
fn replace_with(
    path: &Path,
    text: &[u8],
    mode: u32,
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    // What a symbolic link leads to is replaced, and not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // The name contains the process id: during a hot restart both processes may write.
    let next = path.with_file_name(format!(".{}.{}.next", name.to_string_lossy(), process::id()));
    // One that a crash has left. In a container every process may have the same id.
    _ = fs::remove_file(&next);
    let file = create(&next, text, mode, path);
    let written = file
        .and_then(|file| sync(&file))
        .and_then(|()| fs::rename(&next, path));
    // It may not exist.
    written.inspect_err(|_| _ = fs::remove_file(&next))
}

/// Creates the file `next` with the permissions of `before`, or with `mode` if that does not exist.
fn create(next: &Path, text: &[u8], mode: u32, before: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(next)?;
    if let Ok(before) = fs::metadata(before) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text)?;
    Ok(file)
}

/// Writes the entry of a file in its directory to the disk. Until then a power failure brings back the file as it was.
fn sync_directory_of(path: &Path) {
    // Not every file system can do that, and the file is in its place all the same.
    _ = open_directory_of(path).and_then(|directory| directory.sync_all());
}

/// Opens the directory of a file.
///
/// # Errors
/// If it cannot be opened, or `path` is the root.
pub(crate) fn open_directory_of(path: &Path) -> io::Result<File> {
    match path.parent() {
        // A path without a directory is relative to the current one.
        Some(directory) if directory.as_os_str().is_empty() => File::open("."),
        Some(directory) => File::open(directory),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The mode of a new file that its owner alone may read.
const PRIVATE: u32 = 0o600;

/// The mode of other new files, from which the umask of the process takes what it takes.
const SHARED: u32 = 0o666;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_private_file_is_its_owners_alone_and_an_old_one_keeps_its_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace_private(&path, b"one").unwrap();
        assert_eq!(mode(&path), 0o600);
        for replace in [replace, replace_private, replace_unsynced] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            replace(&path, b"two").unwrap();
            assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o640, b"two".to_vec()));
        }
    }

    #[test]
    fn a_link_stays_and_nothing_is_left_beside_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| directory.path().join(name));
        fs::write(&file, "one").unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "one").unwrap();
        replace(&path, b"two").unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"one");
        replace(&directory.path().join("nowhere/file"), b"one").unwrap_err();
    }
}
