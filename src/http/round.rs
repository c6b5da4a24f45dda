//! A pass over all who get the same.

use super::chunks::Framed;
use crate::subscription::{Batch, News, Stretch};

/// What a pass over a crowd gives to each, and how far it has come.
#[derive(Debug)]
pub(super) struct Round {
    /// `None` if each has to be polled.
    share: Option<Share>,
    /// The key of whose turn it is.
    next: usize,
}

/// Batches for all, composed and framed once.
#[derive(Debug)]
pub(super) struct Share {
    stretch: Stretch,
    framed: Framed,
}

impl Round {
    pub(super) fn new(news: News) -> Self {
        let share = match news {
            News::Stretch(stretch) => Some(Share::of(stretch)),
            News::Each => None,
        };
        Self { share, next: 0 }
    }

    /// The next key; there are those up to `end`, and not all of them are somebody's.
    pub(super) fn step(&mut self, end: usize) -> Option<usize> {
        let key = self.next;
        self.next += 1;
        (key < end).then_some(key)
    }

    pub(super) fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }
}

impl Share {
    fn of(stretch: Stretch) -> Self {
        let mut framed = Framed::default();
        stretch
            .batches()
            .iter()
            .for_each(|batch| framed.push(&batch.bytes));
        Self { stretch, framed }
    }

    pub(super) fn stretch(&self) -> &Stretch {
        &self.stretch
    }

    /// What is to be written to one who has had `had` of its batches.
    pub(super) fn bytes(&self, had: usize) -> &[u8] {
        self.framed.behind(had)
    }

    /// The same, as batches.
    pub(super) fn batches(&self, had: usize) -> &[Batch] {
        &self.stretch.batches()[had..]
    }
}
