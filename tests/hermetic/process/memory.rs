//! What clients take of the process.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use riverhead_brokers::eventually;
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};

use crate::process::{ADMITTED, RIVERHEAD, SOON, STREAM, until};
use crate::support::brokers::Brokers;

/// Clients that are there before anything is measured, and those that are measured together. What grows by doubling has its size for
/// all of them when the first are there, on one task or on two: a slab of 4,096 or 2,048 places, of which a hash table uses 7 of 8.
const FIRST: usize = 2_100;
const CLIENTS: usize = 1_400;

/// What docs/memory.md promises, in bytes.
const MOST: u64 = 2 * 1024;

/// So many connections that have asked for the stream.
fn clients(gateway: &Gateway, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut socket = TcpStream::connect(gateway.http).expect("a connection");
            let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n\r\n");
            socket.write_all(request.as_bytes()).expect("sent");
            socket
        })
        .collect()
}

/// Returns the resident memory once it has been the same for a second: what clients leave behind on their way has gone back then.
fn settled(gateway: &Gateway) -> u64 {
    let mut seen = (0, Instant::now());
    eventually(SOON, "memory that stays as it is", || {
        let now = gateway.resident().expect("its memory");
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        match seen.1.elapsed() >= Duration::from_secs(1) {
            true => Ok(now),
            false => Err(now),
        }
    })
}

/// What a busy machine would fail: to be left out where more tests run at a time than there are processors.
mod quiet {
    use super::*;

    #[test]
    fn a_live_client_whose_connection_is_taken_over_takes_two_kilobytes() {
        // What may be open is for the gateways of other tests to know, each by itself.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let brokers = Brokers::start(&[("topic", 1)]);
        let gateway = GatewayPlan::new(RIVERHEAD, brokers.addresses().to_vec(), "stream", &["topic"])
            .unlimited()
            .start()
            .expect("a gateway");
        gateway.wait_for_partitions(1, SOON);
        let first = clients(&gateway, FIRST);
        until(&gateway, ADMITTED, FIRST as f64);
        let before = settled(&gateway);
        let all = clients(&gateway, CLIENTS);
        until(&gateway, ADMITTED, (FIRST + CLIENTS) as f64);
        eventually(SOON, "little memory for each", || {
            let now = gateway.resident().expect("its memory");
            let each = now.saturating_sub(before) / CLIENTS as u64;
            if each <= MOST { Ok(()) } else { Err(each) }
        });
        drop((first, all));
    }
}
