//! One proxied connection: a socket on either side, and a thread for each direction.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_linger;

use super::{
    Direction,
    wire::{MOST_AT_ONCE, Wire},
};

#[derive(Debug)]
pub(super) struct Connection {
    client: TcpStream,
    broker: TcpStream,
    reset: AtomicBool,
}

impl Connection {
    /// Connects to the target and forwards until either side ends. Without a target the client is reset.
    pub(super) fn open(client: TcpStream, wire: &Arc<Wire>) {
        let wire = Arc::clone(wire);
        thread::spawn(move || match TcpStream::connect(wire.target) {
            Ok(broker) => Self::join(client, broker, &wire),
            Err(_) => reset_at_close(&client),
        });
    }

    fn join(client: TcpStream, broker: TcpStream, wire: &Arc<Wire>) {
        for socket in [&client, &broker] {
            let _ = socket.set_nodelay(true);
            let _ = socket.set_write_timeout(Some(WRITE_PATIENCE));
        }
        let connection = Arc::new(Self {
            client,
            broker,
            reset: AtomicBool::new(false),
        });
        wire.register(&connection);
        let (other, other_wire) = (Arc::clone(&connection), Arc::clone(wire));
        thread::spawn(move || Pump::run(&other, Direction::ToBroker, &other_wire));
        Pump::run(&connection, Direction::ToClient, wire);
    }

    /// Both peers get a reset as soon as both threads have dropped the sockets, which they do now.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        for socket in [&self.client, &self.broker] {
            reset_at_close(socket);
            // Wakes a thread that reads, and sends nothing to the peer.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }
}

/// Makes `close` send a reset instead of an orderly end, with a linger of zero.
pub(super) fn reset_at_close(socket: &TcpStream) {
    let _ = set_socket_linger(socket, Some(Duration::ZERO));
}

/// Forwards one direction of one connection.
struct Pump<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    connection: &'a Connection,
    direction: Direction,
    wire: &'a Wire,
    /// Bytes that were read and are not due yet.
    held: VecDeque<Chunk>,
    buffer: Vec<u8>,
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

impl Pump<'_> {
    fn run(connection: &Connection, direction: Direction, wire: &Wire) {
        let (from, to) = match direction {
            Direction::ToBroker => (&connection.client, &connection.broker),
            Direction::ToClient => (&connection.broker, &connection.client),
        };
        let (held, buffer) = (VecDeque::new(), vec![0; MOST_AT_ONCE]);
        let mut pump = Pump {
            from,
            to,
            connection,
            direction,
            wire,
            held,
            buffer,
        };
        match pump.forward_all() {
            // A read that a reset has woken looks like an end, and must not be forwarded as one.
            Ok(()) if !connection.is_reset() => drop(to.shutdown(Shutdown::Write)),
            Ok(()) | Err(_) => connection.reset(),
        }
    }

    fn forward_all(&mut self) -> io::Result<()> {
        let mut more = true;
        while more || !self.held.is_empty() {
            more = more && self.read()?;
            self.release(!more)?;
        }
        Ok(())
    }

    /// Reads once, but not past the time when the oldest held chunk is due. Returns `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        let until_due = self
            .held
            .front()
            .map(|chunk| chunk.due.saturating_duration_since(Instant::now()));
        self.from
            .set_read_timeout(until_due.map(|wait| wait.max(SHORTEST_WAIT)))?;
        let sip = self.wire.sip(self.direction);
        match self.from.read(&mut self.buffer[..sip]) {
            Ok(0) => Ok(false),
            Ok(count) => self.take(count).map(|()| true),
            Err(error) if is_timeout(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, count: usize) -> io::Result<()> {
        let due = self.wire.due(self.direction, count);
        if self.held.is_empty() && due <= Instant::now() {
            return self.write(&self.buffer[..count]);
        }
        self.held.push_back(Chunk {
            due,
            bytes: self.buffer[..count].to_vec(),
        });
        if self.held.len() < MOST_HELD {
            Ok(())
        } else {
            self.release(true)
        }
    }

    /// Writes what is due. With `all`, waits until everything held is due.
    fn release(&mut self, all: bool) -> io::Result<()> {
        while let Some(chunk) = self.held.front() {
            let early = chunk.due.saturating_duration_since(Instant::now());
            if !early.is_zero() && !all {
                break;
            }
            thread::sleep(early);
            self.write(&chunk.bytes)?;
            self.held.pop_front();
        }
        Ok(())
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        self.wire.wait_while_stopped(self.direction, self.connection);
        let mut to = self.to;
        while !bytes.is_empty() {
            if self.connection.is_reset() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            match to.write(bytes) {
                Ok(count) => {
                    self.wire.count_forwarded(self.direction, count);
                    bytes = &bytes[count..];
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The longest write to a peer that does not read, before the thread checks whether the connection was reset.
const WRITE_PATIENCE: Duration = Duration::from_millis(100);

/// A socket's timeout cannot be zero.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The most chunks held per direction and connection, 16 MB: a link can delay only what fits into it.
const MOST_HELD: usize = 256;
