//! `riverhead tail` prints a fast stream to a pipe. The stream is not that of a gateway, which would take the processor time that is to be
//! measured.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use riverhead::position::{IdForm, IdWriter, LogPosition, LogTag, PartitionPosition};
use riverhead_brokers::{spawn, value};
use serde::Serialize;

use super::problems;
use crate::{
    numbers::number,
    process::Process,
    progress::Progress,
    server::PARTITIONS,
    table::{Table, figure},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Events per second.
    pub rate: f64,
    /// Bytes of each value.
    pub record_bytes: usize,
    /// How long each form is measured.
    pub duration: Duration,
    /// A template that begins with `{n}`, measured beside the values themselves.
    pub template: String,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Events per second, as they are written.
    pub rate: f64,
    /// Bytes of each value.
    pub record_bytes: usize,
    /// The measurement of each form of output.
    pub turns: Vec<Turn>,
}

/// The measurement of one form of output.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    /// The template; `None` for the values themselves.
    pub template: Option<String>,
    /// The number of lines.
    pub lines: u64,
    /// The time in which they came, in seconds.
    pub seconds: f64,
    /// Processor time of `tail` in this time, in user mode and in the kernel.
    pub cpu: Duration,
    /// Resident memory of `tail` at the end, in bytes.
    pub resident: u64,
    /// The first line that is not the one that follows.
    pub wrong: Option<String>,
}

impl Tail {
    /// Runs the scenario. It needs no brokers.
    ///
    /// # Errors
    /// If `tail` does not start, or ends by itself.
    pub fn run(&self) -> io::Result<Report> {
        let mut turns = Vec::new();
        for template in [None, Some(self.template.as_str())] {
            self.progress
                .say(format_args!("tail prints {}", template.unwrap_or("values")));
            turns.push(self.turn(template)?);
        }
        Ok(Report {
            rate: self.rate,
            record_bytes: self.record_bytes,
            turns,
        })
    }

    fn turn(&self, template: Option<&str>) -> io::Result<Turn> {
        let (address, source) = serve(self.rate, self.record_bytes)?;
        let mut tail = Printing::start(&self.binary, address, template)?;
        let process = Process::new(tail.child.id());
        tail.read_for(WARM_UP)?;
        let (began, before, first) = (Instant::now(), process.cpu()?, tail.lines);
        tail.read_for(self.duration)?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), process.cpu()? - before);
        let turn = Turn {
            template: template.map(str::to_owned),
            lines: tail.lines - first,
            seconds,
            cpu,
            resident: process.resident()?,
            wrong: tail.wrong.take(),
        };
        // The source ends when its only client does.
        drop(tail);
        _ = source.join();
        Ok(turn)
    }
}

/// A running `tail`, and the pipe that it writes to. Dropping it kills the process.
struct Printing {
    child: Child,
    pipe: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    lines: u64,
    wrong: Option<String>,
}

impl Printing {
    fn start(binary: &Path, address: SocketAddr, template: Option<&str>) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["tail", "--quiet", &format!("http://{address}/v2/stream/numbers")])
            .args(template.iter().flat_map(|template| ["--template", template]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let pipe: Box<dyn Read> = match child.stdout.take() {
            Some(pipe) => Box::new(pipe),
            None => Box::new(io::empty()),
        };
        Ok(Self {
            child,
            pipe: BufReader::with_capacity(PIPE, pipe),
            line: Vec::new(),
            lines: 0,
            wrong: None,
        })
    }

    /// Reads lines for this long, and compares each with the one that must follow.
    fn read_for(&mut self, duration: Duration) -> io::Result<()> {
        let began = Instant::now();
        while began.elapsed() < duration {
            self.line.clear();
            if self.pipe.read_until(b'\n', &mut self.line)? == 0 {
                return Err(io::Error::other("tail has ended"));
            }
            if number_of(&self.line) != Some(self.lines) && self.wrong.is_none() {
                let line = String::from_utf8_lossy(&self.line);
                self.wrong = Some(format!("{} instead of {}", line.trim_end(), self.lines));
            }
            self.lines += 1;
        }
        Ok(())
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Returns the number of a line: of a value, or the first word.
fn number_of(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    match line.starts_with('{') {
        true => number(line),
        false => line.split_ascii_whitespace().next()?.parse().ok(),
    }
}

/// Serves one client in a thread of its own, until that client is gone.
fn serve(rate: f64, bytes: usize) -> io::Result<(SocketAddr, thread::JoinHandle<io::Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept()?;
        Source::new(socket, bytes)?.run(rate)
    });
    Ok((address, thread))
}

