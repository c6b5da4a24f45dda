//! Who a client is, and connections without a request, over real sockets.

mod forwarded;
mod idle;
mod proxy_protocol;

use std::num::NonZeroU32;

use riverhead::{http::settings::HttpSettings, limits::settings::LimitSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::gateway::{DEADLINE, TestGateway, catalog, nothing};

const STREAM: &str = "/v2/stream/recentchange";

const ADMITTED: &str = "riverhead_streams_admitted";

const REQUEST: &str = "GET /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\n\r\n";

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn gateway(limits: LimitSettings, change: impl FnOnce(&mut HttpSettings)) -> TestGateway {
    TestGateway::limited(catalog(), nothing(), limits, change)
}

/// Returns the first line of the response to these bytes, or nothing if the connection is closed.
async fn first_line(gateway: &TestGateway, bytes: &[u8]) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(gateway.public).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut line = vec![0; "HTTP/1.1 200".len()];
    let said = match timeout(DEADLINE, socket.read_exact(&mut line)).await.unwrap() {
        Ok(_) => String::from_utf8(line).unwrap(),
        Err(_) => String::new(),
    };
    (socket, said)
}
