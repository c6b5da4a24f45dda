//! A server of documents over https, which can be slow, wrong and away.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs};

use crate::tls::authority::{Authority, Files};

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends this response.
    Sends(String),
    /// Says nothing for as long as the client waits.
    Waits,
}

impl Answer {
    pub(super) fn document(text: &str) -> Self {
        Self::Sends(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        ))
    }
}

/// The server, with a certificate of an authority of its own.
pub(super) struct DocumentServer {
    tls: Arc<ServerConfig>,
    files: Files,
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicU32>,
    served: Option<Served>,
}

struct Served {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl DocumentServer {
    pub(super) fn start(answer: Answer) -> Self {
        let authority = Authority::new();
        let own = authority.issue(&["localhost"]);
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der()], own.key_der())
            .unwrap();
        let files = Files::new();
        files.write("roots.pem", &authority.pem());
        let mut server = Self {
            tls: Arc::new(tls),
            files,
            address: "127.0.0.1:0".parse().unwrap(),
            answer: Arc::new(Mutex::new(answer)),
            requests: Arc::default(),
            served: None,
        };
        server.come();
        server
    }

    /// Returns the variable of the environment by which a process trusts the server.
    pub(super) fn trust(&self) -> (&'static str, String) {
        (
            "SSL_CERT_FILE",
            self.files.path("roots.pem").display().to_string(),
        )
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/streams", self.address.port())
    }

    /// Answers in this way from now on.
    pub(super) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Returns how many connections there were.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Accepts connections on the port that it had.
    pub(super) fn come(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        let (tls, answer) = (Arc::clone(&self.tls), Arc::clone(&self.answer));
        let (requests, is_over) = (Arc::clone(&self.requests), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for socket in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                requests.fetch_add(1, Ordering::SeqCst);
                let (tls, answer) = (Arc::clone(&tls), answer.lock().unwrap().clone());
                thread::spawn(move || serve(tls, socket.unwrap(), &answer));
            }
        });
        self.served = Some(Served { is_over, thread });
    }

    /// Closes its port.
    pub(super) fn go(&mut self) {
        if let Some(served) = self.served.take() {
            served.is_over.store(true, Ordering::SeqCst);
            // It looks when somebody connects.
            _ = TcpStream::connect(self.address);
            served.thread.join().unwrap();
        }
    }
}

impl Drop for DocumentServer {
    fn drop(&mut self) {
        self.go();
    }
}

/// Answers one request. The client may be gone at any time.
fn serve(tls: Arc<ServerConfig>, socket: TcpStream, answer: &Answer) {
    // A thread that waits ends with its client, and not later than the test.
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), socket);
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    match answer {
        Answer::Sends(text) => {
            _ = stream.write_all(text.as_bytes());
            stream.conn.send_close_notify();
            _ = stream.flush();
        }
        Answer::Waits => _ = stream.read(&mut buffer),
    }
}