/// A stream of numbered events, as riverhead writes it.
struct Source {
    socket: TcpStream,
    ids: IdWriter,
    bytes: usize,
    next: u64,
    chunk: Vec<u8>,
}

impl Source {
    /// Reads the request, and writes the head of the response.
    fn new(mut socket: TcpStream, bytes: usize) -> io::Result<Self> {
        let request = head(&socket)?;
        let form = match request.contains("id=compact") {
            true => IdForm::Compact,
            false => IdForm::Json,
        };
        socket.write_all(HEAD)?;
        let topic: Arc<str> = "eqiad.mediawiki.recentchange".into();
        let begin = |partition| (Arc::clone(&topic), partition as i32, position(0));
        Ok(Self {
            socket,
            ids: IdWriter::new(form, (0..PARTITIONS).map(begin)),
            bytes,
            next: 0,
            chunk: Vec::new(),
        })
    }

    /// Writes what is due, and waits for a tick, until the client is gone. A client that is too slow gets it later, and not less.
    fn run(mut self, rate: f64) -> io::Result<()> {
        let began = Instant::now();
        loop {
            let due = (began.elapsed().as_secs_f64() * rate) as u64;
            while self.next < due {
                self.batch(due)?;
            }
            thread::sleep(TICK);
        }
    }

    /// Writes events in a chunk of their own, as a gateway does: up to this number, and no more than fit a batch.
    fn batch(&mut self, end: u64) -> io::Result<()> {
        self.chunk.clear();
        while self.next < end && self.chunk.len() < BATCH {
            self.event();
        }
        write!(self.socket, "{:x}\r\n", self.chunk.len())?;
        self.chunk.extend_from_slice(b"\r\n");
        self.socket.write_all(&self.chunk)
    }

    /// Appends the next event.
    fn event(&mut self) {
        let partition = self.next as usize % PARTITIONS;
        self.ids
            .set(partition, &position(self.next / PARTITIONS as u64 + 1));
        self.chunk.extend_from_slice(b"event: message\nid: ");
        self.ids.write(&mut self.chunk);
        self.chunk.extend_from_slice(b"\ndata: ");
        self.chunk
            .extend_from_slice(value(self.next, self.bytes).as_bytes());
        self.chunk.extend_from_slice(b"\n\n");
        self.next += 1;
    }
}

/// Reads up to the blank line behind a head.
fn head(socket: &TcpStream) -> io::Result<String> {
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn position(offset: u64) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset: offset as i64,
        timestamp: Some(1_790_487_705_415 + offset as i64),
        log: Some(LogTag::from_bits(0x00ab_cdef, 7)),
        epoch: Some(4),
    })
}

impl Turn {
    fn rate(&self) -> f64 {
        self.lines as f64 / self.seconds
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let is_exact = self.turns.iter().all(|turn| turn.wrong.is_none());
        let keeps_up = |turn: &Turn| turn.rate() > ENOUGH * self.rate;
        problems([
            (is_exact, "a line is missing, comes twice or out of order"),
            (
                self.turns.iter().all(keeps_up),
                "tail did not keep up with the stream",
            ),
        ])
    }

    fn log(&self) -> &str {
        ""
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "riverhead tail to a pipe, {} events/s of {} bytes",
            self.rate, self.record_bytes
        )?;
        let mut table = Table::new(["output", "lines/s", "% of a processor", "us/line", "MB"]);
        for turn in &self.turns {
            let cpu = turn.cpu.as_secs_f64();
            table.row([
                turn.template.clone().unwrap_or_else(|| "values".into()),
                figure(Some(turn.rate()), 0),
                figure(Some(100.0 * cpu / turn.seconds), 1),
                figure(Some(1e6 * cpu / turn.lines as f64), 2),
                figure(Some(turn.resident as f64 / 1e6), 1),
            ]);
        }
        write!(f, "{table}")?;
        for wrong in self.turns.iter().filter_map(|turn| turn.wrong.as_ref()) {
            write!(f, "\nwrong: {wrong}")?;
        }
        Ok(())
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache, no-transform\r\ntransfer-encoding: chunked\r\n\r\n5\r\n:ok\n\n\r\n";

/// The time before the measurement, in which the process starts and connects.
const WARM_UP: Duration = Duration::from_secs(2);

/// The pause when nothing is due. A gateway composes about as often.
const TICK: Duration = Duration::from_millis(2);

/// The size of a batch of events, in bytes.
const BATCH: usize = 64 * 1024;

/// The size of the buffer that the pipe is read with: that of the pipe itself.
const PIPE: usize = 64 * 1024;

/// The share of the rate that counts as keeping up: lines are counted at two moments between batches.
const ENOUGH: f64 = 0.97;
