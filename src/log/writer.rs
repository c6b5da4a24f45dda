//! The thread that writes log lines to stderr, and the writer that queues lines for it.
//!
//! Not here: the bounds of the queue (`queue`).

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::queue::{LineClass, LogQueue};

/// Makes a [`LineWriter`] for each line.
#[derive(Clone, Debug)]
pub(super) struct MakeLineWriter(pub(super) Arc<LogQueue>);

/// Queues one line.
#[derive(Debug)]
pub(super) struct LineWriter<'a> {
    queue: &'a LogQueue,
    class: LineClass,
}

impl<'a> MakeWriter<'a> for MakeLineWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter {
            queue: &self.0,
            class: LineClass::Operation,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter {
            queue: &self.0,
            class: class_of(metadata.target(), *metadata.level()),
        }
    }
}

impl Write for LineWriter<'_> {
    /// Queues the whole buffer, which is one line: the subscriber writes each line with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(self.class, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the class of a module's lines. Debug lines always count as requests, because there are as many as there is traffic.
fn class_of(target: &str, level: Level) -> LineClass {
    let is_of = |module: &&str| target.starts_with(*module);
    let is_about_operations = OPERATION_TARGETS.iter().any(&is_of);
    let is_about_requests = REQUEST_TARGETS.iter().any(is_of) && !is_about_operations;
    if is_about_requests || level > Level::INFO {
        LineClass::Request
    } else {
        LineClass::Operation
    }
}

/// Modules whose lines can be caused at will, by clients or by a library that retries.
const REQUEST_TARGETS: &[&str] = &["riverhead::http", "riverhead::limits", "librdkafka"];

/// Exceptions among these modules: commands that were carried out, and the listener's own state.
const OPERATION_TARGETS: &[&str] = &[
    "riverhead::http::routes::commands",
    "riverhead::http::server::listener",
];

/// Starts the thread that writes the lines of `queue`, for as long as the process runs.
///
/// # Errors
/// If the system has no thread to give.
pub(super) fn start(queue: Arc<LogQueue>) -> io::Result<()> {
    let name = "log".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        let mut reported = 0;
        loop {
            reported = write_lines(&queue, &mut Stderr, reported);
        }
    })?;
    Ok(())
}

/// Writes a batch, and reports dropped lines. Returns how many dropped lines have been reported by now.
///
/// Nothing is reported while the sink fails, because its reader has ended or its disk is full. The report would itself be dropped
/// and reported, in an endless loop without a pause.
fn write_lines(queue: &LogQueue, sink: &mut impl Write, reported: u64) -> u64 {
    match write_batch(queue, sink) {
        Ok(()) => report_dropped(queue, reported),
        Err(_) => reported,
    }
}

fn write_batch(queue: &LogQueue, sink: &mut impl Write) -> io::Result<()> {
    let batch = queue.next_batch();
    let written = sink.write_all(&batch.text);
    queue.release(&batch, written.is_ok());
    written
}

/// Logs how many lines are missing, once there is space again. Returns how many have been reported by now.
fn report_dropped(queue: &LogQueue, reported: u64) -> u64 {
    let [requests, operations] = LineClass::ALL.map(|class| queue.dropped_lines(class));
    let dropped_lines = requests + operations;
    if dropped_lines > reported {
        tracing::warn!(
            lines = dropped_lines - reported,
            "log lines were dropped, because they were not read fast enough or could not be written"
        );
    }
    dropped_lines
}

