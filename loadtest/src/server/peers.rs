//! nginx from Debian's packages: with Nchan, and as a proxy with TLS.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Feed, Guard, Server};
use crate::{handover::signal, process::Process, tls::ServerCertificate};

/// A running nginx. Dropping it stops nginx and its workers.
#[derive(Debug)]
pub(super) struct Nginx {
    master: Child,
    directory: TempDir,
    address: SocketAddr,
}

/// Starts nginx with the configuration of `peers/nchan`.
pub(super) fn nchan(peers: &Path) -> io::Result<Server> {
    let nginx = Nginx::start(&fs::read_to_string(peers.join(CONFIG))?)?;
    Ok(Server {
        address: nginx.address,
        target: "/sub".into(),
        certificate: None,
        is_http2: false,
        process: Process::new(nginx.master.id()),
        guard: Guard::Peer(nginx),
    })
}

/// Starts nginx with the configuration of `peers/proxy`: TLS in front of `server`.
pub(super) fn proxy(peers: &Path, server: SocketAddr, certificate: &ServerCertificate) -> io::Result<Nginx> {
    let config = fs::read_to_string(peers.join(PROXY_CONFIG))?
        .replace("@SERVER@", &server.to_string())
        .replace("@CERTIFICATE@", &certificate.certificate().display().to_string())
        .replace("@KEY@", &certificate.key().display().to_string());
    Nginx::start(&config)
}

/// Returns the files that nginx needs to start with Nchan.
pub(super) fn needed_by_nchan(peers: &Path) -> Vec<PathBuf> {
    vec![NGINX.into(), MODULE.into(), peers.join(CONFIG)]
}

/// Returns the files that nginx needs to start as a proxy.
pub(super) fn needed_by_proxy(peers: &Path) -> Vec<PathBuf> {
    vec![NGINX.into(), peers.join(PROXY_CONFIG)]
}

impl Nginx {
    fn start(config: &str) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        fs::write(
            directory.path().join("nginx.conf"),
            config.replace("@LISTEN@", &address.to_string()),
        )?;
        let master = command(&directory)
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut nginx = Self {
            master,
            directory,
            address,
        };
        nginx.wait_until_it_accepts()?;
        Ok(nginx)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the id of the master process.
    pub(super) fn pid(&self) -> u32 {
        self.master.id()
    }

    pub(super) fn feed(&self, bytes: usize) -> io::Result<Feed> {
        Feed::post(self.address, bytes)
    }

    fn wait_until_it_accepts(&mut self) -> io::Result<()> {
        let until = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            if self.master.try_wait()?.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default();
                return Err(io::Error::other(format!("nginx does not start: {log}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // If nginx were killed, its workers would remain. `nginx -s stop` would read its configuration, whose files may be gone. This
        // fails if it has ended already.
        _ = signal(self.master.id(), "TERM");
        _ = self.master.wait();
    }
}

fn command(directory: &TempDir) -> Command {
    let mut command = Command::new(NGINX);
    let directory = directory.path();
    command
        .arg("-p")
        .arg(directory)
        .arg("-c")
        .arg(directory.join("nginx.conf"));
    command
}

/// The path where Debian installs it.
const NGINX: &str = "/usr/sbin/nginx";

/// The module that [`CONFIG`] loads.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// The configurations, among the peers' files.
const PROXY_CONFIG: &str = "proxy/nginx.conf";
const CONFIG: &str = "nchan/nginx.conf";

/// The longest time until nginx accepts connections.
const START: Duration = Duration::from_secs(10);
