//! A response over HTTP/2 whose body does not end, as bytes, on its own connection.

use std::{io, net::SocketAddr};

use http::{HeaderName, Request};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    ask::Ask,
    response::{HEAD, socket},
};

/// A body after the response head. Dropping it breaks the connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    pub(crate) status: u16,
    body: Incoming,
    driver: JoinHandle<()>,
    ended: bool,
}

impl Http2 {
    /// Connects, sends the request, and reads the response head.
    ///
    /// # Errors
    /// If the connection fails, or no head arrives within ten seconds.
    pub(crate) async fn connect(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        timeout(HEAD, Self::open(server, ask))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(server: SocketAddr, ask: &Ask) -> io::Result<Self> {
        let socket = socket(server, ask)?.connect(server).await?;
        socket.set_nodelay(true)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // A slow stream must not be limited by the size of a socket's buffer.
        builder.initial_stream_window_size(ask.receive_buffer);
        let handshake = builder.handshake(TokioIo::new(socket)).await;
        let (mut requests, connection) = handshake.map_err(io::Error::other)?;
        let driver = tokio::spawn(async move {
            // The reader of the body gets the error.
            _ = connection.await;
        });
        let mut driver = Driver(Some(driver));
        let answer = requests.send_request(request(server, ask)?);
        let (head, body) = answer.await.map_err(io::Error::other)?.into_parts();
        Ok(Self {
            status: head.status.as_u16(),
            body,
            driver: driver.0.take().ok_or(io::ErrorKind::NotConnected)?,
            ended: false,
        })
    }

    /// Reads once, and appends the bytes to `out`. Returns their number, 0 at the end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn read(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(io::Error::other)?;
            if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                out.extend_from_slice(data);
                return Ok(data.len());
            }
        }
        self.ended = true;
        Ok(0)
    }

    /// Returns whether the server ended the response as planned.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The task of a connection. It ends with the attempt that it was started for.
struct Driver(Option<JoinHandle<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(driver) = self.0.take() {
            driver.abort();
        }
    }
}

fn request(server: SocketAddr, ask: &Ask) -> io::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(format!("http://{server}{}", ask.target));
    if let Some(id) = &ask.last_event_id {
        request = request.header("last-event-id", id);
    }
    for line in &ask.headers {
        let (name, value) = line.split_once(": ").ok_or(io::ErrorKind::InvalidInput)?;
        let name = HeaderName::try_from(name).map_err(io::Error::other)?;
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(io::Error::other)
}
