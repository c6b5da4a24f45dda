//! The epoch that is told with bounds.

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
