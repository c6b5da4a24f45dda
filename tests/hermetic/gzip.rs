//! gzip streams over real sockets: compressed once for all clients of a lane, and read by common programs.

use std::{
    io::Read,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use flate2::{Decompress, FlushDecompress, Status};
use riverhead::sse::SseReader;
use tokio::task::spawn_blocking;

use crate::support::{
    gateway::{TestClient, TestGateway},
    model::{ModelFixture, number},
};

const PATH: &str = "/v2/stream/edits?encoding=gzip";

/// The position before the first record.
const ALL: &str = r#"[{"topic":"edits","partition":0,"offset":-2}]"#;

/// Creates a topic of one partition, with the numbers 1 to 40.
fn fixture() -> ModelFixture {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 40);
    fixture
}

/// A client that decompresses what it receives.
struct Reading {
    client: TestClient,
    inflate: Decompress,
    reader: SseReader,
    /// The received bytes, and the decompressed ones.
    wire: usize,
    plain: usize,
    ended: bool,
}

impl Reading {
    async fn start(gateway: &TestGateway, target: &str, id: &str) -> Self {
        let from = format!("last-event-id: {id}\r\n");
        let mut client = TestClient::ask(gateway.public, target, &from).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        Self {
            client,
            inflate: Decompress::new_gzip(15),
            reader: SseReader::new(1 << 20),
            wire: 0,
            plain: 0,
            ended: false,
        }
    }

    /// Reads and decompresses the next chunk. Returns false at the end.
    async fn chunk(&mut self) -> bool {
        let chunk = self.client.chunk_bytes().await;
        let mut out = vec![0; 1 << 20];
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(&chunk, &mut out, FlushDecompress::Sync);
        self.ended |= status.expect("gzip, with its checksum at the end") == Status::StreamEnd;
        assert_eq!(self.inflate.total_in() - read, chunk.len() as u64);
        let length = (self.inflate.total_out() - written) as usize;
        self.reader.push(&out[..length]).unwrap();
        self.wire += chunk.len();
        self.plain += length;
        !chunk.is_empty()
    }

    /// Returns the next `n` numbers.
    async fn take(&mut self, n: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < n {
            match self.reader.next_message() {
                Some(message) => numbers.push(number(&message.data)),
                None => assert!(self.chunk().await, "more events"),
            }
        }
        numbers
    }
}

#[tokio::test]
async fn who_comes_while_others_read_gets_all_and_soon_a_quarter_of_the_bytes() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut first = Reading::start(&gateway, PATH, ALL).await;
    assert_eq!(first.take(40).await, (1..=40).collect::<Vec<_>>());
    // Until the lane has a batch, its first client reads by itself.
    let mut written = 40;
    while gateway.lanes.bytes() < 4096 {
        fixture.write(0, 10);
        written += 10;
        assert_eq!(first.take(10).await.last(), Some(&written));
    }
    let mut second = Reading::start(&gateway, PATH, ALL).await;
    assert_eq!(
        second.take(written as usize).await,
        (1..=written).collect::<Vec<_>>()
    );
    // Three epochs, so that both clients share one.
    for _ in 0..100 {
        fixture.write(0, 10);
        let new: Vec<_> = (written + 1..=written + 10).collect();
        assert_eq!(first.take(10).await, new);
        assert_eq!(second.take(10).await, new);
        written += 10;
    }
    let before = (second.wire, second.plain);
    for _ in 0..50 {
        fixture.write(0, 10);
        assert_eq!(second.take(10).await.len(), 10);
    }
    let (wire, plain) = (second.wire - before.0, second.plain - before.1);
    assert!(wire * 4 < plain, "{plain} bytes became {wire}");
    assert_eq!(first.take(500).await.last(), Some(&(written + 500)));
}

#[tokio::test]
async fn a_heartbeat_in_the_midst_of_an_epoch_spoils_nothing_and_the_end_is_an_end() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |settings| {
        settings.heartbeat = Duration::from_millis(200)
    });
    let mut reading = Reading::start(&gateway, PATH, ALL).await;
    reading.take(40).await;
    for round in 1..=10 {
        fixture.write(0, 5);
        let last = 40 + round * 5;
        assert_eq!(reading.take(5).await.last(), Some(&last));
        if round % 3 == 0 {
            let before = reading.plain;
            assert!(reading.chunk().await);
            assert_eq!(reading.plain - before, 2, "a heartbeat");
        }
    }
    let drain = tokio::spawn(gateway.signal.drain(Duration::ZERO));
    while reading.chunk().await {}
    assert!(reading.ended, "cut");
    drain.await.unwrap();
}

