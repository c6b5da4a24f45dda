//! The files of a ZIP archive that is a part of the binary, as that of the viewer of the API's documentation.
//!
//! It reads what such archives have: files that are deflated, or stored as they are. A crate for ZIP files is not used, because it would also read, and
//! write, everything else that a stranger's archive may have.

use std::io::{self, Read};

use flate2::{Crc, read::DeflateDecoder};

/// An archive in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archive<'a>(&'a [u8]);

/// A file of an archive: its content, and the same as a gzip member.
#[derive(Debug)]
pub(super) struct ArchivedFile {
    pub(super) bytes: Vec<u8>,
    /// The deflated data of the archive between the header and the trailer of gzip, so that nothing is compressed again. `None` if
    /// the archive has the file as it is.
    pub(super) packed: Option<Vec<u8>>,
}

impl<'a> Archive<'a> {
    /// Takes these bytes for an archive.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the first file whose path ends with `end`. Returns `None` if there is none, or it is damaged.
    pub(super) fn file(&self, end: &str) -> Option<ArchivedFile> {
        self.entries()
            .find(|entry| entry.path.ends_with(end.as_bytes()))?
            .read(self.0)
    }

    /// Returns the entries of the central directory.
    fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        let bytes = self.0;
        let end = bytes
            .windows(4)
            .rposition(|window| window == END_OF_DIRECTORY)
            .unwrap_or(bytes.len());
        let mut at = number(bytes, end + 16).unwrap_or(bytes.len());
        std::iter::from_fn(move || {
            let header = bytes.get(at..)?.strip_prefix(DIRECTORY_ENTRY)?;
            let [path, extra, comment] = [24, 26, 28].map(|field| short(header, field));
            let (path, extra, comment) = (path?, extra?, comment?);
            at += ENTRY_LEN + path + extra + comment;
            Some(Entry {
                path: header.get(ENTRY_LEN - 4..)?.get(..path)?,
                method: short(header, 6)?,
                sum: u32::try_from(number(header, 12)?).ok()?,
                packed: number(header, 16)?,
                size: number(header, 20)?,
                local: number(header, 38)?,
            })
        })
    }
}

/// A file as the central directory describes it.
struct Entry<'a> {
    path: &'a [u8],
    /// The number of the method of compression.
    method: usize,
    /// The CRC-32 of its content.
    sum: u32,
    /// The number of its bytes in the archive.
    packed: usize,
    size: usize,
    /// Where its own header begins.
    local: usize,
}

impl Entry<'_> {
    fn read(&self, archive: &[u8]) -> Option<ArchivedFile> {
        let header = archive.get(self.local..)?.strip_prefix(FILE_HEADER)?;
        let before = short(header, 22)? + short(header, 24)?;
        let data = header.get(HEADER_LEN - 4 + before..)?.get(..self.packed)?;
        let (bytes, packed) = match self.method {
            STORED => (data.to_vec(), None),
            DEFLATED => (self.inflate(data).ok()?, Some(self.member(data))),
            _ => return None,
        };
        let mut sum = Crc::new();
        sum.update(&bytes);
        let is_whole = bytes.len() == self.size && sum.sum() == self.sum;
        is_whole.then_some(ArchivedFile { bytes, packed })
    }

    fn inflate(&self, deflated: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(self.size).unwrap_or(u64::MAX);
        DeflateDecoder::new(deflated)
            .take(limit)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the gzip member (RFC 1952) with this data.
    fn member(&self, deflated: &[u8]) -> Vec<u8> {
        let size = u32::try_from(self.size).unwrap_or(u32::MAX);
        [
            GZIP_HEADER,
            deflated,
            &self.sum.to_le_bytes(),
            &size.to_le_bytes(),
        ]
        .concat()
    }
}

/// Returns the number of four bytes that begins at this byte.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// Returns the number of two bytes that begins at this byte.
fn short(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes).into())
}

// The signatures and lengths of APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
const FILE_HEADER: &[u8] = b"PK\x03\x04";
const HEADER_LEN: usize = 30;
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LEN: usize = 46;
const END_OF_DIRECTORY: &[u8] = b"PK\x05\x06";

// The numbers of the methods.
const STORED: usize = 0;
const DEFLATED: usize = 8;

/// No name, no time, and the system is unknown.
const GZIP_HEADER: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff";

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, read::GzDecoder, write::DeflateEncoder};

    use super::*;

    /// Returns an archive of these files.
    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (path, text) in files {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(text.as_bytes()).unwrap();
            let packed = encoder.finish().unwrap();
            let mut sum = Crc::new();
            sum.update(text.as_bytes());
            let [packed_len, len, path_len] = [packed.len(), text.len(), path.len()].map(|it| it as u32);
            // Version, flags, method, time, date, sum, both sizes, length of the path, length of extra fields.
            let mut common = [20, 0, 8, 0, 0].map(u16::to_le_bytes).concat();
            common.extend([sum.sum(), packed_len, len].map(u32::to_le_bytes).concat());
            common.extend((path_len as u16).to_le_bytes());
            directory.extend(
                [
                    DIRECTORY_ENTRY,
                    &[20, 0],
                    &common,
                    &[0; 12],
                    &(bytes.len() as u32).to_le_bytes(),
                ]
                .concat(),
            );
            directory.extend(path.as_bytes());
            bytes.extend([FILE_HEADER, &common[..], &[0, 0], path.as_bytes(), &packed[..]].concat());
        }
        let at = bytes.len() as u32;
        bytes.extend(directory);
        bytes.extend([END_OF_DIRECTORY, &[0; 12], &at.to_le_bytes(), &[0; 2]].concat());
        bytes
    }

    #[test]
    fn a_file_is_found_by_the_end_of_its_path_and_is_there_in_both_forms() {
        let bytes = archive(&[("v1/a.css", "first"), ("v1/dist/b.js", "second second second")]);
        let file = Archive::new(&bytes).file("/dist/b.js").expect("a file");
        assert_eq!(file.bytes, b"second second second");
        let mut unpacked = String::new();
        let packed = file.packed.expect("deflated data");
        GzDecoder::new(&*packed).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, "second second second");
        assert!(Archive::new(&bytes).file("/c.js").is_none());
    }

    #[test]
    fn a_damaged_archive_has_no_files_and_does_no_harm() {
        let whole = archive(&[("a", "text text text"), ("b", "more more more")]);
        for length in 0..whole.len() {
            assert!(Archive::new(&whole[..length]).file("b").is_none() || length + 4 > whole.len());
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            if let Some(file) = Archive::new(&damaged).file("b") {
                assert_eq!(file.bytes, b"more more more", "byte {at}");
            }
        }
    }
}
