//! The items of a queue: a message of librdkafka as a record, or why there is none.

use std::{ffi::CStr, ptr, slice};

use rdkafka::{
    bindings::*,
    types::{RDKafkaErrorCode, RDKafkaMessage},
};

use super::TopicRef;
use crate::{
    event::{HeadersBuf, Record},
    position::{Offset, Timestamp},
};

/// An item of a queue.
#[derive(Debug)]
pub(in crate::kafka) struct QueueItem<'a> {
    /// The topic of the item.
    pub(in crate::kafka) topic: TopicRef,
    /// The number of the partition.
    pub(in crate::kafka) partition: i32,
    /// Whether the item is a record whose timestamp its broker set.
    pub(in crate::kafka) is_log_append_time: bool,
    /// The record, or why there is none.
    pub(in crate::kafka) kind: ItemKind<'a>,
}

/// A partition's next record, or why there is none.
#[derive(Debug)]
pub(in crate::kafka) enum ItemKind<'a> {
    /// A record, lent until the next one is taken.
    Record(Record<'a>),
    /// The partition has been read up to this offset, where it ends for now (only with `enable.partition.eof`).
    End(Offset),
    /// An error of the partition.
    Fault {
        /// The offset of the error.
        offset: Offset,
        /// The error.
        code: RDKafkaErrorCode,
        /// librdkafka's text for the error.
        reason: String,
    },
}

/// # Safety
/// `message` came out of a queue and is not destroyed while the item lives.
pub(super) unsafe fn item<'a>(message: &'a RDKafkaMessage, headers: &'a mut HeadersBuf) -> QueueItem<'a> {
    let code = RDKafkaErrorCode::from(message.err);
    // SAFETY: the pointers and lengths of a live message.
    let kind = unsafe {
        match code {
            RDKafkaErrorCode::NoError => ItemKind::Record(record(message, headers)),
            RDKafkaErrorCode::PartitionEOF => ItemKind::End(message.offset),
            _ => ItemKind::Fault {
                offset: message.offset,
                code,
                reason: reason(message),
            },
        }
    };
    QueueItem {
        topic: TopicRef(message.rkt.addr()),
        partition: message.partition,
        // SAFETY: as above; messages that are no records have no timestamp.
        is_log_append_time: unsafe { time(message) }.1,
        kind,
    }
}

/// # Safety
/// As of [`item`]; the message bears no error.
unsafe fn record<'a>(message: &'a RDKafkaMessage, headers: &'a mut HeadersBuf) -> Record<'a> {
    // SAFETY: the caller's.
    unsafe { copy_headers(message, headers) };
    // SAFETY: pointers and lengths belong together, and a null pointer stands for null.
    unsafe {
        Record {
            offset: message.offset,
            timestamp: time(message).0,
            epoch: rd_kafka_message_leader_epoch(message),
            key: bytes(message.key.cast(), message.key_len),
            headers: headers.headers(),
            value: bytes(message.payload.cast(), message.len),
            canary: headers.is_canary(),
        }
    }
}

/// Copies the headers, because librdkafka keeps them apart from each other.
unsafe fn copy_headers(message: &RDKafkaMessage, headers: &mut HeadersBuf) {
    headers.clear();
    let mut all: *mut rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: a live message, which owns the headers that it returns.
    let code = unsafe { rd_kafka_message_headers(message, &mut all) };
    if RDKafkaErrorCode::from(code) != RDKafkaErrorCode::NoError {
        return;
    }
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    for index in 0.. {
        // SAFETY: headers of a live message, and space for each answer.
        let code = unsafe { rd_kafka_header_get_all(all, index, &mut name, &mut value, &mut length) };
        if RDKafkaErrorCode::from(code) != RDKafkaErrorCode::NoError {
            return;
        }
        // SAFETY: a name ends with a zero byte, and a value has its length.
        unsafe { headers.push(CStr::from_ptr(name).to_bytes(), bytes(value.cast(), length)) };
    }
}

/// # Safety
/// `start` is null, or the start of `len` bytes that live as long as the message.
unsafe fn bytes<'a>(start: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start, len) })
}

/// Returns the message's timestamp, and whether its broker set it.
///
/// # Safety
/// As of [`item`].
unsafe fn time(message: &RDKafkaMessage) -> (Timestamp, bool) {
    use rd_kafka_timestamp_type_t as Kind;
    let mut kind = Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: a live message, and space for the kind.
    let timestamp = unsafe { rd_kafka_message_timestamp(message, &mut kind) };
    match kind {
        Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => (-1, false),
        Kind::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => (timestamp, true),
        Kind::RD_KAFKA_TIMESTAMP_CREATE_TIME => (timestamp, false),
    }
}

/// # Safety
/// As of [`item`]; the message bears an error, whose text is its payload.
unsafe fn reason(message: &RDKafkaMessage) -> String {
    if message.payload.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka ends the text with a zero byte.
    unsafe { CStr::from_ptr(message.payload.cast()) }
        .to_string_lossy()
        .into_owned()
}
