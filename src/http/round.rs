//! Passes over all who get the same.

use super::chunks::{Framed, WRITE};
use crate::subscription::{Batch, Most, News, Stretch};

/// What passes over a crowd give to each, and how far the pass has come.
///
/// What comes during a pass is added, so that each gets what there is by its turn, as if it had asked. Those whose turn was
/// before get it in another pass.
#[derive(Debug)]
pub(super) struct Round {
    /// `None` if each has to be polled.
    share: Option<Share>,
    /// How many of its batches there were when the pass began: all have had them when it ends.
    old: usize,
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
        Self {
            old: share.as_ref().map_or(0, Share::len),
            share,
            next: 0,
        }
    }

    /// How much may be added; nothing if each is polled, who takes what there is by itself.
    pub(super) fn room(&self) -> Option<Most> {
        self.share.as_ref().and_then(Share::room)
    }

    /// Adds what came since.
    pub(super) fn add(&mut self, news: News) {
        match (&mut self.share, news) {
            (Some(share), News::Stretch(stretch)) => share.extend(stretch),
            // Also those whose turn was before.
            (_, news) => *self = Self::new(news),
        }
    }

    /// The next key, as long as there is anything for whoever has it; there are keys up to `end`, and not all of them are
    /// somebody's.
    pub(super) fn step(&mut self, end: usize) -> Option<usize> {
        if self.next >= end {
            let share = self.share.as_mut()?;
            share.forget(self.old);
            self.old = share.len();
            self.next = 0;
            if self.old == 0 {
                return None;
            }
        }
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
        frame(&stretch, &mut framed);
        Self { stretch, framed }
    }

    fn extend(&mut self, next: Stretch) {
        frame(&next, &mut self.framed);
        self.stretch.extend(next);
    }

    fn forget(&mut self, count: usize) {
        self.stretch.forget(count);
        self.framed.forget(count);
    }

    fn len(&self) -> usize {
        self.stretch.batches().len()
    }

    /// A client gets what comes during one pass, and what is here comes during two.
    fn room(&self) -> Option<Most> {
        let batches = (2 * WRITE.batches).saturating_sub(self.len());
        let bytes = (2 * WRITE.bytes).saturating_sub(self.framed.len());
        (batches > 0 && bytes > 0).then_some(Most { batches, bytes })
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

fn frame(stretch: &Stretch, framed: &mut Framed) {
    let data = stretch.batches().iter().map(|batch| &batch.bytes);
    data.for_each(|data| framed.push(data));
}
