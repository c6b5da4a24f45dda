//! Hot restart.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use riverhead::demo::DemoCertificate;
use riverhead_loadtest::{gateway::Gateway, handover::Successor, visitors::ConnectingClients};
use tokio::task::block_in_place;

use crate::{
    succession::{DEADLINE, PARTITIONS, TOPIC, ask, plan, readers::Readers, start_brokers, until},
    support::brokers::Brokers,
};

fn hand_over(gateway: &Gateway) -> Successor {
    gateway.hand_over(DEADLINE).unwrap()
}

/// Writes numbers to the partitions in turn until it is told to end. Returns how many it wrote.
fn write(brokers: &Brokers, enough: &AtomicBool) -> u64 {
    let mut number = 0;
    while !enough.load(Ordering::Relaxed) {
        brokers.write(TOPIC, number as i32 % PARTITIONS, [number]);
        number += 1;
        thread::sleep(Duration::from_millis(2));
    }
    number.unsigned_abs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hot_restart_refuses_nobody_loses_nothing_and_sends_nobody_away_in_a_crowd() {
    let (brokers, enough) = (Arc::new(start_brokers()), Arc::new(AtomicBool::new(false)));
    let mut first = plan(brokers.addresses()).start().unwrap();
    let writer = {
        let (brokers, enough) = (Arc::clone(&brokers), Arc::clone(&enough));
        tokio::task::spawn_blocking(move || write(&brokers, &enough))
    };
    let visitors = ConnectingClients::start(first.http, &ask());
    let readers = Readers::start(first.http, 20).await;
    block_in_place(|| until("a visitor", &first, || visitors.served() > 20));

    let successor = block_in_place(|| hand_over(&first));
    let before = visitors.served();
    block_in_place(|| assert_eq!(first.wait(DEADLINE).unwrap(), Some(0), "{}", first.log()));
    assert!(first.log().contains(" drained\n"), "{}", first.log());
    block_in_place(|| until("another visitor", &first, || visitors.served() > before + 20));
    visitors.end().await.unwrap();
    enough.store(true, Ordering::Relaxed);
    let readings = readers.get(writer.await.unwrap()).await;

    assert!(readings.iter().all(|reading| reading.connects == 2));
    assert!(readings.iter().all(|reading| reading.ends[0].planned));
    let ends = || readings.iter().map(|reading| reading.ends[0].at);
    let spread = ends().max().unwrap() - ends().min().unwrap();
    assert!(
        spread > crate::succession::DRAIN / 2,
        "all left within {spread:?}"
    );
    // The successor is a process like any other: it reloads its configuration, and ends on request.
    block_in_place(|| {
        successor.signal("HUP").unwrap();
        // Twice when it took over.
        until("a third reload", &first, || {
            first.log().matches("was read again and applies").count() > 2
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_closes_idle_connections_and_answers_whoever_has_asked_nothing_yet() {
    let brokers = start_brokers();
    let first = plan(brokers.addresses())
        .set("RIVERHEAD_HTTP__DRAIN", "1h")
        .start()
        .unwrap();
    let connect = || {
        let socket = TcpStream::connect(first.http).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    };
    let (mut idle, mut silent) = (connect(), connect());
    let readers = Readers::start(first.http, 1).await;
    block_in_place(|| {
        let asked = b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
        idle.write_all(asked).unwrap();
        assert!(idle.read(&mut [0; 4096]).unwrap() > 0, "an answer");
        let _successor = hand_over(&first);
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "the end");
        silent.write_all(asked).unwrap();
        let mut answer = String::new();
        silent.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    });
    brokers.write(TOPIC, 0, [0]);
    let readings = readers.get(1).await;
    assert_eq!(readings[0].connects, 1, "the stream stays until it is due");
}

/// Returns the descriptors of a process, except those that every process has.
fn descriptors(pid: u32) -> BTreeSet<PathBuf> {
    let all = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(Result::unwrap);
    let own = all.filter(|entry| !["0", "1", "2"].contains(&&*entry.file_name().to_string_lossy()));
    // A descriptor that is closed meanwhile has no target.
    own.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_inherits_the_sockets_and_nothing_else() {
    let brokers = start_brokers();
    let first = plan(brokers.addresses())
        .set("RIVERHEAD_HTTP__DRAIN", "1h")
        .start()
        .unwrap();
    let readers = Readers::start(first.http, 1).await;
    let before = descriptors(first.pid());
    let successor = block_in_place(|| hand_over(&first));
    let inherited = &descriptors(successor.pid) & &before;
    let is_socket = |path: &PathBuf| path.to_string_lossy().starts_with("socket:");
    assert_eq!(
        inherited.iter().filter(|path| is_socket(path)).count(),
        2,
        "{inherited:?}"
    );
    assert!(
        !inherited
            .iter()
            .any(|path| path.to_string_lossy().starts_with("pipe:")),
        "{inherited:?}"
    );
    readers.get(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_kafka_does_not_answer_never_takes_over() {
    let brokers = start_brokers();
    let first = plan(brokers.addresses())
        // Time enough for the second successor, which Kafka answers, on a busy machine.
        .set("RIVERHEAD_HTTP__TAKEOVER", "4s")
        .start()
        .unwrap();
    let readers = Readers::start(first.http, 3).await;
    block_in_place(|| {
        (0..3).for_each(|broker| brokers.mute(broker));
        first.signal("USR2").unwrap();
        until("the end of the successor", &first, || {
            first.log().contains("the successor did not take over")
        });
    });
    let log = first.log();
    let why = "cannot start: no answer from Kafka within 4s; this process ends";
    assert!(log.contains(why), "{log}");
    assert!(log.contains("it ended with exit status: 1"), "{log}");
    assert_eq!(first.metric("riverhead_successors_started_total").unwrap(), 1.0);
    assert_eq!(first.metric("riverhead_successors_unfit_total").unwrap(), 1.0);
    // Clients are served as before.
    let visitors = ConnectingClients::start(first.http, &ask());
    (0..3).for_each(|broker| brokers.unmute(broker));
    brokers.write(TOPIC, 0, (0..10).map(|n| n * 2));
    brokers.write(TOPIC, 1, (0..10).map(|n| n * 2 + 1));
    // A connection that is older than the mute may wait for ever. After the write, this would also apply to
    // the producer's connection.
    (0..3).for_each(|broker| brokers.disconnect(broker));
    let readings = readers.get(20).await;
    assert!(readings.iter().all(|reading| reading.connects == 1));
    block_in_place(|| until("a visitor", &first, || visitors.served() > 5));
    visitors.end().await.unwrap();
    let _successor = block_in_place(|| hand_over(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_successor_that_has_not_taken_over() {
    let brokers = start_brokers();
    let mut first = plan(brokers.addresses())
        .set("RIVERHEAD_HTTP__DRAIN", "100ms")
        .start()
        .unwrap();
    block_in_place(|| {
        (0..3).for_each(|broker| brokers.mute(broker));
        first.signal("USR2").unwrap();
        until("a successor", &first, || {
            first.log().contains("started a successor")
        });
        first.signal("TERM").unwrap();
        assert_eq!(first.wait(DEADLINE).unwrap(), Some(0), "{}", first.log());
    });
    // A successor that was left behind would listen here.
    TcpListener::bind(first.http).expect("the port is free");
}

#[test]
fn systemd_is_told_who_serves() {
    let brokers = start_brokers();
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = || {
        let mut said = [0; 64];
        let length = systemd.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..length]).trim().to_owned()
    };
    let mut first = plan(brokers.addresses())
        .set("NOTIFY_SOCKET", path.to_str().unwrap())
        .start()
        .unwrap();
    assert_eq!(told(), "READY=1");
    let successor = hand_over(&first);
    let main = format!("MAINPID={}", successor.pid);
    assert_eq!(
        BTreeSet::from([told(), told()]),
        BTreeSet::from([main, "READY=1".into()])
    );
    assert_eq!(first.wait(DEADLINE).unwrap(), Some(0));
    successor.signal("TERM").unwrap();
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn the_listener_with_tls_is_handed_over_like_the_plain_one() {
    let brokers = start_brokers();
    let certificate = DemoCertificate::create().unwrap();
    let (chain, key) = (certificate.chain(), certificate.key());
    let pair = format!("[{{ certificate = {chain:?}, key = {key:?} }}]");
    // Free again when the gateway binds it.
    let https = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut first = plan(brokers.addresses())
        .set("RIVERHEAD_HTTP__TLS__LISTEN", &https.to_string())
        .set("RIVERHEAD_HTTP__TLS__CERTIFICATES", &pair)
        .start()
        .unwrap();
    let status = || {
        let curl = std::process::Command::new("curl")
            .args(["-s", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}"])
            .arg("--cacert")
            .arg(certificate.authority())
            .arg(format!("https://{https}/livez"))
            .output()
            .expect("curl");
        String::from_utf8_lossy(&curl.stdout).into_owned()
    };
    assert_eq!(status(), "200");
    let _successor = hand_over(&first);
    assert_eq!(status(), "200");
    assert_eq!(first.wait(DEADLINE).unwrap(), Some(0), "{}", first.log());
    assert_eq!(status(), "200", "the successor has the socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_systemd_passes_on_is_served() {
    let brokers = start_brokers();
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    let plan = plan(brokers.addresses());
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("riverhead.toml");
    fs::write(&file, plan.config()).unwrap();
    let mut command = std::process::Command::new(&plan.binary);
    let mapping = command_fds::FdMapping {
        parent_fd: passed.into(),
        child_fd: 3,
    };
    command_fds::CommandFdExt::fd_mappings(&mut command, vec![mapping]).unwrap();
    command
        .args(["serve", "--config"])
        .arg(&file)
        .env("LISTEN_FDS", "1");
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, format!("listening on http://{address}\n"));
    let visitors = ConnectingClients::start(address, &ask());
    let begun = Instant::now();
    while visitors.served() < 5 {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    visitors.end().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}
