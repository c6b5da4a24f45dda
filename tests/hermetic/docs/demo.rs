//! The demo as a process, to check what the documentation says about HTTP and metrics.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// A demo on free ports, also with TLS, and with a stream that needs a credential. Each client may have one stream.
pub(crate) struct Demo {
    child: Child,
    /// Where its certificate is. The demo itself deletes it, unless it is killed.
    _directory: TempDir,
    pub(crate) public: String,
    pub(crate) admin: String,
}

impl Demo {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_riverhead"))
            .args(["demo", "--tls=127.0.0.1:0", "--auth"])
            .env("TMPDIR", directory.path())
            .env("RIVERHEAD_HTTP__LISTEN", "127.0.0.1:0")
            .env("RIVERHEAD_ADMIN__LISTEN", "127.0.0.1:0")
            .env("RIVERHEAD_LIMITS__STREAMS_PER_CLIENT", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = crate::support::printed_addresses(&mut child);
        let public = address("listening on http://");
        address("tls on https://");
        let admin = address("admin on http://");
        Self {
            child,
            _directory: directory,
            public,
            admin,
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request with `Connection: close`.
pub(crate) fn send(address: &str, method: &str, target: &str) -> TcpStream {
    send_with(address, method, target, "")
}

/// Sends a request with these header lines and `Connection: close`.
pub(crate) fn send_with(address: &str, method: &str, target: &str, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        socket,
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\n{headers}connection: close\r\n\r\n"
    )
    .unwrap();
    socket
}

/// Returns the status and the body of an answer that ends.
pub(crate) fn ask(address: &str, method: &str, target: &str) -> (u16, String) {
    let mut answer = String::new();
    send(address, method, target).read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_default(), body.to_owned())
}

/// The longest time of a response, on a machine that compiles meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);
