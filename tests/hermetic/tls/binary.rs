//! The binary: what `check-config` says of certificates, and the lines of `serve` and `demo`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use crate::tls::{
    authority::{Authority, Files},
    tickets::key_line,
};

const REST: &str = "
[[clusters]]
name = \"main\"
bootstrap = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]

[[streams]]
name = \"edits\"
topics = [\"edits\"]
";

/// Returns the setting of certificates with these names, each with its key in a file beside it.
fn certificates(names: &[&str]) -> String {
    let pairs = names
        .iter()
        .map(|name| format!("{{ certificate = \"{name}.pem\", key = \"{name}.key\" }}"));
    format!("certificates = [{}]\n", pairs.collect::<Vec<_>>().join(", "))
}

fn check(files: &Files, text: &str) -> Output {
    let config = files.write("riverhead.toml", &format!("{text}{REST}"));
    Command::new(env!("CARGO_BIN_EXE_riverhead"))
        .args(["check-config", "--config"])
        .arg(config)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn good_certificates_are_told_with_their_names_and_their_end() {
    let (authority, files) = (Authority::new(), Files::new());
    files.pair("certs/a", &authority.issue(&["a.example", "192.0.2.1"]));
    files.pair("certs/b", &authority.issue(&["*.b.example"]));
    files.write("ca.pem", &authority.pem());
    let (both, one) = (certificates(&["certs/a", "certs/b"]), certificates(&["certs/a"]));
    let text = format!(
        "[http]\nredirect = true\n[http.tls]\nclient_ca = \"ca.pem\"\nclient_certificates = \"optional\"\n\
         {both}[admin.tls]\n{one}"
    );
    let output = check(&files, &text);
    let (said, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for line in [
        "ok: redirects on http://127.0.0.1:8080",
        "ok: streams on https://127.0.0.1:8443",
        "certs/a.pem is valid for a.example, 192.0.2.1 until 20",
        "certs/b.pem is valid for *.b.example until 20",
        "ok: admin on https://127.0.0.1:8081",
        // 10,000 streams of 14 KiB, and of 24.
        ", or 137 MiB if all of them use HTTP/2, or 235 MiB if all of them use TLS",
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
}

#[test]
fn every_fault_of_every_file_is_told_with_exit_code_64() {
    let (authority, files) = (Authority::new(), Files::new());
    files.pair("a", &authority.issue(&["a.example"]));
    files.pair("b", &authority.issue(&["b.example"]));
    files.pair("old", &authority.issue_for(&["old.example"], -1));
    files.pair("nameless", &authority.issue(&[]));
    files.write("rubbish", "rubbish");
    let faulty = "[http.tls]\ncertificates = [{ certificate = \"a.pem\", key = \"b.key\" }, \
                  { certificate = \"nameless.pem\", key = \"nameless.key\" }, \
                  { certificate = \"missing.pem\", key = \"rubbish\" }]\n\
                  client_ca = \"rubbish\"\nclient_certificates = \"required\"\n\
                  [admin.tls]\ncertificates = [{ certificate = \"rubbish\", key = \"a.key\" }]\n";
    let output = check(&files, faulty);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    assert!(output.stdout.is_empty());
    for told in [
        "http.tls: ",
        "b.key: the key does not belong to ",
        "nameless.pem: is valid for no name",
        "missing.pem: cannot be read: No such file",
        "rubbish: contains no private key in PEM",
        "rubbish: contains no certificate in PEM",
        "admin.tls: ",
        "6 errors",
    ] {
        assert!(stderr.contains(told), "{told} is not in\n{stderr}");
    }
    let expired = check(&files, &format!("[http.tls]\n{}", certificates(&["old"])));
    let stderr = String::from_utf8_lossy(&expired.stderr);
    assert_eq!(expired.status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("old.pem: expired on 20"), "{stderr}");
}

#[test]
fn a_file_of_ticket_keys_is_checked_and_one_that_everybody_can_read_is_warned_of() {
    let (authority, files) = (Authority::new(), Files::new());
    files.pair("a", &authority.issue(&["a.example"]));
    let text = format!(
        "[http.tls]\n{}ticket_keys_file = \"ticket.keys\"\n",
        certificates(&["a"])
    );
    let check_keys = |lines: &str, mode: u32| {
        let path = files.write("ticket.keys", lines);
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let output = check(&files, &text);
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        (output.status.code(), said.concat())
    };
    let good = format!("{}\n{}\n", key_line(), key_line());
    for (mode, is_warned_of) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        let (code, said) = check_keys(&good, mode);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("ticket.keys has 2 keys of session tickets"),
            "{said}"
        );
        let warning = "ticket.keys: every user of this machine can read or write it";
        assert_eq!(said.contains(warning), is_warned_of, "{mode:o}: {said}");
    }
    for (lines, told) in [
        ("", "ticket.keys: contains no key"),
        (
            "c2hvcnQ=",
            "ticket.keys: line 1 is base64 of 5 bytes, and a key has 80",
        ),
        ("-----BEGIN", "ticket.keys: line 1 is not base64"),
    ] {
        let (code, said) = check_keys(lines, 0o600);
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(told), "{told} is not in\n{said}");
    }
    fs::remove_file(files.path("ticket.keys")).unwrap();
    let output = check(&files, &text);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ticket.keys: cannot be read: No such file"));
}

#[cfg(feature = "kafka")]
mod serving {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        path::Path,
        process::{Child, Command, Stdio},
        thread::sleep,
        time::{Duration, Instant},
    };

    use command_fds::{CommandFdExt, FdMapping};

    use super::{REST, certificates};
    use crate::{
        support::gateway::DEADLINE,
        tls::authority::{Authority, Files},
    };

    /// A process that ends with the test, and the lines that it has printed.
    struct Running(Child, Vec<String>);

    impl Running {
        /// Starts the command, and reads until `last` begins a line.
        fn start(command: &mut Command, last: &str) -> Self {
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut lines = Vec::new();
            for line in BufReader::new(child.stdout.take().unwrap()).lines() {
                lines.push(line.unwrap());
                if lines.last().unwrap().starts_with(last) {
                    break;
                }
            }
            Self(child, lines)
        }

        /// The rest of the line that begins so.
        fn line(&self, start: &str) -> Option<&str> {
            self.1.iter().find_map(|line| line.strip_prefix(start))
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            // SIGTERM, so that it removes its files. It is gone already when this fails.
            let _ = Command::new("kill").arg(self.0.id().to_string()).status();
            let _ = self.0.wait();
        }
    }

    fn riverhead() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
        command
            .env_clear()
            .env("RIVERHEAD_HTTP__DRAIN", "0s")
            .env("RIVERHEAD_ADMIN__LISTEN", "127.0.0.1:0");
        command
    }

    #[test]
    fn the_addresses_are_printed_and_the_plain_one_can_be_off() {
        let (authority, files) = (Authority::new(), Files::new());
        files.pair("a", &authority.issue(&["localhost"]));
        let pair = certificates(&["a"]);
        let text = format!(
            "[http]\nlisten = \"\"\n[http.tls]\nlisten = \"127.0.0.1:0\"\n{pair}[admin.tls]\n{pair}{REST}"
        );
        let config = files.write("riverhead.toml", &text);
        let running = Running::start(riverhead().args(["serve", "--config"]).arg(config), "admin on ");
        assert_eq!(running.line("listening on "), None);
        assert!(
            running.line("tls on https://127.0.0.1:").is_some(),
            "{:?}",
            running.1
        );
        assert!(
            running.line("admin on https://127.0.0.1:").is_some(),
            "{:?}",
            running.1
        );
    }

    #[test]
    fn a_hangup_applies_other_certificates() {
        let (first, second, files) = (Authority::new(), Authority::new(), Files::new());
        let authorities = [&first, &second].map(|authority| {
            let name = format!("ca{}.pem", fastrand::u64(..));
            files.write(&name, &authority.pem())
        });
        files.pair("a", &first.issue(&["localhost", "127.0.0.1"]));
        files.pair("b", &second.issue(&["localhost", "127.0.0.1"]));
        let config = |name: &str| {
            let pair = certificates(&[name]);
            let text = format!("[http.tls]\nlisten = \"127.0.0.1:0\"\n{pair}{REST}");
            files.write("riverhead.toml", &text)
        };
        let mut command = riverhead();
        command
            .env("RIVERHEAD_HTTP__LISTEN", "127.0.0.1:0")
            .args(["serve", "--config"])
            .arg(config("a"));
        let running = Running::start(&mut command, "admin on ");
        let url = format!("https://{}/livez", running.line("tls on https://").unwrap());
        let is_trusted = |authority: &Path| {
            let curl = Command::new("curl")
                .args(["-s", "--max-time", "10", "--cacert"])
                .arg(authority)
                .arg(&url)
                .output();
            curl.expect("curl").status.success()
        };
        assert!(is_trusted(&authorities[0]) && !is_trusted(&authorities[1]));
        config("b");
        let told = Command::new("kill")
            .args(["-HUP", &running.0.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        let start = Instant::now();
        while !is_trusted(&authorities[1]) {
            assert!(start.elapsed() < DEADLINE, "the old certificate is still served");
            sleep(Duration::from_millis(50));
        }
        assert!(!is_trusted(&authorities[0]));
    }

    #[test]
    fn sockets_of_systemd_are_taken_by_their_names() {
        let (authority, files) = (Authority::new(), Files::new());
        files.pair("a", &authority.issue(&["localhost"]));
        let text = format!("[http.tls]\n{}{REST}", certificates(&["a"]));
        let config = files.write("riverhead.toml", &text);
        let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let mappings = sockets.into_iter().zip(3..).map(|(socket, child_fd)| FdMapping {
            parent_fd: socket.into(),
            child_fd,
        });
        let mut command = riverhead();
        command
            .env("LISTEN_FDS", "3")
            .env("LISTEN_FDNAMES", "https:riverhead.socket:riverhead.socket")
            .args(["serve", "--config"])
            .arg(config)
            .fd_mappings(mappings.collect())
            .unwrap();
        let running = Running::start(&mut command, "admin on ");
        for (start, address) in ["tls on https://", "listening on http://", "admin on http://"]
            .into_iter()
            .zip(addresses)
        {
            assert_eq!(
                running.line(start),
                Some(&*address.to_string()),
                "{:?}",
                running.1
            );
        }
    }

    #[test]
    fn the_demo_prints_a_line_that_curl_can_run() {
        let mut command = riverhead();
        command
            .env("RIVERHEAD_HTTP__LISTEN", "127.0.0.1:0")
            .args(["demo", "--tls=127.0.0.1:0"]);
        let demo = Running::start(&mut command, "curl -N --cacert ");
        let line = demo.line("curl -N --cacert ").unwrap();
        let (authority, url) = line.split_once(' ').unwrap();
        assert!(url.starts_with("https://127.0.0.1:"), "{line}");
        let curl = Command::new("curl")
            .args(["-sN", "--max-time", "10", "-r", "0-1", "-w", "%{http_code}"])
            .args(["-o", "/dev/null", "--cacert", authority])
            .arg(url.replace("/v2/stream/recentchange", "/livez"))
            .output()
            .expect("curl");
        assert_eq!(String::from_utf8_lossy(&curl.stdout), "200", "{curl:?}");
        let authority = authority.to_owned();
        drop(demo);
        assert!(
            !std::path::Path::new(&authority).exists(),
            "its files are removed"
        );
    }
}
