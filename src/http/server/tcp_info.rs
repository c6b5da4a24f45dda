//! What the kernel knows of a peer that says nothing.
#![cfg_attr(target_os = "linux", allow(unsafe_code))] // no crate in the tree asks for TCP_INFO, and the one that does wants clang to build

use std::time::Duration;

use tokio::net::TcpStream;

/// For how long the peer has acknowledged nothing, although the kernel has sent something again, or asked whether its
/// window is still closed, and got no answer. Zero when nothing is missing, and where the kernel does not say.
///
/// A peer whose application does not read still acknowledges; a peer that is busy with nothing is not asked. The first
/// repetition comes at the earliest 200 ms after what was sent, so that a slow line alone is not taken for silence.
#[cfg(target_os = "linux")]
pub(in crate::http) fn unacknowledged_for(socket: &TcpStream) -> Duration {
    match tcp_info(socket) {
        Some(info) if info.tcpi_retransmits > 0 || info.tcpi_probes > 0 => {
            Duration::from_millis(info.tcpi_last_ack_recv.into())
        }
        _ => Duration::ZERO,
    }
}

/// Nothing is known.
#[cfg(not(target_os = "linux"))]
pub(in crate::http) fn unacknowledged_for(_socket: &TcpStream) -> Duration {
    Duration::ZERO
}

#[cfg(target_os = "linux")]
fn tcp_info(socket: &TcpStream) -> Option<libc::tcp_info> {
    use std::{mem, os::fd::AsRawFd, ptr};

    let mut length = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `tcp_info` is made of integers, for which all zeros are values.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    // SAFETY: the descriptor is open for as long as `socket` is borrowed. The kernel writes at most `length` bytes, which is
    // the size of `info`, and says in `length` how many it wrote; an older one leaves the rest zero, which means "nothing".
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

        // `ret 0`: the kernel drops all that comes for it, without a word.
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
