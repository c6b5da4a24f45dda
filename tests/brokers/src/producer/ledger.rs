//! The records that the brokers have acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    client::ClientContext,
    message::{DeliveryResult, Message},
    producer::ProducerContext,
};

/// The results of a producer's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The acknowledged records of each partition, in the order of the log.
    pub partitions: BTreeMap<i32, Vec<Acked>>,
    /// The numbers of records in aborted transactions.
    pub aborted: Vec<u64>,
    /// Records that were given up, with the reason. They may be in the log nevertheless.
    pub failed: Vec<(Option<u64>, String)>,
}

/// An acknowledged record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Acked {
    /// The number.
    pub n: u64,
    /// The offset; negative if the broker had the record already, and did not report its offset.
    pub offset: i64,
}

impl Ledger {
    /// Returns how many records were acknowledged.
    pub fn len(&self) -> usize {
        self.partitions.values().map(Vec::len).sum()
    }

    /// Returns whether no record was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the acknowledged numbers of a partition, in the order of the log.
    pub fn numbers_of(&self, partition: i32) -> Vec<u64> {
        self.partitions
            .get(&partition)
            .into_iter()
            .flatten()
            .map(|acked| acked.n)
            .collect()
    }

    /// Returns all acknowledged numbers.
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.partitions.values().flatten().map(|acked| acked.n).collect()
    }
}

/// The ledger while it is being written.
#[derive(Debug, Default)]
pub(super) struct SharedLedger(Mutex<LedgerState>);

#[derive(Debug, Default)]
struct LedgerState {
    ledger: Ledger,
    /// The offsets of records without a number, in the order of their acknowledgement.
    unnumbered: Vec<i64>,
    /// The records acknowledged in the open transaction, if there is one.
    open: Option<Vec<(i32, Acked)>>,
}

impl SharedLedger {
    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = self.pages().ledger.clone();
        ledger
            .partitions
            .values_mut()
            .for_each(|acked| in_log_order(acked));
        ledger
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.pages().ledger.len()
    }

    pub(super) fn unnumbered(&self) -> Vec<i64> {
        self.pages().unnumbered.clone()
    }

    pub(super) fn begin(&self) {
        self.pages().open = Some(Vec::new());
    }

    pub(super) fn commit(&self) {
        let mut pages = self.pages();
        for (partition, acked) in pages.open.take().unwrap_or_default() {
            pages.ledger.partitions.entry(partition).or_default().push(acked);
        }
    }

    pub(super) fn abort(&self) {
        let mut pages = self.pages();
        let aborted = pages.open.take().unwrap_or_default();
        pages
            .ledger
            .aborted
            .extend(aborted.into_iter().map(|(_, acked)| acked.n));
    }

    fn acknowledge(&self, partition: i32, offset: i64, number: Option<u64>) {
        let mut pages = self.pages();
        match (number.map(|n| Acked { n, offset }), &mut pages.open) {
            (None, _) => pages.unnumbered.push(offset),
            (Some(acked), Some(open)) => open.push((partition, acked)),
            (Some(acked), None) => pages.ledger.partitions.entry(partition).or_default().push(acked),
        }
    }

    fn pages(&self) -> MutexGuard<'_, LedgerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts by offset. Only an idempotent producer learns that a record is there already, without its offset.
/// Then the order of its numbers is that of the log.
fn in_log_order(acked: &mut [Acked]) {
    if acked.iter().any(|acked| acked.offset < 0) {
        acked.sort_by_key(|acked| acked.n);
    } else {
        acked.sort_by_key(|acked| acked.offset);
    }
}

/// The data that librdkafka keeps with a record: its number, if it has one.
pub(super) type Ticket = Box<Option<u64>>;

/// Records each acknowledgement in the ledger, on librdkafka's thread.
#[derive(Clone, Debug)]
pub(super) struct DeliveryRecorder(pub(super) Arc<SharedLedger>);

impl ClientContext for DeliveryRecorder {}

impl ProducerContext for DeliveryRecorder {
    type DeliveryOpaque = Ticket;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Ticket) {
        match result {
            Ok(message) => self.0.acknowledge(message.partition(), message.offset(), *ticket),
            Err((error, _)) => self.0.pages().ledger.failed.push((*ticket, error.to_string())),
        }
    }
}
