//! One attack: a connection, the bytes to send, and the behavior of the attacker.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout, timeout_at},
};

use super::{http1, http2, ids::HostileIds};

/// The bytes that are sent on a connection, and how.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    /// The name of the shape in the report.
    pub(super) shape: &'static str,
    /// The bytes to send.
    pub(super) bytes: Vec<u8>,
    pub(super) manner: AttackKind,
}

/// The behavior of the attacker after connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttackKind {
    /// Sends everything, reads for a while, and closes.
    Read,
    /// Sends everything and never reads, with a receive buffer of 4 KiB.
    Deaf,
    /// Sends everything and resets the connection at once.
    Reset,
    /// Sends everything, closes its own direction, and reads.
    HalfClose,
    /// Sends a few bytes at a time.
    Trickle,
}

/// The result of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AttackOutcome {
    /// An HTTP/1 response with this status.
    Status(u16),
    /// Frames of HTTP/2.
    Frames,
    /// The connection was closed without an answer, or the attacker did not wait for one.
    Nothing,
    /// The attacker could not connect.
    Refused,
}

/// Runs one attack chosen by `rng`. Returns its shape and its result.
pub(super) async fn attack(
    server: SocketAddr,
    from: SocketAddr,
    ids: &HostileIds,
    rng: &mut Rng,
) -> (&'static str, AttackOutcome) {
    let mut attack = match rng.u8(..4) {
        0 => http2::choose(ids, rng),
        _ => http1::choose(ids, rng),
    };
    if rng.u8(..4) == 0 {
        mutate(&mut attack.bytes, rng);
    }
    let outcome = timeout(LONGEST, run(server, from, &attack, rng)).await;
    let outcome = match outcome {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => AttackOutcome::Nothing,
    };
    if outcome == AttackOutcome::Refused {
        sleep(PAUSE).await;
    }
    (attack.shape, outcome)
}

/// Changes, removes, repeats or inserts a few bytes.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..=8) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..5) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, rng.u8(..)),
            3 => bytes.insert(at, *rng.choice(INTERESTING).unwrap_or(&0)),
            _ => {
                let end = (at + rng.usize(1..=64)).min(bytes.len());
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}

async fn run(
    server: SocketAddr,
    from: SocketAddr,
    attack: &Attack,
    rng: &mut Rng,
) -> io::Result<AttackOutcome> {
    let Ok(mut socket) = connect(server, from, attack.manner).await else {
        return Ok(AttackOutcome::Refused);
    };
    let stay = Instant::now() + Duration::from_millis(rng.u64(50..=STAY));
    match attack.manner {
        AttackKind::Reset => {
            _ = socket.write_all(&attack.bytes).await;
            socket.set_zero_linger()?;
            Ok(AttackOutcome::Nothing)
        }
        AttackKind::Deaf => {
            _ = timeout_at((stay + STALLED).into(), socket.write_all(&attack.bytes)).await;
            tokio::time::sleep_until((stay + STALLED).into()).await;
            Ok(AttackOutcome::Nothing)
        }
        AttackKind::Trickle => {
            for piece in attack.bytes.chunks(7).take(40) {
                socket.write_all(piece).await?;
                sleep(Duration::from_millis(5)).await;
            }
            read(&mut socket, stay).await
        }
        AttackKind::Read | AttackKind::HalfClose => {
            // A response may arrive, and the connection may be closed, before everything was sent.
            _ = timeout_at(stay.into(), socket.write_all(&attack.bytes)).await;
            if attack.manner == AttackKind::HalfClose {
                _ = socket.shutdown().await;
            }
            read(&mut socket, stay).await
        }
    }
}

async fn connect(server: SocketAddr, from: SocketAddr, manner: AttackKind) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(from)?;
    if manner == AttackKind::Deaf {
        socket.set_recv_buffer_size(4096)?;
    }
    let connected = timeout(CONNECT, socket.connect(server)).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads until the connection ends or `stay` has passed. Returns the result that the first bytes show.
async fn read(socket: &mut TcpStream, stay: Instant) -> io::Result<AttackOutcome> {
    let mut outcome = AttackOutcome::Nothing;
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(Ok(read)) = timeout_at(stay.into(), socket.read(&mut buffer)).await {
        if read == 0 {
            break;
        }
        if outcome == AttackOutcome::Nothing {
            outcome = outcome_of(&buffer[..read]);
        }
    }
    Ok(outcome)
}

fn outcome_of(first: &[u8]) -> AttackOutcome {
    let status = first
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok());
    status.map_or(AttackOutcome::Frames, AttackOutcome::Status)
}

/// Bytes that are special to parsers.
const INTERESTING: &[u8] = b"\0\r\n\t %&=+;,:\"\\[]{}()-\x7f\x80\xff0";

/// The longest duration of an attack, including its last response.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest time that an attacker stays connected, in milliseconds.
const STAY: u64 = 2_500;

/// The additional time of an attacker that does not read. The sum is sometimes longer than the deadline for
/// stalled clients.
const STALLED: Duration = Duration::from_secs(5);

/// With a full backlog, a connection is accepted after one to three seconds.
const CONNECT: Duration = Duration::from_secs(5);

/// The pause after a refused connection.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_outcome() {
        assert_eq!(
            outcome_of(b"HTTP/1.1 429 Too Many\r\n"),
            AttackOutcome::Status(429)
        );
        assert_eq!(outcome_of(b"HTTP/1.0 200 OK\r\n"), AttackOutcome::Status(200));
        assert_eq!(outcome_of(b"\0\0\x12\x04\0"), AttackOutcome::Frames);
    }

    #[test]
    fn the_same_seed_gives_the_same_attacks() {
        let ids = HostileIds::new("numbers");
        let attacks = |seed| {
            let mut rng = Rng::with_seed(seed);
            let chosen = (0..50).map(|_| {
                let mut attack = http1::choose(&ids, &mut rng);
                mutate(&mut attack.bytes, &mut rng);
                attack.bytes
            });
            chosen.collect::<Vec<_>>()
        };
        assert_eq!(attacks(7), attacks(7));
        assert_ne!(attacks(7), attacks(8));
    }
}
