//! Bytes of a log on a broker's disk, and ways to spoil them.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use crate::cluster::Cluster;

/// The first segment of a partition's log. The broker may run: it reads the file anew for each fetch.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
}

/// A batch as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Where it begins in the file.
    position: usize,
    /// In bytes, with its header.
    length: usize,
    /// The offset of its first record.
    pub first: i64,
    /// The offset of its last record.
    pub last: i64,
}

/// Where a byte is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// In a value: the checksum fails.
    Payload,
    /// In the header, what says how the batch is to be read.
    Magic,
    /// In the header, the length.
    Length,
    /// In the first record, the length of its value; the checksum is made good, so that the batch as such is valid.
    Record,
}

impl Cluster {
    /// The first segment of a partition as `broker` has it.
    pub fn segment(&self, broker: i32, topic: &str, partition: i32) -> Segment {
        let log = self
            .directory()
            .join(format!("node-{broker}/{topic}-{partition}"));
        let files = fs::read_dir(log)
            .expect("a log")
            .flatten()
            .map(|file| file.path());
        let first = files
            .filter(|path| path.extension().is_some_and(|it| it == "log"))
            .min();
        Segment {
            path: first.expect("a segment"),
        }
    }
}

impl Cluster {
    /// Takes the directory with a partition's log away from `broker`, as a disk that fails does: what is in it is offline. The
    /// broker must have been given a second directory, and this is to be the one without the cluster's metadata.
    ///
    /// # Panics
    ///
    /// If the partition is in the other directory.
    pub fn lose_directory_of(&self, broker: i32, topic: &str, partition: i32) {
        let spare = self.directory().join(format!("node-{broker}-spare"));
        let log = spare.join(format!("{topic}-{partition}"));
        assert!(log.is_dir(), "{topic}-{partition} is in the other directory");
        fs::rename(&spare, spare.with_extension("lost")).expect("a directory that is ours");
    }

    /// Whether `broker` keeps a partition's log in its second directory.
    pub fn is_in_spare_directory(&self, broker: i32, topic: &str, partition: i32) -> bool {
        let spare = self.directory().join(format!("node-{broker}-spare"));
        spare.join(format!("{topic}-{partition}")).is_dir()
    }
}

impl Segment {
    /// Its length, in bytes.
    pub fn end(&self) -> usize {
        fs::read(&self.path).expect("a segment").len()
    }

    /// All batches from a position on, by offset; one begins there.
    pub fn batches(&self, from: usize) -> Vec<StoredBatch> {
        let bytes = fs::read(&self.path).expect("a segment");
        let (mut batches, mut position) = (Vec::new(), from);
        while position + HEADER <= bytes.len() {
            let first = i64::from_be_bytes(bytes[position..position + 8].try_into().expect("8 bytes"));
            let length = number(&bytes, position + LENGTH) as usize + 12;
            batches.push(StoredBatch {
                position,
                length,
                first,
                last: first + i64::from(number(&bytes, position + LAST_DELTA)),
            });
            position += length;
        }
        batches
    }

    /// Spoils a batch in place.
    pub fn spoil(&self, batch: StoredBatch, what: Corruption) {
        let file = File::options().read(true).write(true).open(&self.path);
        let file = file.expect("a segment");
        let mut bytes = vec![0; batch.length];
        file.read_exact_at(&mut bytes, batch.position as u64)
            .expect("a batch");
        match what {
            Corruption::Payload => bytes[HEADER + (batch.length - HEADER) / 2] ^= 0x04,
            Corruption::Magic => bytes[MAGIC] ^= 0x40,
            Corruption::Length => bytes[LENGTH + 3] ^= 0x40,
            Corruption::Record => {
                let at = value_length(&bytes);
                // More than the answer holds.
                bytes[at] |= 0x40;
                let sum = crc32c(&bytes[SUMMED..]);
                bytes[SUM..SUM + 4].copy_from_slice(&sum.to_be_bytes());
            }
        }
        file.write_all_at(&bytes, batch.position as u64)
            .expect("a batch written");
    }
}

/// Where the length of the first record's value stands, in a varint of at least two bytes whose second it is: behind the length,
/// the attributes, two deltas and a key that is null.
fn value_length(batch: &[u8]) -> usize {
    let mut at = skip_varint(batch, HEADER) + 1;
    for _ in 0..3 {
        at = skip_varint(batch, at);
    }
    assert!(batch[at] >= 0x80, "a value of 64 bytes and more");
    at + 1
}

fn skip_varint(bytes: &[u8], from: usize) -> usize {
    let last = bytes[from..].iter().position(|byte| *byte < 0x80);
    from + last.expect("an end of the number") + 1
}

fn number(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// Castagnoli's polynomial, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |sum: u32, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

// Of a batch of version 2, in bytes from its start.
const LENGTH: usize = 8;
const MAGIC: usize = 16;
const SUM: usize = 17;
const SUMMED: usize = 21;
const LAST_DELTA: usize = 23;
const HEADER: usize = 61;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
