//! What OpenSSL's `s_client` agrees on with a gateway. The table in docs/tls.md is the result of this test.
//!
//! Needs openssl: `./tests/run` installs it. `RIVERHEAD_WRITE_DOCS=1` rewrites the table.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use riverhead::tls::settings::{CertificateFiles, ClientCertificates, TlsSettings};
use tokio::task::block_in_place;

use crate::{
    support::{brokers::Brokers, docs::compare_with_docs},
    tls::{
        TlsGateway,
        authority::{Authority, Files, settings},
        tickets::{key_line, processes::start_process},
        until_changed,
    },
};

/// The files of the test, and the table as far as it is.
struct Bench {
    authority: Authority,
    files: Files,
    table: String,
}

/// What `s_client` said.
struct Said(String);

impl Bench {
    fn new() -> Self {
        let (authority, files) = (Authority::new(), Files::new());
        files.write("ca.pem", &authority.pem());
        let table = "| `openssl s_client` | result |\n|---|---|\n".into();
        Self {
            authority,
            files,
            table,
        }
    }

    /// Certificates for `localhost` and `b.example` with ECDSA keys, and one for `rsa.example` with an RSA key.
    fn settings(&self) -> TlsSettings {
        let issue = |name: &str| self.files.pair(name, &self.authority.issue(&[name]));
        let mut settings = settings(vec![issue("localhost"), issue("b.example"), self.rsa()]);
        settings.minimum_version = riverhead::tls::settings::MinimumVersion::Tls12;
        settings
    }

    fn rsa(&self) -> CertificateFiles {
        let files = CertificateFiles {
            certificate: self.files.path("rsa.pem"),
            key: self.files.path("rsa.key"),
        };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=rsa", "-addext", "subjectAltName=DNS:rsa.example"])
            .arg("-out")
            .arg(&files.certificate)
            .arg("-keyout")
            .arg(&files.key)
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl").success());
        files
    }

    /// Asks for `/livez` with these options of `s_client`, and returns what it said when the connection ended.
    fn ask(&self, address: SocketAddr, options: &str) -> Said {
        let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        self.send(address, &format!("-ign_eof {options}"), request)
    }

    /// Runs `s_client` with this input, whose end it does not see.
    fn send(&self, address: SocketAddr, options: &str, input: &str) -> Said {
        let mut command = Command::new("timeout");
        command
            .args(["20", "openssl", "s_client", "-connect", &address.to_string()])
            .args(["-CAfile", "ca.pem"])
            .args(options.split(' '))
            .current_dir(self.files.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl");
        let mut stdin = child.stdin.take().unwrap();
        // It has ended already if the handshake failed.
        let _ = stdin.write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        Said(said.concat())
    }

    fn row(&mut self, what: &str, result: &str) {
        self.table += &format!("| {what} | {result} |\n");
    }

    /// Adds the row of these options.
    fn options(&mut self, address: SocketAddr, options: &str) -> Said {
        let said = self.ask(address, options);
        let shown = options.replace(":@SECLEVEL=0", "").replace("@SECLEVEL=0", "");
        let result = said.agreed();
        self.row(&format!("`{shown}`"), &result);
        said
    }

    /// Returns a file with a session of this gateway.
    fn session(&self, address: SocketAddr, version: &str) -> PathBuf {
        let path = self.files.path(&format!("session{version}"));
        let _ = fs::remove_file(&path);
        let said = self.ask(
            address,
            &format!("-servername localhost {version} -sess_out {}", path.display()),
        );
        assert!(said.0.contains("New, TLSv1"), "{}", said.0);
        assert!(path.exists(), "{}", said.0);
        path
    }

    /// Adds a row about sessions of both versions that are shown to this gateway.
    fn resumed(&mut self, what: &str, sessions: &[(&str, PathBuf)], address: SocketAddr) {
        let results = sessions.iter().map(|(version, session)| {
            let options = format!("-servername localhost {version} -sess_in {}", session.display());
            let said = self.ask(address, &options);
            assert!(said.0.contains("HTTP/1.1 200 OK"), "{}", said.0);
            said.0.contains("\nReused, ")
        });
        let results: Vec<_> = results.collect();
        assert_eq!(results[0], results[1], "both versions alike: {what}");
        self.row(what, if results[0] { "resumed" } else { "full handshake" });
    }

    /// Returns a session of each version.
    fn sessions(&self, address: SocketAddr) -> Vec<(&'static str, PathBuf)> {
        let versions = ["-tls1_2", "-tls1_3"].into_iter();
        versions
            .map(|version| (version, self.session(address, version)))
            .collect()
    }
}

impl Said {
    /// Returns the version and the cipher, or why there are none.
    fn agreed(&self) -> String {
        match self.agreement() {
            Some(agreed) => agreed,
            None => format!("refused: {}", self.alert()),
        }
    }

