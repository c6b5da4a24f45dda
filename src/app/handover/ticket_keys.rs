//! The channel that brings the keys of tickets from a predecessor.

use std::{
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use zeroize::Zeroizing;

use super::super::ticket_message::MAX_MESSAGE_BYTES;

/// Returns a socket from which a successor reads this message, and then the end.
///
/// # Errors
/// When no file descriptor is left.
pub(super) fn filled_with(message: &[u8]) -> io::Result<OwnedFd> {
    let (mut own, its) = UnixStream::pair()?;
    // Nobody reads it yet. The kernel takes far more than the longest message.
    own.set_nonblocking(true)?;
    own.write_all(message)?;
    Ok(its.into())
}

/// Reads the message. It is there already, and the other end is closed.
///
/// # Errors
/// When the system cannot read it.
pub(super) fn read_from(channel: &UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    channel.set_read_timeout(Some(READ_TIMEOUT))?;
    // As long as it may be: a buffer that grows leaves copies behind.
    let mut message = Zeroizing::new(Vec::with_capacity(MAX_MESSAGE_BYTES + 1));
    channel.take(MAX_MESSAGE_BYTES as u64).read_to_end(&mut message)?;
    Ok(message)
}

/// How long a read may take. It never waits, unless another program passes on a socket under this name.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_sent() {
        for length in [0, 1, 510, MAX_MESSAGE_BYTES] {
            let message: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let channel = UnixStream::from(filled_with(&message).unwrap());
            assert_eq!(*read_from(&channel).unwrap(), message);
        }
    }

    #[test]
    fn no_more_is_read_than_a_message_may_have() {
        let channel = UnixStream::from(filled_with(&[7; MAX_MESSAGE_BYTES * 2]).unwrap());
        assert_eq!(read_from(&channel).unwrap().len(), MAX_MESSAGE_BYTES);
    }

    #[test]
    fn a_channel_that_stays_open_is_not_waited_for_long() {
        let (_open, channel) = UnixStream::pair().unwrap();
        assert_eq!(read_from(&channel).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
