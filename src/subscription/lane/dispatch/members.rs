//! The lanes of a dispatcher, by the keys of the events that they want.

use std::{collections::HashMap, mem, sync::Arc};

use tokio::time::Instant;

use crate::{
    filter::{EventKey, KeyFields, KeyReader},
    position::{IdForm, IdWriter},
    subscription::{
        Batch, BatchBuilder, BytesTracker, EventFormat, MAX_BATCH_BYTES, StreamView,
        filter_state::filter_input,
        lane::{compressor::LaneCompressor, state::Lane},
        reader::{EventSink, IdTracker, MergedEvent, Positions, SCAN_FILTERED},
    },
};

/// The lanes of a dispatcher. As the sink of its merge, it collects a batch for each lane.
pub(super) struct Members {
    key_reader: KeyReader,
    members: HashMap<u64, Member>,
    /// The numbers of the lanes that want events with a key.
    by_key: HashMap<EventKey, Vec<u64>>,
    pub(super) ids: Ids,
    /// The number of events so far that are no canaries.
    seen: u64,
    round: Round,
}

/// One lane.
pub(super) struct Member {
    pub(super) lane: Arc<Lane>,
    /// There is one if the lane is to be compressed.
    compressor: Option<Box<LaneCompressor>>,
    /// The events of this round.
    batch: Option<Box<BatchBuilder>>,
    /// When the lane was last given an id.
    pub(super) last_id: Instant,
    /// How many events had been seen by then.
    seen_at_id: u64,
}

/// What was composed in this round.
struct Round {
    max_batch_bytes: usize,
    /// The numbers of the lanes that have events in their batches.
    touched: Vec<u64>,
    /// How far the fullest batch is filled, in bytes.
    fullest: usize,
    /// The bytes of the events in all batches.
    bytes: usize,
    /// The number of filters that were evaluated.
    evaluations: usize,
}

/// The ids of the lanes, which differ in form only.
#[derive(Default)]
pub(super) struct Ids(Vec<(IdForm, EventFormat, IdTracker)>);

impl Members {
    pub(super) fn new(fields: &KeyFields) -> Self {
        Self {
            key_reader: KeyReader::new(fields),
            members: HashMap::new(),
            by_key: HashMap::new(),
            ids: Ids::default(),
            seen: 0,
            round: Round::new(MAX_BATCH_BYTES),
        }
    }

    /// Adds a lane. `last_id` is when it would have been given its last id.
    pub(super) fn insert(&mut self, number: u64, lane: Arc<Lane>, last_id: Instant) {
        for key in lane.required_keys() {
            self.by_key.entry(*key).or_default().push(number);
        }
        let member = Member {
            compressor: lane.is_compressed().then(|| Box::new(LaneCompressor::of(&lane))),
            lane,
            batch: None,
            last_id,
            seen_at_id: self.seen,
        };
        self.members.insert(number, member);
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some(member) = self.members.remove(&number) else {
            return;
        };
        for key in member.lane.required_keys() {
            if let Some(numbers) = self.by_key.get_mut(key) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Member> {
        self.members.get_mut(&number)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    /// Returns the number of events so far that are no canaries.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Begins a round in which no batch of several events is larger than this.
    pub(super) fn begin_round(&mut self, max_batch_bytes: usize) {
        self.round = Round::new(max_batch_bytes);
    }

    /// Returns the batches of the round, each with the number of its lane.
    pub(super) fn take_batches(&mut self, tracker: &Arc<BytesTracker>) -> Vec<(u64, Batch)> {
        let touched = mem::take(&mut self.round.touched);
        let batches = touched.into_iter().filter_map(|number| {
            let batch = self.members.get_mut(&number)?.batch.take()?;
            Some((number, batch.finish(Some(tracker))?))
        });
        batches.collect()
    }
}

impl EventSink for Members {
    fn is_empty(&self) -> bool {
        self.round.touched.is_empty()
    }

    /// Whether the fullest batch has room, because nobody knows yet whose the event is.
    fn has_room_for(&self, lines: usize) -> bool {
        let round = &self.round;
        round.evaluations < SCAN_FILTERED
            && (self.is_empty()
                || (round.fullest + lines <= round.max_batch_bytes && round.bytes + lines <= MAX_ROUND_BYTES))
    }

    fn take(&mut self, it: &MergedEvent<'_>, positions: Positions<'_>) {
        self.seen += u64::from(!it.event.canary);
        let Self {
            key_reader,
            members,
            by_key,
            ids,
            round,
            ..
        } = self;
        let Some(input) = filter_input(it.log, it.page, it.event) else {
            return;
        };
        let found = key_reader.read(&input).and_then(|key| by_key.get(&key));
        for number in found.into_iter().flatten() {
            let Some(member) = members.get_mut(number) else {
                continue;
            };
            round.evaluations += 1;
            let view = &member.lane.key.view;
            let accepts = view.filter.as_ref().is_none_or(|filter| filter.accepts(&input));
            if accepts && (view.shows_canaries || !it.event.canary) {
                let id = ids.of(view).after(positions, it.index, it.place);
                round.add(*number, member, it, id);
            }
        }
    }
}

impl Round {
    fn new(max_batch_bytes: usize) -> Self {
        Self {
            max_batch_bytes,
            touched: Vec::new(),
            fullest: 0,
            bytes: 0,
            evaluations: 0,
        }
    }

    /// Adds an event to the batch of a lane.
    fn add(&mut self, number: u64, member: &mut Member, it: &MergedEvent<'_>, id: &IdWriter) {
        if member.batch.is_none() {
            self.touched.push(number);
        }
        let StreamView { format, fields, .. } = &member.lane.key.view;
        let new = || Box::new(BatchBuilder::with_capacity_hint(0, self.max_batch_bytes, *format));
        let batch = member.batch.get_or_insert_with(new);
        batch.event(it.page, it.event, it.log.encoding(), fields.as_deref(), id);
        self.fullest = self.fullest.max(batch.filled());
        self.bytes += it.page.lines(it.event).len();
    }
}

impl Member {
    /// Compresses a batch, if the lane is to be compressed.
    pub(super) fn pack(&mut self, batch: Batch) -> Batch {
        match &mut self.compressor {
            Some(compressor) => compressor.pack(batch),
            None => batch,
        }
    }

    /// Drops what the compressor's window may contain of deleted records.
    pub(super) fn release_deleted(&mut self) {
        if let Some(compressor) = &mut self.compressor {
            compressor.release_deleted();
        }
    }

    /// Records that the lane was given an id when this many events had been seen.
    pub(super) fn record_id(&mut self, seen: u64) {
        self.last_id = Instant::now();
        self.seen_at_id = seen;
    }

    /// Returns how many of the events that were seen the lane was not given since its last id.
    pub(super) fn skipped(&self, seen: u64) -> u64 {
        seen - self.seen_at_id
    }
}

impl Ids {
    /// Returns the ids in the form of this view.
    pub(super) fn of(&mut self, view: &StreamView) -> &mut IdTracker {
        let StreamView { form, format, .. } = *view;
        let known = self.0.iter().position(|it| (it.0, it.1) == (form, format));
        let index = known.unwrap_or_else(|| {
            let tracker = IdTracker::new(form, format == EventFormat::Sse);
            self.0.push((form, format, tracker));
            self.0.len() - 1
        });
        &mut self.0[index].2
    }
}

/// The most bytes of events in all batches of a round, so that thousands of lanes do not take much memory beside their rings.
const MAX_ROUND_BYTES: usize = 1024 * 1024;
