//! A server whose responses are chosen by the test, and may be wrong.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A server with one response.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

/// What follows the bytes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing, on an open connection.
    Hang,
    /// The end of the connection, whether the framing allows it or not.
    Close,
    /// A reset.
    Reset,
}

impl FakeServer {
    /// Answers every request head with these bytes.
    pub(crate) async fn start(answer: impl Fn(&str) -> (String, Then) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let serving = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let answer = Arc::clone(&answer);
                tokio::spawn(async move { serve(socket, &*answer).await });
            }
        });
        Self { address, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v2/stream/t", self.address)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut socket: TcpStream, answer: &(impl Fn(&str) -> (String, Then) + ?Sized)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (bytes, then) = answer(&String::from_utf8(head).unwrap());
    // A probe that has received enough closes its connection.
    let _ = socket.write_all(bytes.as_bytes()).await;
    match then {
        Then::Close => {}
        Then::Reset => socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap(),
        Then::Hang => while socket.read_buf(&mut Vec::new()).await.unwrap_or(0) > 0 {},
    }
}

/// A correct head, for a body without chunk frames.
pub(crate) const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache, no-transform\r\naccess-control-allow-origin: *\r\nconnection: close\r\n\r\n";

/// Returns the event at this offset of the one partition, with the current time.
pub(crate) fn event(offset: i64) -> String {
    event_of(
        offset,
        jiff::Timestamp::now().as_millisecond(),
        &format!("{{\"n\":{offset}}}"),
    )
}

pub(crate) fn event_of(offset: i64, timestamp: i64, data: &str) -> String {
    let next = offset + 1;
    let id = format!(r#"[{{"topic":"t","partition":0,"offset":{next},"timestamp":{timestamp}}}]"#);
    format!("event: message\nid: {id}\ndata: {data}\n\n")
}

/// Returns the offset that a request resumes at.
pub(crate) fn asked(head: &str) -> Option<i64> {
    let id = head
        .lines()
        .find_map(|line| line.strip_prefix("last-event-id: "))?;
    let id: serde_json::Value = serde_json::from_str(id).unwrap();
    id[0]["offset"].as_i64()
}
