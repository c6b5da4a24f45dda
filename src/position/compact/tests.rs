use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::position::{DecodeError, MAX_COMPACT_ENTRIES, PartitionPosition, decode};

fn read(binary: &[u8]) -> Result<usize, DecodeError> {
    let text = format!("~1{}", URL_SAFE_NO_PAD.encode(binary));
    decode(text.as_bytes()).map(|position| position.entries.len())
}

/// The binary form of one topic with one partition, at offset 5.
const SMALL: &[u8] = &[1 << 1, 0, 1, 2, 3, 4, 1 << 3, 3, 5];

#[test]
fn a_small_id_reads_and_each_of_its_beginnings_is_damaged() {
    assert_eq!(read(SMALL), Ok(1));
    for length in 0..SMALL.len() {
        assert_eq!(read(&SMALL[..length]), Err(DecodeError::Damaged), "{length}");
    }
}

#[test]
fn what_stands_behind_the_end_is_damage() {
    assert_eq!(read(&[SMALL, &[0]].concat()), Err(DecodeError::Damaged));
}

#[test]
fn other_versions_and_alphabets_are_refused() {
    assert_eq!(decode(b"~"), Err(DecodeError::UnknownVersion));
    assert_eq!(decode(b"~3AAAA"), Err(DecodeError::UnknownVersion));
    assert_eq!(decode(b"~1AA=="), Err(DecodeError::Damaged));
    assert_eq!(decode(b"~1+/+/"), Err(DecodeError::Damaged));
}

#[test]
fn an_overlong_or_overflowing_varint_is_damage() {
    let with_offset = |varint: &[u8]| read(&[&SMALL[..8], varint].concat());
    assert_eq!(with_offset(&[0x85, 0x01]), Ok(1));
    assert_eq!(with_offset(&[0x85, 0x00]), Err(DecodeError::Damaged));
    let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(with_offset(&largest), Ok(1));
    let beyond_an_offset = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(with_offset(&beyond_an_offset), Err(DecodeError::Damaged));
    let beyond_64_bits = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03];
    assert_eq!(with_offset(&beyond_64_bits), Err(DecodeError::Damaged));
}

#[test]
fn a_count_beyond_the_bytes_left_is_damage() {
    assert_eq!(
        read(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]),
        Err(DecodeError::Damaged)
    );
    let partitions = [1 << 1, 0, 1, 2, 3, 4, 0xf8, 0xff, 0xff, 0x0f, 3, 5];
    assert_eq!(read(&partitions), Err(DecodeError::Damaged));
}

#[test]
fn more_entries_than_the_limit_are_refused() {
    let with = |count: usize| {
        let mut id = vec![1 << 1, 0, 1, 2, 3, 4];
        let head = count << 3;
        id.extend([head as u8 | 0x80, (head >> 7) as u8 | 0x80, (head >> 14) as u8]);
        id.extend(std::iter::repeat_n(0, count));
        read(&id)
    };
    assert_eq!(with(MAX_COMPACT_ENTRIES), Ok(MAX_COMPACT_ENTRIES));
    assert_eq!(with(MAX_COMPACT_ENTRIES + 1), Err(DecodeError::TooManyEntries));
}

#[test]
fn what_a_shape_cannot_have_is_damage() {
    let with_entry = |entry: &[u8]| read(&[&SMALL[..7], entry].concat());
    assert_eq!(with_entry(&[1]), Ok(1));
    assert_eq!(with_entry(&[9]), Err(DecodeError::Damaged), "an unknown kind");
    assert_eq!(
        with_entry(&[1 << 4]),
        Err(DecodeError::Damaged),
        "the earliest with an epoch"
    );
    assert_eq!(
        with_entry(&[1 << 4 | 3, 5]),
        Err(DecodeError::Damaged),
        "an epoch without a log"
    );
    assert_eq!(
        with_entry(&[5, 5]),
        Err(DecodeError::Damaged),
        "a log the topic has not"
    );
    assert_eq!(
        with_entry(&[2, 1]),
        Err(DecodeError::Damaged),
        "a time below 1970"
    );
    let own = [7, 1, 2, 3, 0x0f, 1, 1, 1, 1, 5];
    assert_eq!(with_entry(&own), Ok(1));
    let bits_that_do_not_count = [7, 1, 2, 3, 0x1f, 1, 1, 1, 1, 5];
    assert_eq!(with_entry(&bits_that_do_not_count), Err(DecodeError::Damaged));
}

#[test]
fn duplicates_are_merged_here_as_well() {
    let numbered = [1 << 1, 0, 1, 2, 3, 4, 2 << 3 | 1, 7, 1, 7, 0];
    let text = format!("~1{}", URL_SAFE_NO_PAD.encode(numbered));
    let entries = decode(text.as_bytes()).unwrap().entries;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].place, PartitionPosition::Earliest);
}
