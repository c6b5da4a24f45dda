//! Reads logs for tests.

use std::net::Ipv4Addr;

use riverhead::{
    client::ClientKey,
    event::Event,
    partition::{LogRead, PartitionLog},
    position::Offset,
};

/// Returns the client for which tests read history.
pub(crate) fn client() -> ClientKey {
    ClientKey::of(Ipv4Addr::LOCALHOST.into())
}

/// Returns all events of a ring from an offset on.
pub(crate) fn ring(log: &PartitionLog, mut offset: Offset) -> Vec<Event> {
    let mut events = Vec::new();
    while let LogRead::Page(page) = log.read(offset) {
        events.extend_from_slice(&page.events()[page.index_of(offset)..]);
        offset = page.next();
    }
    events
}

pub(crate) fn offsets(events: &[Event]) -> Vec<Offset> {
    events.iter().map(|event| event.offset).collect()
}