    fn agreement(&self) -> Option<String> {
        let line = self.0.lines().find_map(|line| line.strip_prefix("New, "))?;
        let (version, cipher) = line.split_once(", Cipher is ")?;
        // OpenSSL names the version of the cipher there, and that of the session elsewhere.
        let session = self.value("Protocol").unwrap_or(version);
        (cipher != "(NONE)").then(|| format!("{session}, {cipher}"))
    }

    /// Returns what the server's alert says.
    fn alert(&self) -> &str {
        let alert = self
            .0
            .lines()
            .find_map(|line| line.split_once(" alert ")?.1.split(':').next());
        alert.unwrap_or_else(|| panic!("no alert in {}", self.0))
    }

    /// Returns the value of a line such as `    Protocol  : TLSv1.2`.
    fn value(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let rest = line.trim_start().strip_prefix(name)?.trim_start();
            rest.strip_prefix(':').map(str::trim)
        })
    }

    /// Returns the server's certificate, in PEM.
    fn certificate(&self) -> &str {
        let start = self.0.find("-----BEGIN").expect("a certificate");
        let end = self.0.find("-----END").expect("its end");
        self.0[start..end].trim()
    }
}

fn without_end(pem: &Path) -> String {
    let text = fs::read_to_string(pem).unwrap().replace('\r', "");
    text[..text.find("-----END").unwrap()].trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs openssl: ./tests/run"]
async fn openssl_agrees_on_what_the_documentation_says() {
    let mut bench = Bench::new();
    let settings = bench.settings();
    let gateway = TlsGateway::start(&settings);
    block_in_place(|| {
        versions_and_ciphers(&mut bench, gateway.https());
        protocols(&mut bench, gateway.https());
        names(&mut bench, gateway.https(), &settings);
        what_is_off(&mut bench, gateway.https());
    });
    sessions_of_one_process(&mut bench, &settings).await;
    block_in_place(|| session_over_a_hot_restart(&mut bench, &settings));
    compare_with_docs("docs/tls.md", "s_client", &bench.table);
}

fn versions_and_ciphers(bench: &mut Bench, address: SocketAddr) {
    for options in [
        "-tls1_3",
        "-tls1_2",
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-ciphersuites TLS_AES_256_GCM_SHA384",
        "-ciphersuites TLS_AES_128_GCM_SHA256",
        "-ciphersuites TLS_CHACHA20_POLY1305_SHA256",
        "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256",
        "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
        "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305",
        "-tls1_2 -servername rsa.example -cipher ECDHE-RSA-AES128-GCM-SHA256",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256",
        "-tls1_2 -cipher AES128-GCM-SHA256",
        "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256",
    ] {
        bench.options(address, options);
    }
    for group in ["X25519", "P-256", "P-384"] {
        let options = format!("-tls1_3 -groups {group}");
        let said = bench.ask(address, &options);
        let key = said.value("Server Temp Key").expect("a key").to_owned();
        bench.row(&format!("`{options}`"), &key);
    }
    let said = bench.ask(address, "-tls1_3 -groups X448");
    let refused = format!("refused: {}", said.alert());
    bench.row("`-tls1_3 -groups X448`", &refused);
}

fn protocols(bench: &mut Bench, address: SocketAddr) {
    for (protocols, agreed) in [
        ("h2,http/1.1", Some("h2")),
        ("http/1.1,h2", Some("h2")),
        ("http/1.1", Some("http/1.1")),
        ("smtp", None),
    ] {
        let said = bench.ask(address, &format!("-alpn {protocols}"));
        let result = match said.value("ALPN protocol") {
            Some(protocol) => protocol.to_owned(),
            None => format!("refused: {}", said.alert()),
        };
        assert!(agreed.is_none_or(|agreed| agreed == result), "{}", said.0);
        bench.row(&format!("`-alpn {protocols}`"), &result);
    }
    let said = bench.ask(address, "-tls1_3");
    assert!(
        said.0.contains("No ALPN negotiated") && said.0.contains("HTTP/1.1 200 OK"),
        "{}",
        said.0
    );
    bench.row("without `-alpn`", "nothing agreed on, and HTTP/1.1 is spoken");
}

fn names(bench: &mut Bench, address: SocketAddr, settings: &TlsSettings) {
    for (name, expected, shown) in [
        ("-servername localhost", 0, "the certificate of `localhost`"),
        ("-servername b.example", 1, "the certificate of `b.example`"),
        ("-servername rsa.example", 2, "the certificate of `rsa.example`"),
        ("-servername unknown.example", 0, "the first certificate"),
        ("-noservername", 0, "the first certificate"),
    ] {
        let said = bench.ask(address, name);
        let file = &settings.certificates[expected].certificate;
        assert_eq!(said.certificate(), without_end(file), "{name}");
        bench.row(&format!("`{name}`"), shown);
    }
}

fn what_is_off(bench: &mut Bench, address: SocketAddr) {
    let said = bench.ask(address, "-tls1_2 -comp");
    assert_eq!(said.value("Compression"), Some("NONE"), "{}", said.0);
    bench.row("`-tls1_2 -comp`", "no compression");

    let said = bench.send(address, "-tls1_2", "R\n");
    assert!(
        said.0.contains("RENEGOTIATING") && said.0.contains("no renegotiation"),
        "{}",
        said.0
    );
    bench.row("`-tls1_2`, and `R` once connected", "refused: no renegotiation");

    let session = bench.session(address, "-tls1_3");
    let text = Command::new("openssl")
        .args(["sess_id", "-noout", "-text", "-in"])
        .arg(&session)
        .output();
    let text = String::from_utf8_lossy(&text.expect("openssl").stdout).into_owned();
    assert!(text.contains("Max Early Data: 0"), "{text}");
    bench
        .files
        .write("early", "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let options = format!(
        "-tls1_3 -servername localhost -early_data early -sess_in {}",
        session.display()
    );
    let said = bench.ask(address, &options);
    assert!(said.0.contains("Early data was not sent"), "{}", said.0);
    bench.row("`-tls1_3 -early_data`, with a session", "0-RTT is not offered");
}

async fn sessions_of_one_process(bench: &mut Bench, plain: &TlsSettings) {
    let keys = bench.files.write("ticket.keys", &key_line());
    let mut shared = plain.clone();
    shared.ticket_keys_file = Some(keys);
    let gateway = TlsGateway::start(plain);
    let (one, two) = (TlsGateway::start(&shared), TlsGateway::start(&shared));
    block_in_place(|| {
        let sessions = bench.sessions(gateway.https());
        bench.resumed("a session, at the same process", &sessions, gateway.https());
    });
    let again = TlsGateway::start(plain);
    block_in_place(|| {
        let sessions = bench.sessions(gateway.https());
        bench.resumed(
            "a session, at another process (cold restart, or replica)",
            &sessions,
            again.https(),
        );
        let sessions = bench.sessions(one.https());
        bench.resumed(
            "the same with one `ticket_keys_file`, at a replica",
            &sessions,
            two.https(),
        );
    });
    let sessions = block_in_place(|| bench.sessions(one.https()));
    drop(one);
    let one = TlsGateway::start(&shared);
    block_in_place(|| {
        bench.resumed(
            "the same with a `ticket_keys_file`, over a cold restart",
            &sessions,
            one.https(),
        );
    });
    let sessions = block_in_place(|| bench.sessions(two.https()));
    two.watch(Duration::from_secs(3600));
    let before = two.server.config();
    shared.client_ca = Some(bench.files.path("ca.pem"));
    shared.client_certificates = ClientCertificates::Optional;
    two.server.reload(&shared);
    until_changed(&two, &before).await;
    block_in_place(|| {
        bench.resumed(
            "the same when `client_certificates` or `client_ca` have changed",
            &sessions,
            two.https(),
        );
    });
}

fn session_over_a_hot_restart(bench: &mut Bench, settings: &TlsSettings) {
    let brokers = Brokers::start(&[("topic", 1)]);
    let (mut first, https) = start_process(&brokers, settings);
    let sessions = bench.sessions(https);
    let _successor = first.hand_over(PATIENCE).unwrap();
    assert_eq!(first.wait(PATIENCE).unwrap(), Some(0), "{}", first.log());
    bench.resumed("a session, over a hot restart", &sessions, https);
}

/// The longest wait for a process.
const PATIENCE: Duration = Duration::from_secs(30);
