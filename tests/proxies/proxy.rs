//! nginx and HAProxy, with the snippets of docs/proxies.md.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use riverhead::client::ForwardedHeaders;
use tempfile::TempDir;

/// A proxy, and its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As documented.
    Nginx,
    /// As documented.
    HaProxy,
    /// Appends to `X-Forwarded-For`, and passes `Forwarded` on.
    AppendingNginx,
    /// Adds a line `X-Forwarded-For`, and passes on all existing lines.
    AppendingHaProxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Nginx,
        Self::HaProxy,
        Self::AppendingNginx,
        Self::AppendingHaProxy,
    ];

    pub(crate) fn is_documented(self) -> bool {
        matches!(self, Self::Nginx | Self::HaProxy)
    }

    /// Returns the header that the gateway behind this proxy trusts.
    pub(crate) fn believed(self) -> ForwardedHeaders {
        if self.is_documented() {
            ForwardedHeaders::XForwardedFor
        } else {
            ForwardedHeaders::Both
        }
    }

    /// Returns the text of the proxy's configuration file, which makes it listen on `own` in front of
    /// `gateway`.
    fn file(self, directory: &Path, own: SocketAddr, gateway: SocketAddr) -> String {
        let gateway = gateway.to_string();
        match self {
            Self::Nginx | Self::AppendingNginx => {
                let mut snippet = snippet("nginx").replace("127.0.0.1:8080", &gateway);
                if self == Self::AppendingNginx {
                    snippet = snippet
                        .replace("$remote_addr", "$proxy_add_x_forwarded_for")
                        .replace("proxy_set_header Forwarded \"\";", "");
                }
                let directory = directory.display();
                format!(
                    "daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
                     access_log off;\nclient_body_temp_path {directory}/body;\nproxy_temp_path {directory}/proxy;\n\
                     fastcgi_temp_path {directory}/fastcgi;\nuwsgi_temp_path {directory}/uwsgi;\nscgi_temp_path {directory}/scgi;\n\
                     server {{ listen {own};\n{snippet}\n}} }}\n"
                )
            }
            Self::HaProxy | Self::AppendingHaProxy => {
                let mut snippet = snippet("haproxy")
                    .replace("127.0.0.1:8080", &gateway)
                    .replace("0.0.0.0:80", &own.to_string());
                if self == Self::AppendingHaProxy {
                    snippet = snippet
                        .replace("http-request del-header forwarded", "option forwardfor")
                        .replace("http-request set-header x-forwarded-for %[src]", "");
                }
                format!(
                    "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n{snippet}\n"
                )
            }
        }
    }

    fn command(self, directory: &Path, file: &Path) -> Command {
        let mut command = match self {
            Self::Nginx | Self::AppendingNginx => Command::new("nginx"),
            Self::HaProxy | Self::AppendingHaProxy => Command::new("haproxy"),
        };
        match self {
            Self::Nginx | Self::AppendingNginx => {
                command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c")
            }
            Self::HaProxy | Self::AppendingHaProxy => command.args(["-db", "-f"]),
        };
        command.arg(file);
        command
    }
}

/// A running proxy. Dropping it ends the proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

impl Proxy {
    /// Starts a proxy in front of `gateway`, and waits until it accepts connections.
    pub(crate) async fn start(kind: Kind, gateway: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = free();
        let file = directory.path().join("configuration");
        fs::write(&file, kind.file(directory.path(), address, gateway)).unwrap();
        let mut command = kind.command(directory.path(), &file);
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut proxy = Self {
            address,
            process,
            _directory: directory,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{kind:?} does not accept"
            );
            assert!(proxy.process.try_wait().unwrap().is_none(), "{kind:?} ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a free port of the loopback.
fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies.md")
}

/// Returns the only block of code in this language.
fn snippet(language: &str) -> String {
    let page = fs::read_to_string(page()).unwrap();
    let (_, from) = page.split_once(&format!("```{language}\n")).unwrap();
    from.split_once("```").unwrap().0.to_owned()
}
