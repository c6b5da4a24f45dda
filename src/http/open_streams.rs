//! The open streams of the public listener, by the names that they were admitted to: a reload ends some of them.
//!
//! Not here: which of them end (`routes::standing`), and how (`delivery::evict`).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::{
    auth::Principal,
    catalog::StreamName,
    limits::{EvictReason, Evictable},
};

/// The open streams. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct OpenStreams(Arc<Mutex<Streams>>);

#[derive(Debug, Default)]
struct Streams {
    by_number: HashMap<u64, OpenStream, RandomState>,
    next: u64,
}

/// One open stream.
#[derive(Debug)]
pub(super) struct OpenStream {
    /// The names in the catalog of the time when it began.
    pub(super) names: Box<[StreamName]>,
    pub(super) principal: Option<Arc<Principal>>,
    pub(super) stream: Weak<dyn Evictable>,
}

/// An entry among the open streams, which ends with it.
#[derive(Debug)]
pub(super) struct OpenStreamGuard {
    streams: OpenStreams,
    number: u64,
}

impl OpenStreams {
    /// Adds a stream until the guard is dropped.
    pub(super) fn add(&self, stream: OpenStream) -> OpenStreamGuard {
        let mut streams = self.0.lock();
        let number = streams.next;
        streams.next += 1;
        streams.by_number.insert(number, stream);
        OpenStreamGuard {
            streams: self.clone(),
            number,
        }
    }

    /// Returns the streams for which `verdict` has a reason to end.
    pub(super) fn find(
        &self,
        verdict: impl Fn(&OpenStream) -> Option<EvictReason>,
    ) -> Vec<(Weak<dyn Evictable>, EvictReason)> {
        let streams = self.0.lock();
        let ending = streams.by_number.values();
        let ending = ending.filter_map(|open| Some((Weak::clone(&open.stream), verdict(open)?)));
        ending.collect()
    }
}

impl Drop for OpenStreamGuard {
    fn drop(&mut self) {
        let gone = {
            let mut streams = self.streams.0.lock();
            let gone = streams.by_number.remove(&self.number);
            if streams.by_number.len() < streams.by_number.capacity() / SPARSE {
                streams.by_number.shrink_to_fit();
            }
            gone
        };
        drop(gone);
    }
}

/// The table gives memory back when fewer than one slot in so many is occupied.
const SPARSE: usize = 8;
