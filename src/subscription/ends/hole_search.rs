//! Whether there is only a hole between a cursor that waits for the tail, and the end of its read.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;

use crate::{
    partition::{Cursor, History, Page},
    position::Offset,
};

/// A question to history for what there is at the end of a log.
///
/// The tail is given records only. If a log ends with a transaction marker, or its last records were compacted away, the tail is
/// told of these offsets with the record behind them. A read that ends there must not wait for that.
pub(super) struct HoleSearch {
    from: Offset,
    answer: BoxFuture<'static, Offset>,
}

impl HoleSearch {
    /// Starts to ask, after a while: usually the tail is about to read records that are there.
    pub(super) fn start(cursor: &Cursor, end: Offset, history: &Arc<dyn History>) -> Self {
        let (log, client, from) = (Arc::clone(cursor.log()), cursor.client(), cursor.next());
        let history = Arc::clone(history);
        let answer = async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                let mut at = from;
                for _ in 0..MAX_PAGES {
                    let Ok(page) = history.page(&log, at, client).await else {
                        break;
                    };
                    let Some(next) = hole_end(&page, at, end) else {
                        break;
                    };
                    at = next;
                }
                if at > from {
                    return at;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        Self {
            from,
            answer: Box::pin(answer),
        }
    }

    /// Returns whether it asks about this offset.
    pub(super) fn is_from(&self, offset: Offset) -> bool {
        self.from == offset
    }

    /// Waits until it is known that a hole begins there. Returns where it ends, or a part of it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Offset> {
        self.answer.as_mut().poll(context)
    }
}

/// Returns up to where the page shows that there are no records from one offset on, before the other. Returns `None` if it shows
/// nothing.
fn hole_end(page: &Page, from: Offset, end: Offset) -> Option<Offset> {
    let next = page.next().min(end);
    let is_hole = page.range().start <= from && !page.is_unreadable() && !page.has_event_in(&(from..next));
    (is_hole && next > from).then_some(next)
}

/// How long the tail is waited for: it reads a record within milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How many pages are read before the reader moves on. A page of a hole has no records.
const MAX_PAGES: usize = 64;

/// The longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