/// The file descriptor of stderr. `std`'s handle has a lock that would be held during a write to a full pipe, so that every other
/// write to stderr would block too.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = rustix::stdio::stderr();
        loop {
            match rustix::io::write(stderr, bytes) {
                Ok(written) => return Ok(written),
                // Another process that shares the pipe may have made it non-blocking.
                Err(Errno::AGAIN) => _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    /// A reader that takes one batch per signal.
    struct Reader {
        go: mpsc::Receiver<()>,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(io::Error::other)?;
            self.read.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_does_not_wait_for_a_reader_that_has_stopped() {
        let queue = Arc::new(LogQueue::default());
        let (tell, go) = mpsc::channel();
        let (read, written) = mpsc::channel();
        let writer_queue = Arc::clone(&queue);
        let thread = thread::spawn(move || {
            let mut reader = Reader { go, read };
            let _ = write_batch(&writer_queue, &mut reader);
            let _ = write_batch(&writer_queue, &mut reader);
        });
        queue.push(LineClass::Operation, b"first\n");
        for _ in 0..100_000 {
            queue.push(LineClass::Request, b"a line about a request that nobody reads\n");
        }
        queue.push(LineClass::Operation, b"last\n");
        assert!(queue.dropped_lines(LineClass::Request) > 0);
        assert_eq!(queue.dropped_lines(LineClass::Operation), 0);
        assert!(!queue.flush(Duration::from_millis(10)), "nobody reads");
        tell.send(()).unwrap();
        assert!(written.recv().unwrap().starts_with(b"first\n"));
        drop(tell);
        thread.join().unwrap();
    }

    /// A sink that accepts lines, or fails like a pipe without a reader.
    #[derive(Default)]
    struct Pipe {
        is_closed: bool,
        text: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.is_closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.text.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_is_told_nothing_until_it_does() {
        let queue = Arc::new(LogQueue::default());
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(MakeLineWriter(Arc::clone(&queue)))
            .finish();
        let _lines = tracing::subscriber::set_default(lines);
        let mut pipe = Pipe {
            is_closed: true,
            ..Pipe::default()
        };
        queue.push(LineClass::Operation, b"lost\n");
        let reported = write_lines(&queue, &mut pipe, 0);
        assert_eq!(queue.dropped_lines(LineClass::Operation), 1);
        assert!(
            queue.flush(Duration::ZERO),
            "a line came about the line that was dropped"
        );
        pipe.is_closed = false;
        queue.push(LineClass::Operation, b"read\n");
        let reported = write_lines(&queue, &mut pipe, reported);
        write_lines(&queue, &mut pipe, reported);
        let text = String::from_utf8(pipe.text).unwrap();
        assert!(text.starts_with("read\n") && text.contains("lines=1"), "{text}");
        assert!(queue.flush(Duration::ZERO), "{text}");
    }

    /// A reader that takes a while for each batch.
    struct SlowReader(mpsc::Sender<usize>);

    impl Write for SlowReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(50));
            self.0.send(bytes.len()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_ends_waits_for_a_slow_reader_until_it_has_all() {
        let queue = Arc::new(LogQueue::default());
        for _ in 0..1_000 {
            queue.push(LineClass::Operation, &[b'x'; 100]);
        }
        let (tell, read) = mpsc::channel();
        let writer_queue = Arc::clone(&queue);
        let thread = thread::spawn(move || {
            let mut reader = SlowReader(tell);
            for _ in 0..2 {
                write_batch(&writer_queue, &mut reader).unwrap();
            }
        });
        assert!(queue.flush(Duration::from_secs(20)));
        thread.join().unwrap();
        assert_eq!(read.iter().sum::<usize>(), 100_000);
    }

    #[test]
    fn the_modules_whose_lines_are_told_apart_exist() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let targets = REQUEST_TARGETS.iter().chain(OPERATION_TARGETS);
        for module in targets.filter_map(|target| target.strip_prefix("riverhead::")) {
            let path = source.join(module.replace("::", "/"));
            let is_there = path.with_extension("rs").is_file() || path.join("mod.rs").is_file();
            assert!(is_there, "{module}");
        }
    }

    #[test]
    fn strangers_and_libraries_cannot_fill_what_is_kept_for_operations() {
        for target in [
            "riverhead::http::delivery::accounting",
            "riverhead::limits",
            "riverhead::http::error",
            "librdkafka",
        ] {
            assert_eq!(class_of(target, Level::ERROR), LineClass::Request, "{target}");
        }
        for target in [
            "riverhead::app::life",
            "riverhead::app::reload",
            "riverhead::kafka::supervisor::reachability",
            "riverhead::kafka::failover",
            "riverhead::health",
            "riverhead::http::routes::commands",
            "riverhead::http::server::listener",
        ] {
            assert_eq!(class_of(target, Level::INFO), LineClass::Operation, "{target}");
            assert_eq!(class_of(target, Level::DEBUG), LineClass::Request, "{target}");
        }
    }
}
