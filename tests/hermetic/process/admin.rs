//! The admin listener of a real process: which requests it accepts, and that overload does not affect others.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use command_fds::{CommandFdExt, FdMapping};
use riverhead_brokers::eventually;

use crate::process::{RIVERHEAD, SOON, curl, plan, until};

/// Returns the status of the response to this request.
fn status(address: SocketAddr, request: &str) -> u16 {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut start = [0; 12];
    socket.read_exact(&mut start).expect("an answer");
    let status = std::str::from_utf8(&start[9..]).expect("a number");
    status.parse().expect("a number")
}

fn scrape(address: SocketAddr, host: &str, more: &str) -> u16 {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    status(address, &request)
}

#[test]
fn a_name_that_is_not_known_is_refused_and_the_log_says_how_to_have_it_known() {
    let gateway = plan()
        .set("RIVERHEAD_ADMIN__HOSTS", "[\"*.example.svc\"]")
        .start()
        .expect("a gateway");
    let own = gateway.admin.to_string();
    let kubelet = "User-Agent: kube-probe/1.34\r\nAccept: */*\r\n";
    assert_eq!(
        scrape(gateway.admin, &own, "User-Agent: Prometheus/3.5.0\r\n"),
        200
    );
    assert_eq!(scrape(gateway.admin, &own, kubelet), 200);
    assert_eq!(scrape(gateway.admin, "r1.example.svc:8081", ""), 200);
    for _ in 0..3 {
        assert_eq!(scrape(gateway.admin, "metrics.example:8081", ""), 403);
    }
    assert_eq!(
        scrape(gateway.admin, &own, "Origin: https://evil.example\r\n"),
        403
    );
    assert_eq!(scrape(gateway.admin, &own, "Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_eq!(scrape(gateway.admin, &own, "Host: evil.example\r\n"), 400);
    let line = "`hosts = [\"*.example.svc\", \"metrics.example\"]`";
    eventually(SOON, "a line", || gateway.log().contains(line));
    assert_eq!(gateway.log().matches(line).count(), 1, "{}", gateway.log());
    assert_eq!(
        gateway.metric("riverhead_admin_refusals_total").ok(),
        Some(5.0),
        "three names and two origins"
    );
}

#[test]
fn connections_that_fill_the_admin_listener_leave_the_public_one_alone() {
    let gateway = plan().descriptors(1_100).start().expect("a gateway");
    // One byte each, which shows that the server has accepted them.
    let crowd: Vec<_> = (0..1_500)
        .map(|number: u16| {
            let from = [127, 0, 1, (number % 5) as u8 + 1];
            let mut socket = crate::process::connect_from(from, gateway.admin);
            // A connection that was closed already accepts no byte.
            let _ = socket.write_all(b"G");
            socket
        })
        .collect();
    let begun = Instant::now();
    let request = format!(
        "GET /livez HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        gateway.http
    );
    assert_eq!(status(gateway.http, &request), 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(
        gateway
            .metric("riverhead_http_admin_connections")
            .is_ok_and(|open| open <= 64.0)
    );
    assert_eq!(
        gateway.metric("riverhead_http_accept_failures_total").ok(),
        Some(0.0)
    );
    drop(crowd);
}

#[test]
fn wrong_tokens_are_held_back_counted_and_told() {
    let gateway = plan()
        .set("RIVERHEAD_ADMIN__TOKEN", "the-token-that-is-right")
        .start()
        .expect("a gateway");
    let command = |token: &str| {
        let host = gateway.admin;
        let request = format!(
            "POST /admin/clusters/stream/active HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 18\r\nConnection: close\r\n\r\n{{\"cluster\":\"main\"}}"
        );
        status(gateway.admin, &request)
    };
    assert_eq!(command("the-token-that-is-right"), 200);
    let begun = Instant::now();
    (0..12).for_each(|_| assert_eq!(command("the-token-that-is-wrong"), 401));
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    let counted = "riverhead_admin_refusals_total";
    assert_eq!(gateway.metric(counted).ok(), Some(12.0));
    let told = gateway.log().matches("a command was refused").count();
    assert!((1..=12).contains(&told), "{}", gateway.log());
}

#[test]
fn an_inherited_socket_that_does_not_listen_is_refused_at_the_start() {
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    bound
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("an address");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for passed in [OwnedFd::from(bound), OwnedFd::from(datagrams)] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("riverhead.toml");
        fs::write(&file, plan().config()).expect("written");
        let mut command = Command::new("timeout");
        let mapping = FdMapping {
            parent_fd: passed,
            child_fd: 3,
        };
        command.fd_mappings(vec![mapping]).expect("a free number");
        let output = command
            .args(["20", RIVERHEAD, "serve", "--config"])
            .arg(&file)
            .env("LISTEN_FDS", "1")
            .output()
            .expect("an end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(
            said.contains("descriptor 3 (number 1 of LISTEN_FDS) cannot be served"),
            "{said}"
        );
    }
}

/// Returns the command line of the image's health check.
fn health_check() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/Dockerfile");
    let text = fs::read_to_string(file).expect("docker/Dockerfile");
    let check = text.split("HEALTHCHECK ").nth(1).expect("a health check");
    let command = check.split("CMD ").nth(1).expect("its command");
    let (command, _) = command.split_once("]\n").expect("its end");
    let json = command.replace("\\\n", "") + "]";
    serde_json::from_str(&json).expect("a list of arguments")
}

#[test]
fn the_health_check_of_the_image_works_where_a_proxy_header_is_due() {
    let mut gateway = plan()
        .set("RIVERHEAD_HTTP__PROXY_PROTOCOL", "true")
        .set("RIVERHEAD_HTTP__TRUSTED_PROXIES", "[\"127.0.0.1\"]")
        .set("RIVERHEAD_HTTP__DRAIN", "100ms")
        .start()
        .expect("a gateway");
    let admin = gateway.admin.to_string();
    let check = || {
        let command = health_check();
        let run = Command::new(&command[0])
            .args(&command[1..])
            .env("RIVERHEAD_ADMIN__LISTEN", &admin)
            .status();
        run.expect("a shell").success()
    };
    assert!(check());
    gateway.signal("TERM").expect("a signal");
    gateway.wait(SOON).expect("its end");
    assert!(!check(), "no server listens");
}

#[test]
fn a_reload_with_faults_puts_no_secret_into_the_log() {
    let gateway = plan().start().expect("a gateway");
    let broken = plan().config() + "sasl.passwrd = \"hunter2\"\n";
    gateway.rewrite(&broken).expect("written");
    gateway.signal("HUP").expect("a signal");
    eventually(SOON, "a report", || gateway.log().contains("nothing changes"));
    eventually(SOON, "its end", || gateway.log().contains("has errors"));
    let log = gateway.log();
    assert!(log.contains("sasl.passwrd") && !log.contains("hunter2"), "{log}");
}

/// Each of these is a fault, and so is reported with the line that it stands in.
#[test]
fn a_reload_puts_no_secret_into_the_log_however_it_is_written() {
    let mut gateway = plan()
        .set("RIVERHEAD_HTTP__DRAIN", "100ms")
        .start()
        .expect("a gateway");
    let whole = plan().config();
    for (number, fault) in [
        "sasl.passwrd = \"hunter2\"",
        "\"sasl.pass\\u0077ord\" = \"hunter2\"",
        "passphrase = \"\"\"\nhunter1\nhunter2 = \"hunter3\"\n\"\"\"",
        "bootstrap = [\"user:hunter2@b1:9092\"]",
        "admin = { tokne = \"hunter2\" }",
        "sasl.password = \"hunter2",
        "hunter2",
    ]
    .iter()
    .enumerate()
    {
        gateway.rewrite(&format!("{whole}{fault}\n")).expect("written");
        gateway.signal("HUP").expect("a signal");
        let failed = (number + 1) as f64;
        eventually(SOON, fault, || {
            gateway.metric("riverhead_reload_failures_total").ok() == Some(failed)
        });
    }
    gateway.signal("TERM").expect("a signal");
    gateway.wait(SOON).expect("its end");
    // What was read of it may be behind by a moment.
    eventually(SOON, "the first report", || {
        gateway.log().contains("sasl.passwrd")
    });
    let log = gateway.log();
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn dashboards_of_eventstreams_find_their_metrics_if_they_are_asked_for() {
    let with = plan()
        .set("RIVERHEAD_METRICS__EVENTSTREAMS", "true")
        .start()
        .expect("a gateway");
    let mut client = curl(&with);
    until(&with, "eventstreams_connected_clients", 1.0);
    until(&with, "express_router_request_duration_seconds_count", 1.0);
    let text = with.admin("/metrics").expect("metrics");
    let route = "path=\"v2/stream/--streams\",method=\"GET\",status=\"200\"";
    for line in [
        "eventstreams_connected_clients{service=\"eventstreams\",stream=\"stream\"} 1",
        "eventstreams_client_connections_total{service=\"eventstreams\",streams=\"stream\"} 1",
        &format!("express_router_request_duration_seconds_count{{service=\"eventstreams\",{route}}} 1"),
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
    }
    client.kill().expect("kill -9");
    client.wait().expect("its end");
    until(&with, "eventstreams_connected_clients", 0.0);
    until(&with, "eventstreams_client_connections_total", 1.0);

    let without = plan().start().expect("a gateway");
    let text = without.admin("/metrics").expect("metrics");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("\neventstreams_"), "{text}");
}
