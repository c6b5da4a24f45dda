//! The bytes of a log on a broker's disk, and ways to damage them.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use crate::cluster::Cluster;

/// The first segment of a partition's log. The broker may run: it reads the file again for each fetch.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
}

/// A batch in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its position in the file.
    position: usize,
    /// Its length in bytes, with its header.
    length: usize,
    /// The offset of its first record.
    pub first: i64,
    /// The offset of its last record.
    pub last: i64,
    /// Whether its records are compressed.
    pub is_compressed: bool,
    /// Whether it is the marker of a transaction's end.
    pub is_marker: bool,
}

/// The byte that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// In a value: the checksum fails.
    Payload,
    /// In the header: the format version of the batch.
    Magic,
    /// In the header: the length.
    Length,
    /// In the first record: the length of its value. The checksum is corrected, so that the batch as such is
    /// valid.
    Record,
    /// In the header, the codec: one that there is not. The checksum is made good.
    Codec,
    /// In the header, the codec: gzip, by which the batch is not packed. The checksum is made good.
    Packing,
    /// The first bytes of the compressed records. The checksum is made good.
    Packed,
}

impl Cluster {
    /// Returns the first segment of a partition on `broker`.
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
    /// Takes the directory with a partition's log from `broker`, as a failing disk does: everything in it is
    /// offline. The broker must have a second directory, and the one that is lost must not be the one with
    /// the cluster's metadata.
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

    /// Returns whether `broker` keeps a partition's log in its second directory.
    pub fn is_in_spare_directory(&self, broker: i32, topic: &str, partition: i32) -> bool {
        let spare = self.directory().join(format!("node-{broker}-spare"));
        spare.join(format!("{topic}-{partition}")).is_dir()
    }
}

impl Segment {
    /// Returns the length of the file in bytes.
    pub fn end(&self) -> usize {
        fs::read(&self.path).expect("a segment").len()
    }

    /// Returns all batches from a position on, by offset. A batch begins there.
    pub fn batches(&self, from: usize) -> Vec<StoredBatch> {
        let bytes = fs::read(&self.path).expect("a segment");
        let (mut batches, mut position) = (Vec::new(), from);
        while position + HEADER <= bytes.len() {
            let first = i64::from_be_bytes(bytes[position..position + 8].try_into().expect("8 bytes"));
            let length = number(&bytes, position + LENGTH) as usize + 12;
            let attributes = bytes[position + ATTRIBUTES];
            batches.push(StoredBatch {
                position,
                length,
                first,
                last: first + i64::from(number(&bytes, position + LAST_DELTA)),
                is_compressed: attributes & CODEC != 0,
                is_marker: attributes & CONTROL != 0,
            });
            position += length;
        }
        batches
    }

    /// Damages a batch in place.
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
                // More than the response contains.
                bytes[at] |= 0x40;
                make_good(&mut bytes);
            }
            Corruption::Codec => {
                bytes[ATTRIBUTES] |= CODEC;
                make_good(&mut bytes);
            }
            Corruption::Packing => {
                bytes[ATTRIBUTES] |= GZIP;
                make_good(&mut bytes);
            }
            Corruption::Packed => {
                bytes[HEADER..HEADER + 4]
                    .iter_mut()
                    .for_each(|byte| *byte ^= 0xff);
                make_good(&mut bytes);
            }
        }
        file.write_all_at(&bytes, batch.position as u64)
            .expect("a batch written");
    }
}

/// Writes the checksum of a batch as it is now.
fn make_good(batch: &mut [u8]) {
    let sum = crc32c(&batch[SUMMED..]);
    batch[SUM..SUM + 4].copy_from_slice(&sum.to_be_bytes());
}

/// Returns the position of the length of the first record's value, a varint of at least two bytes, of which
/// this is the second. It follows the length, the attributes, two deltas and a key that is null.
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

/// Computes CRC-32C bit by bit, with Castagnoli's polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |sum: u32, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

// Positions in a batch of version 2, in bytes from its start.
const LENGTH: usize = 8;
const MAGIC: usize = 16;
const SUM: usize = 17;
const SUMMED: usize = 21;
/// The lower byte of the attributes.
const ATTRIBUTES: usize = 22;
const LAST_DELTA: usize = 23;
const HEADER: usize = 61;

// Bits of the attributes.
const CODEC: u8 = 0x07;
const GZIP: u8 = 0x01;
const CONTROL: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
