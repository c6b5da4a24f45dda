//! Each fault has its effect on a connection, and ends on request.
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{Direction, Fault, Proxy, eventually};

#[test]
fn what_passes_arrives_whole_and_is_counted() {
    let proxy = Proxy::start(echo());
    let mut client = connect(&proxy);
    let sent: Vec<u8> = (0..300_000_u32).map(|byte| byte as u8).collect();
    let mut writer = client.try_clone().expect("cloned");
    let bytes = sent.clone();
    thread::spawn(move || writer.write_all(&bytes));
    let mut received = vec![0; sent.len()];
    client.read_exact(&mut received).expect("all of it back");
    assert!(sent == received, "the bytes differ");
    // A byte is counted just after it was forwarded.
    eventually(SOON, "all bytes counted", || {
        let counts = proxy.counts();
        let all = counts.to_broker == 300_000 && counts.to_client == 300_000;
        if all { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    assert_eq!((proxy.counts().open, proxy.counts().accepted), (1, 1));
    drop(client);
    eventually(SOON, "the connection gone", || proxy.counts().open == 0);
}

#[test]
fn a_refusing_proxy_resets_old_connections_refuses_new_ones_and_recovers() {
    let proxy = Proxy::start(echo());
    let mut client = connect(&proxy);
    exchange(&mut client).expect("an echo");
    proxy.set(Fault::Refuse);
    assert_eq!(
        exchange(&mut client).expect_err("cut").kind(),
        ErrorKind::ConnectionReset
    );
    let refused = TcpStream::connect(proxy.address()).expect_err("no server listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.set(Fault::Pass);
    exchange(&mut connect(&proxy)).expect("an echo again");
}

#[test]
fn a_resetting_proxy_accepts_and_resets() {
    let proxy = Proxy::start(echo());
    let mut old = connect(&proxy);
    exchange(&mut old).expect("an echo");
    proxy.set(Fault::Reset);
    assert_eq!(
        exchange(&mut old).expect_err("cut").kind(),
        ErrorKind::ConnectionReset
    );
    let mut new = connect(&proxy);
    let end = new.read(&mut [0]).expect_err("reset, not ended");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_stalled_proxy_is_mute_and_then_delivers_what_was_sent() {
    let proxy = Proxy::start(echo());
    let mut client = connect(&proxy);
    proxy.set(Fault::Stall);
    client.write_all(b"late").expect("the kernel takes it");
    assert_mute(&mut client);
    proxy.set(Fault::Pass);
    let mut bytes = [0; 4];
    client.read_exact(&mut bytes).expect("the answer, late");
    assert_eq!(&bytes, b"late");
}

#[test]
fn a_direction_can_be_stalled_alone() {
    let proxy = Proxy::start(echo());
    let mut client = connect(&proxy);
    proxy.set_direction(Direction::ToClient, Fault::Stall);
    client.write_all(b"ping").expect("taken");
    eventually(SOON, "the request at the broker", || {
        proxy.counts().to_broker == 4
    });
    assert_mute(&mut client);
    assert_eq!(proxy.counts().to_client, 0);
}

#[test]
fn a_black_hole_answers_no_connection_request_and_heals() {
    let proxy = Proxy::start(echo());
    let mut old = connect(&proxy);
    exchange(&mut old).expect("an echo");
    proxy.set(Fault::Blackhole);
    old.write_all(b"lost?").expect("the kernel takes it");
    assert_mute(&mut old);
    let timed_out = thread::scope(|scope| {
        let attempt = scope.spawn(|| TcpStream::connect_timeout(&proxy.address(), MUTE));
        eventually(SOON, "a request without answer", || proxy.unanswered() == 1);
        attempt.join().expect("no panic").expect_err("no answer")
    });
    assert_eq!(timed_out.kind(), ErrorKind::TimedOut);
    assert_eq!(proxy.unanswered(), 0);
    let before = proxy.counts().accepted;
    proxy.set(Fault::Pass);
    exchange(&mut connect(&proxy)).expect("an echo again");
    assert_eq!(
        proxy.counts().accepted,
        before + 1,
        "the queue's fillers are not clients"
    );
}

#[test]
fn a_delay_is_late_but_not_narrow() {
    let proxy = Proxy::start(echo());
    proxy.set(Fault::Delay(Duration::from_millis(100)));
    let mut client = connect(&proxy);
    let start = Instant::now();
    exchange(&mut client).expect("an echo");
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "both ways: {:?}",
        start.elapsed()
    );
    // 4 MB in chunks of 64 KB, each delayed by 200 ms one after the other, would take 12 s.
    let mut writer = client.try_clone().expect("cloned");
    thread::spawn(move || writer.write_all(&vec![7; 4_000_000]));
    let start = Instant::now();
    client.read_exact(&mut vec![0; 4_000_000]).expect("all of it");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_narrow_proxy_keeps_its_rate() {
    let proxy = Proxy::start(echo());
    proxy.set_direction(Direction::ToClient, Fault::Bandwidth(100_000));
    let mut client = connect(&proxy);
    let start = Instant::now();
    client.write_all(&[7; 50_000]).expect("taken");
    client.read_exact(&mut [0; 50_000]).expect("all of it");
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "half a second's worth: {:?}",
        start.elapsed()
    );
}

#[test]
fn a_proxy_without_a_target_resets() {
    let proxy = Proxy::start(riverhead_brokers::DeadAddress::reserve().address());
    let end = connect(&proxy).read(&mut [0]).expect_err("reset");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

fn connect(proxy: &Proxy) -> TcpStream {
    let client = TcpStream::connect(proxy.address()).expect("the proxy listens");
    client.set_read_timeout(Some(SOON)).expect("set");
    client
}

fn exchange(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(b"ping")?;
    client.read_exact(&mut [0; 4])
}

fn assert_mute(client: &mut TcpStream) {
    client.set_read_timeout(Some(MUTE)).expect("set");
    let silence = client.read(&mut [0]).expect_err("mute");
    assert_eq!(silence.kind(), ErrorKind::WouldBlock, "timed out, not ended");
    client.set_read_timeout(Some(SOON)).expect("set");
}

/// Starts a server that returns whatever it receives.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &client, &mut &client));
        }
    });
    address
}

const SOON: Duration = Duration::from_secs(10);

/// Long enough to conclude that nothing arrives.
const MUTE: Duration = Duration::from_millis(300);
