//! What the kernel knows of a silent peer: for how long it has acknowledged nothing (`TCP_INFO`).
#![cfg_attr(target_os = "linux", allow(unsafe_code))] // no crate in the tree asks for TCP_INFO, and the one that does wants clang to build

use std::time::Duration;

use tokio::net::TcpStream;

/// Returns for how long the peer has acknowledged nothing, although the kernel has retransmitted something, or probed a closed
/// window, and got no answer. Returns zero if no acknowledgement is missing, and on systems whose kernel does not tell.
///
/// A peer whose application does not read still acknowledges. An idle peer owes no acknowledgement. The first retransmission
/// comes at the earliest 200 ms after the first transmission, so a slow line alone is not taken for silence.
#[cfg(target_os = "linux")]
pub(in crate::http) fn unacknowledged_for(socket: &TcpStream) -> Duration {
    match tcp_info(socket) {
        Some(info) if info.tcpi_retransmits > 0 || info.tcpi_probes > 0 => {
            Duration::from_millis(info.tcpi_last_ack_recv.into())
        }
        _ => Duration::ZERO,
    }
}

/// Returns zero: the kernel does not tell.
#[cfg(not(target_os = "linux"))]
pub(in crate::http) fn unacknowledged_for(_socket: &TcpStream) -> Duration {
    Duration::ZERO
}

#[cfg(target_os = "linux")]
fn tcp_info(socket: &TcpStream) -> Option<libc::tcp_info> {
    use std::{mem, os::fd::AsRawFd, ptr};

    let mut length = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `tcp_info` consists of integers, for which all zeros are a valid value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    // SAFETY: the descriptor is open for as long as `socket` is borrowed. The kernel writes at most `length` bytes, which is
    // the size of `info`, and stores in `length` how many it wrote. An older kernel leaves the rest zero, which means "nothing".
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            ptr::from_mut(&mut info).cast(),
            &raw mut length,
        )
    };
    (failed == 0).then_some(info)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Instant;

    use socket2::{SockFilter, SockRef};
    use tokio::{
        io::AsyncWriteExt,
        time::{sleep, timeout},
    };

    use super::*;
    use crate::http::server::test_socket::connected;

    #[tokio::test]
    async fn a_peer_that_vanished_is_silent_and_one_that_does_not_read_is_not() {
        let (peer, mut socket) = connected().await;
        socket.write_all(b"acknowledged").await.unwrap();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(
            unacknowledged_for(&socket),
            Duration::ZERO,
            "it does not read, but it is there"
        );

        // `ret 0`: the peer's kernel silently drops all that arrives.
        SockRef::from(&peer)
            .attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])
            .unwrap();
        let vanished = Instant::now();
        socket.write_all(b"lost").await.unwrap();
        let noticed = async {
            while unacknowledged_for(&socket) < Duration::from_millis(500) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), noticed)
            .await
            .expect("silence is noticed");
        assert!(
            vanished.elapsed() >= Duration::from_millis(100),
            "not before it was one"
        );
    }
}
