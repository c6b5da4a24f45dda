//! The times of the first and the last record of each log. Those that no memory has are asked for, one at a time.
//!
//! Not here: the offsets (the logs know them), and the reads themselves (`partition::History`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::{
    client::ClientKey,
    event::Event,
    partition::{History, HistoryError, LogDirectory, LogRead, Page, PartitionLog, TopicPartition},
    position::{LogTag, Offset, Timestamp},
};

/// One end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Edge {
    /// The first record at or after an offset.
    First,
    /// The last record before an offset.
    Last,
}

/// The times that are known, and the questions that wait.
pub(super) struct EdgeTimes {
    history: Arc<dyn History>,
    state: Mutex<State>,
    /// Notified when a question comes.
    wanted: Notify,
}

/// At most two entries for each partition of the catalog.
#[derive(Default)]
struct State {
    answers: HashMap<Place, Answer>,
    questions: VecDeque<Question>,
    /// The places of `questions`, and that of the one that is asked now.
    waiting: HashSet<Place>,
}

type Place = (TopicPartition, Edge);

struct Question {
    log: Arc<PartitionLog>,
    edge: Edge,
    offset: Offset,
}

/// What was found at one end of a log. It stands for as long as the log has this end.
struct Answer {
    tag: LogTag,
    offset: Offset,
    timestamp: Option<Timestamp>,
    /// When to ask again.
    expires: Instant,
}

impl EdgeTimes {
    pub(super) fn new(history: Arc<dyn History>) -> Self {
        Self {
            history,
            state: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// Returns the time of the record at this edge of a log, which is at `offset`. If it is not known, returns `None`,
    /// and the time is asked for.
    pub(super) fn at(&self, log: &Arc<PartitionLog>, edge: Edge, offset: Offset) -> Option<Timestamp> {
        if let Some(timestamp) = edge.in_memory(log, offset) {
            return Some(timestamp);
        }
        let place = (log.partition().clone(), edge);
        let mut state = self.state.lock();
        let known = state.answers.get(&place);
        let known = known.filter(|known| known.tag == log.tag() && known.offset == offset);
        let timestamp = known.and_then(|known| known.timestamp);
        let is_fresh = known.is_some_and(|known| Instant::now() < known.expires);
        if !is_fresh && state.waiting.insert(place) {
            state.questions.push_back(Question {
                log: Arc::clone(log),
                edge,
                offset,
            });
            self.wanted.notify_one();
        }
        timestamp
    }

    /// Answers the questions, one at a time. Never ends.
    pub(super) async fn ask(&self) -> Infallible {
        loop {
            let question = self.state.lock().questions.pop_front();
            match question {
                Some(question) => {
                    self.answer(question).await;
                    sleep(PAUSE).await;
                }
                None => self.wanted.notified().await,
            }
        }
    }

    async fn answer(&self, question: Question) {
        let Question { log, edge, offset } = question;
        let found = timeout(ANSWER_TIMEOUT, edge.find(&log, &*self.history, offset)).await;
        let (timestamp, stands) = match found {
            Ok(Ok(timestamp)) => (timestamp, STANDS),
            Ok(Err(_)) | Err(_) => (None, RETRY),
        };
        let answer = Answer {
            tag: log.tag(),
            offset,
            timestamp,
            expires: Instant::now() + stands,
        };
        let place = (log.partition().clone(), edge);
        let mut state = self.state.lock();
        state.waiting.remove(&place);
        state.answers.insert(place, answer);
    }

    /// Forgets the questions and the answers about partitions that are no longer there.
    pub(super) fn forget_gone(&self, directory: &LogDirectory) {
        let is_there = |it: &TopicPartition| directory.get(&it.topic, it.partition).is_some();
        let mut state = self.state.lock();
        state
            .questions
            .retain(|question| is_there(question.log.partition()));
        state.waiting.retain(|(it, _)| is_there(it));
        state.answers.retain(|(it, _), _| is_there(it));
    }
}

impl Edge {
    /// Returns the time if the ring has the page with the record.
    fn in_memory(self, log: &PartitionLog, offset: Offset) -> Option<Timestamp> {
        match log.read(self.within(offset)) {
            LogRead::Page(page) => self.time_in(&page, offset),
            _ => None,
        }
    }

    /// Returns the time of the record, from the pages around `offset`. Gives up after a few pages without a record that
    /// has a time.
    async fn find(
        self,
        log: &Arc<PartitionLog>,
        history: &dyn History,
        offset: Offset,
    ) -> Result<Option<Timestamp>, HistoryError> {
        let mut at = self.within(offset);
        for _ in 0..MAX_PAGES {
            let page = match log.read(at) {
                LogRead::Page(page) => page,
                LogRead::Below => history.page(log, at, nobody()).await?,
                LogRead::Ahead => return Ok(None),
                LogRead::Replaced => return Err(HistoryError::Replaced),
            };
            if let Some(timestamp) = self.time_in(&page, offset) {
                return Ok(Some(timestamp));
            }
            match self.behind(&page, at) {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Returns an offset on this side of `offset`.
    fn within(self, offset: Offset) -> Offset {
        match self {
            Self::First => offset,
            Self::Last => offset.saturating_sub(1).max(0),
        }
    }

    /// Returns the time of the record in this page that is nearest to the edge and has one.
    fn time_in(self, page: &Page, offset: Offset) -> Option<Timestamp> {
        let (before, after) = page.events().split_at(page.index_of(offset));
        let times = |event: &Event| Some(event.timestamp).filter(|time| *time >= 0);
        match self {
            Self::First => after.iter().find_map(times),
            Self::Last => before.iter().rev().find_map(times),
        }
    }

    /// Returns the next offset to look at, further away from the edge than this page.
    fn behind(self, page: &Page, at: Offset) -> Option<Offset> {
        let next = match self {
            Self::First => Some(page.next()).filter(|next| *next > at),
            Self::Last => Some(page.range().start - 1).filter(|next| *next < at),
        };
        next.filter(|next| *next >= 0)
    }
}

/// Returns the key under which history serves these reads: that of no client, so that they take no client's turn.
fn nobody() -> ClientKey {
    ClientKey::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The pause between two questions. Each may read a page of 1 MiB from a broker's disk, which nobody else may want: they
/// must not drive the pages of clients that replay out of the cache.
const PAUSE: Duration = Duration::from_millis(500);

/// How long an answer may take. History answers within a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// For how long an answer stands while the log has the same end. Compaction can remove the first record without moving the
/// start of the log.
const STANDS: Duration = Duration::from_secs(3600);

/// After which time a question without an answer is asked again, if somebody still wants to know.
const RETRY: Duration = Duration::from_secs(30);

/// The most pages for one question. Only compaction and transactions leave pages without a record.
const MAX_PAGES: usize = 4;

#[cfg(test)]
mod tests;
