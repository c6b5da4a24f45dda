//! The answers of leaders: what of them goes to which caller, and which request follows.

use rdkafka::types::RDKafkaErrorCode;

use super::QueryWorker;
use crate::{
    health::FaultSource,
    kafka::{
        client::raw::FoundOffset,
        history::offset_queries::{
            pacer::QueryClass,
            reply::{QueryReply, send_all},
            stage::{EndQuery, QueryStage},
        },
    },
    partition::{Bounds, HistoryError, TopicPartition},
    position::Epoch,
};

impl QueryWorker {
    /// Delivers the leader's answers. For bounds, the starts are followed by a request for the ends, or by one for the high
    /// watermarks and then one for the ends.
    pub(super) fn deliver(
        &mut self,
        broker: i32,
        stage: QueryStage,
        offsets: Vec<Result<FoundOffset, RDKafkaErrorCode>>,
    ) {
        match stage {
            QueryStage::Starts(queries) => {
                let queries = queries.into_iter().zip(offsets);
                let found = queries.filter_map(|(query, offset)| {
                    Some((self.record_result(&query.partition, offset).ok()?, query))
                });
                let (highs, ends): (Vec<_>, Vec<_>) =
                    found.partition(|(_, query)| query.wants_lowest_epoch());
                self.send_next_stage(broker, QueryStage::HighWatermarks(highs));
                let ends = ends.into_iter().map(|(start, query)| EndQuery {
                    start,
                    high: None,
                    query,
                });
                self.send_next_stage(broker, QueryStage::Ends(ends.collect()));
            }
            QueryStage::HighWatermarks(queries) => {
                let queries = queries.into_iter().zip(offsets);
                let found = queries.filter_map(|((start, query), offset)| {
                    let high = Some(self.record_result(&query.partition, offset).ok()?);
                    Some(EndQuery { start, high, query })
                });
                let ends = QueryStage::Ends(found.collect());
                self.send_next_stage(broker, ends);
            }
            QueryStage::Ends(queries) => {
                for (EndQuery { start, high, query }, offset) in queries.into_iter().zip(offsets) {
                    let end = self.record_result(&query.partition, offset);
                    send_bounds(query.replies, high, end.and_then(|end| bounds(start, end)));
                }
            }
            QueryStage::Times(queries) => {
                for ((_, query), offset) in queries.into_iter().zip(offsets) {
                    let found = self.record_result(&query.partition, offset);
                    send_all(query.replies, found);
                }
            }
        }
    }

    /// Sends the next stage of a request that was answered, unless no partition is left.
    fn send_next_stage(&mut self, broker: i32, stage: QueryStage) {
        if stage.len() > 0 {
            self.pacer.record_sent(broker, QueryClass::Bounds);
            self.send_request(broker, stage);
        }
    }

    /// Records a leader's answer for one partition.
    fn record_result(
        &mut self,
        partition: &TopicPartition,
        offset: Result<FoundOffset, RDKafkaErrorCode>,
    ) -> Result<FoundOffset, HistoryError> {
        match offset {
            Ok(found) => {
                self.pacer.record_success(partition);
                self.core.shared.record_success(partition, FaultSource::Bounds);
                Ok(found)
            }
            Err(code) => {
                self.fail_partition(partition, code);
                Err(HistoryError::Unavailable)
            }
        }
    }
}

fn bounds(start: FoundOffset, end: FoundOffset) -> Result<Bounds, HistoryError> {
    let (Some(first), Some(last)) = (start.offset, end.offset) else {
        return Err(HistoryError::Unavailable);
    };
    Ok(Bounds {
        start: first,
        // Records may be deleted between the two queries.
        end: last.max(first),
        epoch: end.epoch,
    })
}

/// Sends the bounds to all callers. Those that want the lowest epoch get it in place of the leader's.
fn send_bounds(
    replies: Vec<QueryReply<Bounds>>,
    high: Option<FoundOffset>,
    result: Result<Bounds, HistoryError>,
) {
    for reply in replies {
        let result = match reply.wants_lowest_epoch() {
            true => result.map(|bounds| Bounds {
                epoch: high.and_then(|high| lowest_epoch(high, bounds)),
                ..bounds
            }),
            false => result,
        };
        reply.send(result);
    }
}

/// Returns the epoch below which no record from the end on is. `high` is the high watermark, queried before the end, and the epoch
/// of the leader that reported it. A leader reports its high watermark only once this has reached the first offset of its epoch.
/// So every record from there on has this epoch or a later one. The end is lower while a transaction is open, and the records
/// between the two may be those of earlier leaders.
fn lowest_epoch(high: FoundOffset, bounds: Bounds) -> Option<Epoch> {
    high.epoch
        .filter(|_| high.offset.is_some_and(|high| high <= bounds.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds_to(end: i64) -> Bounds {
        Bounds {
            start: 0,
            end,
            epoch: Some(4),
        }
    }

    fn epochs_told(high: Option<FoundOffset>, end: i64) -> [Option<Epoch>; 2] {
        let (sender, told) = std::sync::mpsc::channel();
        let reply = || {
            let sender = sender.clone();
            QueryReply::to_callback(move |result: Result<Bounds, _>| {
                sender.send(result.expect("bounds").epoch).expect("a receiver");
            })
        };
        send_bounds(
            vec![reply().with_lowest_epoch(), reply()],
            high,
            Ok(bounds_to(end)),
        );
        [(); 2].map(|()| told.recv().expect("an answer"))
    }

    /// A transaction of an earlier leader is open: its records, behind the end, are older than the epoch of the leader that told
    /// of it.
    #[test]
    fn an_end_below_the_high_watermark_tells_no_epoch_of_what_follows_it() {
        let high = Some(FoundOffset {
            offset: Some(10),
            epoch: Some(3),
        });
        assert_eq!(epochs_told(high, 5), [None, Some(4)]);
        assert_eq!(epochs_told(high, 9), [None, Some(4)]);
        assert_eq!(epochs_told(high, 10), [Some(3), Some(4)]);
        assert_eq!(
            epochs_told(high, 12),
            [Some(3), Some(4)],
            "records came in between"
        );
        assert_eq!(epochs_told(None, 10), [None, Some(4)], "it was not queried");
    }
}