#[tokio::test]
async fn lines_of_json_are_packed_too_and_a_head_says_so() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let headers = format!("accept: application/json\r\nlast-event-id: {ALL}\r\n");
    let mut client = TestClient::ask(gateway.public, PATH, &headers).await;
    assert!(client.head().await.contains("\r\ncontent-encoding: gzip\r\n"));
    let (mut inflate, mut lines) = (Decompress::new_gzip(15), Vec::new());
    while lines.iter().filter(|byte| **byte == b'\n').count() < 41 {
        let chunk = client.chunk_bytes().await;
        lines.reserve(1 << 20);
        inflate
            .decompress_vec(&chunk, &mut lines, FlushDecompress::Sync)
            .unwrap();
    }
    let text = String::from_utf8(lines).unwrap();
    let numbers: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(number).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send(&format!("HEAD {PATH} HTTP/1.1\r\nhost: test\r\n\r\n"))
        .await;
    assert!(client.head().await.contains("\r\ncontent-encoding: gzip\r\n"));
}

/// Programs that decompress gzip as a stream, each with a different library.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("curl", &["--silent", "--no-buffer", "--compressed", "--fail"]),
    ("python3", &["-c", PYTHON]),
    ("node", &["-e", NODE]),
];

const PYTHON: &str = "
import sys, urllib.request, zlib
answer = urllib.request.urlopen(sys.argv[1])
assert answer.headers['content-encoding'] == 'gzip'
unpack = zlib.decompressobj(31)
while piece := answer.read1(65536):
    sys.stdout.buffer.write(unpack.decompress(piece))
    sys.stdout.flush()
assert unpack.eof, 'cut'
";

const NODE: &str = "
const http = require('http'), zlib = require('zlib')
http.get(process.argv[1], answer =>
    answer.pipe(zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH })).pipe(process.stdout))
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, python3 and node: ./tests/run"]
async fn curl_python_and_node_read_what_is_packed() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    // A client is in the lane when they connect.
    let mut first = Reading::start(&gateway, PATH, ALL).await;
    first.take(40).await;
    while gateway.lanes.bytes() < 4096 {
        fixture.write(0, 10);
        first.take(10).await;
    }
    let url = format!("http://{}{PATH}&last_event_id={}", gateway.public, escaped(ALL));
    let mut programs: Vec<_> = PROGRAMS
        .iter()
        .map(|program| Program::start(program, &url))
        .collect();
    let mut written = fixture.model.lock().n;
    for program in &mut programs {
        program.take_up_to(written).await;
    }
    for _ in 0..100 {
        fixture.write(0, 20);
        written += 20;
        for program in &mut programs {
            program.take_up_to(written).await;
        }
    }
    let drain = tokio::spawn(gateway.signal.drain(Duration::ZERO));
    for program in programs {
        program.end().await;
    }
    drop(first);
    drain.await.unwrap();
}

/// A program that prints what it reads.
struct Program {
    name: &'static str,
    child: Child,
    output: Option<(ChildStdout, SseReader)>,
    last: u64,
}

impl Program {
    fn start((name, arguments): &(&'static str, &[&str]), url: &str) -> Self {
        let mut child = Command::new(name)
            .args(*arguments)
            .arg(url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = child
            .stdout
            .take()
            .map(|stdout| (stdout, SseReader::new(1 << 20)));
        Self {
            name,
            child,
            output,
            last: 0,
        }
    }

    /// Reads the numbers up to this one.
    async fn take_up_to(&mut self, goal: u64) {
        let (mut stdout, mut reader) = self.output.take().unwrap();
        let (name, mut last) = (self.name, self.last);
        let reading = spawn_blocking(move || {
            let mut buffer = [0; 65536];
            while last < goal {
                match reader.next_message() {
                    Some(message) => {
                        assert_eq!(number(&message.data), last + 1, "{name}");
                        last += 1;
                    }
                    None => {
                        let length = stdout.read(&mut buffer).unwrap();
                        assert!(length > 0, "{name} ended at {last}");
                        reader.push(&buffer[..length]).unwrap();
                    }
                }
            }
            (stdout, reader)
        });
        let reading = tokio::time::timeout(crate::support::gateway::DEADLINE, reading).await;
        self.output = Some(reading.unwrap_or_else(|_| panic!("{name} is late")).unwrap());
        self.last = goal;
    }

    /// Waits until the program ends with success.
    async fn end(mut self) {
        let (mut stdout, _) = self.output.take().unwrap();
        let ended = spawn_blocking(move || {
            stdout.read_to_end(&mut Vec::new()).unwrap();
            self.child.wait().unwrap()
        });
        let status = ended.await.unwrap();
        assert!(status.success(), "{}: {status}", self.name);
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
