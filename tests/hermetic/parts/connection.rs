//! One connection of a reader: its format and coding, taken off.

use flate2::{Decompress, FlushDecompress};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use riverhead::sse::{SseMessage, SseReader};

use crate::support::gateway::{TestClient, TestGateway};

/// How a connection is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) gzip: bool,
    pub(super) compact: bool,
    pub(super) lines: bool,
}

/// What all readers of a schedule ask for.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) stream: &'static str,
    pub(super) fields: Option<&'static str>,
    pub(super) filter: Option<&'static str>,
}

/// An open stream.
pub(super) struct Connection {
    client: TestClient,
    inflate: Option<Decompress>,
    reader: SseReader,
    /// The bytes of JSON lines that are not read yet.
    lines: Option<Vec<u8>>,
}

impl View {
    /// Returns the target of a request for it.
    pub(super) fn target(&self, partitions: Option<&str>, form: Form) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut target = format!("/v2/stream/{}?x=1", self.stream);
        let texts = [
            ("fields", self.fields),
            ("filter", self.filter),
            ("partitions", partitions),
        ];
        for (name, text) in texts {
            target.extend(text.map(|text| format!("&{name}={}", escaped(text))));
        }
        target.push_str(if form.gzip { "&encoding=gzip" } else { "" });
        target.push_str(if form.compact { "&id=compact" } else { "" });
        target.push_str(if form.lines { "" } else { "&checkpoint=1s" });
        target
    }
}

impl Connection {
    pub(super) async fn open(gateway: &TestGateway, target: &str, form: Form, id: &str) -> Self {
        let accept = if form.lines {
            "accept: application/json\r\n"
        } else {
            ""
        };
        let headers = format!("{accept}last-event-id: {id}\r\n");
        let mut client = TestClient::ask(gateway.public, target, &headers).await;
        let head = client.head().await;
        if !head.starts_with("HTTP/1.1 200 ") {
            panic!("{target} from {id}: {head}{}", client.rest().await);
        }
        Self {
            client,
            inflate: form.gzip.then(|| Decompress::new_gzip(15)),
            reader: SseReader::new(1 << 20),
            lines: form.lines.then(Vec::new),
        }
    }

    /// Returns the next event of Server-Sent Events, of a stream that does not end.
    pub(super) async fn message(&mut self) -> SseMessage {
        self.message_or_end().await.expect("the stream ended")
    }

    /// Returns the next event of Server-Sent Events; `None` if the stream has ended.
    pub(super) async fn message_or_end(&mut self) -> Option<SseMessage> {
        loop {
            if let Some(message) = self.reader.next_message() {
                return Some(message);
            }
            let text = self.text().await?;
            self.reader.push(&text).unwrap();
        }
    }

    /// Returns the next line of JSON.
    pub(super) async fn line(&mut self) -> String {
        loop {
            let lines = self.lines.as_mut().expect("lines");
            if let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = lines.drain(..=end).collect();
                if end > 0 {
                    return String::from_utf8(line[..end].to_vec()).unwrap();
                }
                continue;
            }
            let text = self.text().await.expect("the stream ended");
            self.lines.as_mut().expect("lines").extend(text);
        }
    }

    /// Returns the text of the next chunk; `None` behind the last.
    async fn text(&mut self) -> Option<Vec<u8>> {
        let chunk = self.client.chunk_bytes().await;
        if chunk.is_empty() {
            return None;
        }
        let Some(inflate) = &mut self.inflate else {
            return Some(chunk);
        };
        let mut out = vec![0; 1 << 20];
        let before = inflate.total_out();
        inflate
            .decompress(&chunk, &mut out, FlushDecompress::Sync)
            .expect("gzip");
        out.truncate((inflate.total_out() - before) as usize);
        Some(out)
    }
}
