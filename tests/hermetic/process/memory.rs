//! What clients take of the process.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use riverhead_brokers::eventually;
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};

use crate::process::{ADMITTED, RIVERHEAD, SOON, STREAM, until};
use crate::support::brokers::Brokers;

/// Clients that are there before anything is measured.
const FIRST: usize = 500;

/// Clients that are measured together.
const CLIENTS: usize = 2_000;

/// What docs/memory.md promises, in bytes, and some for what is not optimized: tasks are larger then, and so are the holes that they
/// leave between what stays. Releases are measured by `riverhead-loadtest fanout` and `idle`.
const MOST: u64 = 2 * 1024 + 352;

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
        // What they left behind on their way goes back to the system.
        thread::sleep(Duration::from_secs(3));
        let before = gateway.resident().expect("its memory");
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
