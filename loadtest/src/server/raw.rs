//! The minimum cost of a fan-out: one thread, epoll, and one `write(2)` per client of composed bytes.
//!
//! It is not a real server: it does not parse HTTP, and a client that is too far behind loses its connection.

use std::{
    io::{self, Read, Write},
    net::TcpListener,
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    fd::OwnedFd,
    net::{RecvFlags, SendFlags, SocketFlags},
};

use crate::gateway::LISTENING;

/// Writes stdin to all clients until stdin ends.
///
/// # Errors
/// If no port can be bound, or stdin fails.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{LISTENING}{}", listener.local_addr()?)?;
    stdout.flush()?;
    Writer::new(listener)?.run()
}

struct Writer {
    epoll: OwnedFd,
    listener: TcpListener,
    guests: Vec<Option<Guest>>,
    /// The indexes of clients that left.
    free: Vec<usize>,
    /// Received bytes that are not a whole frame yet.
    incoming: Vec<u8>,
    /// The newest bytes of the stream.
    log: Vec<u8>,
    /// The number of bytes of the stream before the log.
    base: u64,
    buffer: Vec<u8>,
}

struct Guest {
    socket: OwnedFd,
    /// The position of the next byte for this client; `None` until its request has arrived.
    next: Option<u64>,
    blocked: bool,
}

impl Writer {
    fn new(listener: TcpListener) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, io::stdin(), EventData::new_u64(STDIN), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            guests: Vec::new(),
            free: Vec::new(),
            incoming: Vec::new(),
            log: Vec::new(),
            base: 0,
            buffer: vec![0; BUFFER],
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(1024);
        loop {
            ready.clear();
            let spare = rustix::buffer::spare_capacity(&mut ready);
            epoll::wait(&self.epoll, spare, None::<&Timespec>)?;
            for event in &ready {
                let (data, flags) = (event.data, event.flags);
                match data.u64() {
                    LISTENER => self.accept_all()?,
                    STDIN if !self.take_in()? => return Ok(()),
                    STDIN => self.write_to_all(),
                    guest => self.look_at(guest as usize, flags),
                }
            }
        }
    }

    fn accept_all(&mut self) -> io::Result<()> {
        while let Ok(socket) =
            rustix::net::accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
        {
            let place = self.free.pop().unwrap_or(self.guests.len());
            epoll::add(
                &self.epoll,
                &socket,
                EventData::new_u64(place as u64),
                EventFlags::IN,
            )?;
            let guest = Some(Guest {
                socket,
                next: None,
                blocked: false,
            });
            if place == self.guests.len() {
                self.guests.push(guest);
            } else {
                self.guests[place] = guest;
            }
        }
        Ok(())
    }

    /// Reads stdin once. Returns false at the end.
    fn take_in(&mut self) -> io::Result<bool> {
        let read = io::stdin().lock().read(&mut self.buffer)?;
        self.incoming.extend_from_slice(&self.buffer[..read]);
        let mut taken = 0;
        while let Some((length, rest)) = self.incoming[taken..].split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(frame) = rest.get(..length) else { break };
            self.log.extend_from_slice(frame);
            taken += 4 + length;
        }
        self.incoming.drain(..taken);
        Ok(read > 0)
    }

    fn write_to_all(&mut self) {
        for place in 0..self.guests.len() {
            if matches!(&self.guests[place], Some(guest) if !guest.blocked) {
                self.write_to(place);
            }
        }
        if self.log.len() > MOST_KEPT {
            let cut = self.log.len() - MOST_KEPT / 2;
            self.log.drain(..cut);
            self.base += cut as u64;
        }
    }

    fn look_at(&mut self, place: usize, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.write_to(place);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read_from(place);
        }
    }

    /// Writes once all that the client has not received.
    fn write_to(&mut self, place: usize) {
        let end = self.base + self.log.len() as u64;
        let Some(guest) = &mut self.guests[place] else {
            return;
        };
        let Some(next) = guest.next else { return };
        let Some(from) = next.checked_sub(self.base) else {
            return self.drop(place);
        };
        match rustix::net::send(&guest.socket, &self.log[from as usize..], SendFlags::NOSIGNAL) {
            Ok(written) => guest.next = Some(next + written as u64),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(_) => return self.drop(place),
        }
        let blocked = guest.next != Some(end);
        if blocked != guest.blocked {
            guest.blocked = blocked;
            let flags = if blocked {
                EventFlags::IN | EventFlags::OUT
            } else {
                EventFlags::IN
            };
            let data = EventData::new_u64(place as u64);
            // This fails only for a socket that is not in the set, and this one is.
            _ = epoll::modify(&self.epoll, &guest.socket, data, flags);
        }
    }

    /// Reads a request, which arrives whole on loopback, or the end of the connection.
    fn read_from(&mut self, place: usize) {
        let Some(guest) = &mut self.guests[place] else {
            return;
        };
        match rustix::net::recv(&guest.socket, &mut self.buffer, RecvFlags::empty()) {
            Ok((_, read)) if read > 0 => {
                if guest.next.is_none() && rustix::net::send(&guest.socket, HEAD, SendFlags::NOSIGNAL).is_ok()
                {
                    guest.next = Some(self.base + self.log.len() as u64);
                }
            }
            Err(rustix::io::Errno::AGAIN) => {}
            _ => self.drop(place),
        }
    }

    fn drop(&mut self, place: usize) {
        self.guests[place] = None;
        self.free.push(place);
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache, no-transform\r\ntransfer-encoding: chunked\r\n\r\n5\r\n:ok\n\n\r\n";

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

/// The most bytes that are read at once.
const BUFFER: usize = 64 * 1024;

/// The size of the log. A client that is behind by more than half of it loses its connection.
const MOST_KEPT: usize = 16 * 1024 * 1024;
