//! The warning about subscriptions whose ids are too long for any request to carry back.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::position::MAX_ID_BYTES;

/// Warns that the ids of this many partitions together are longer than an id may be, at most once a minute: every
/// client of such streams would cause the same line.
pub(super) fn warn(partitions: usize) {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let minute = since_epoch.map_or(0, |elapsed| elapsed.as_secs() / 60) + 1;
    warn_in(minute, &LAST_WARNED, partitions);
}

fn warn_in(minute: u64, last_warned: &AtomicU64, partitions: usize) {
    if last_warned.swap(minute, Relaxed) != minute {
        tracing::warn!(
            partitions,
            most_bytes = MAX_ID_BYTES,
            "an id with all these partitions is longer than the longest accepted id, so the events are sent without \
             ids and clients cannot resume; serve the topics as several streams"
        );
    }
}

/// The minute of the last warning, counted from 1; 0 before the first.
static LAST_WARNED: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Mutex,
    };

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<u8>>);

    impl Write for &Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_minute_one_line_says_what_to_do_about_ids_that_are_too_long() {
        let lines: &'static Lines = Box::leak(Box::default());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || lines)
            .finish();
        let last_warned = AtomicU64::new(0);
        tracing::subscriber::with_default(subscriber, || {
            for minute in [1, 1, 1, 2] {
                warn_in(minute, &last_warned, 2100);
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains("partitions=2100 most_bytes=16384"),
            "{text}"
        );
        assert!(lines[0].contains("topics as several streams"), "{text}");
    }
}
