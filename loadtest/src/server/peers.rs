//! Nchan, from Debian's packages.

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
use crate::process::Process;

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
        process: Process::new(nginx.master.id()),
        guard: Guard::Peer(nginx),
    })
}

/// Returns the files that nginx needs to start.
pub(super) fn needed_by_nchan(peers: &Path) -> Vec<PathBuf> {
    vec![NGINX.into(), MODULE.into(), peers.join(CONFIG)]
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
        // If nginx were killed, its workers would remain. This fails if it has ended already.
        _ = command(&self.directory)
            .args(["-s", "stop"])
            .stderr(Stdio::null())
            .status();
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

/// The configuration, among the peers' files.
const CONFIG: &str = "nchan/nginx.conf";

/// The longest time until nginx accepts connections.
const START: Duration = Duration::from_secs(10);
