//! Any stream, cut anywhere: the reader never panics, keeps to its limit, and the cuts make no difference.
//!
//! The first byte of the input sets the limit, and the second one the distance of the cuts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use riverhead::sse::{SseMessage, SseReader};

fuzz_target!(|input: &[u8]| {
    let [limit, distance, bytes @ ..] = input else {
        return;
    };
    let limit = usize::from(*limit) * 4;
    let whole = read(limit, [bytes]);
    let cut = read(limit, bytes.chunks(usize::from(*distance).max(1)));
    assert_eq!(whole, cut);
    for message in &whole.0 {
        // One byte that is not UTF-8 becomes three.
        assert!(message.data.len() <= limit * 3);
        assert!(!message.data.contains('\r'));
        assert!(!message.event.is_empty());
    }
});

fn read<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseMessage>, String, u64, bool) {
    let mut reader = SseReader::new(limit);
    let outcome = pieces.into_iter().try_for_each(|piece| reader.push(piece));
    let messages = std::iter::from_fn(|| reader.next_message()).collect();
    (
        messages,
        reader.last_id().to_owned(),
        reader.comments(),
        outcome.is_err(),
    )
}
