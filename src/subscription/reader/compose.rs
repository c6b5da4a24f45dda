//! Filtering and encoding the events of a merge for one client, or for all clients of a lane.

use super::{
    id_tracker::{IdTracker, Positions},
    merged::{EventSink, MergedEvent},
};
use crate::{
    projection::Projection,
    subscription::{BatchBuilder, filter_state::FilterState},
};

/// Adds the events that a client wants to a batch.
pub(super) struct Composer<'a> {
    pub(super) shows_canaries: bool,
    pub(super) filter_state: Option<&'a mut FilterState>,
    /// The fields that the client wants; `None` if it wants all.
    pub(super) fields: Option<&'a Projection>,
    pub(super) id: &'a mut IdTracker,
    pub(super) batch: &'a mut BatchBuilder,
    /// How many events the batch may have.
    pub(super) most_events: u32,
}

impl EventSink for Composer<'_> {
    fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    fn has_room_for(&self, lines: usize) -> bool {
        self.batch.events() < self.most_events && self.batch.has_room_for(lines)
    }

    fn take(&mut self, it: &MergedEvent<'_>, positions: Positions<'_>) {
        let shown = self.shows_canaries || !it.event.canary;
        let filter_state = self.filter_state.as_mut();
        if shown && filter_state.is_none_or(|filter_state| filter_state.accepts(it.log, it.page, it.event)) {
            let id = self.id.after(positions, it.index, it.place);
            let encoding = it.log.encoding();
            self.batch.event(it.page, it.event, encoding, self.fields, id);
        }
    }
}
