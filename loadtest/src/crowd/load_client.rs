//! One of many clients: a socket, and the received part of its next event.

use std::io;

use memchr::memmem;
use rustix::{
    event::epoll,
    fd::OwnedFd,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt},
};

use super::{
    body::BodyDecoder,
    http2::{self, Http2Framing},
    scan::{EventBlock, scan},
    sealed::ClientTls,
};
use crate::{ask::Ask, tls::TlsTrust};
use std::net::SocketAddr;

/// A client, connected or not.
#[derive(Debug, Default)]
pub(super) struct LoadClient {
    pub(super) socket: Option<OwnedFd>,
    phase: Phase,
    /// The received part of the head, or of an event.
    carry: Vec<u8>,
    /// The id of the last whole event, if ids are kept.
    pub(super) last_id: Vec<u8>,
    /// `None` if events are found in spite of the frames between them.
    decoder: Option<Box<BodyDecoder>>,
    /// What a client that connects over TLS trusts.
    trust: Option<TlsTrust>,
    /// `None` without TLS, and once bytes are only counted.
    tls: Option<ClientTls>,
    /// `None` with HTTP/1.1, and once bytes are only counted.
    http2: Option<Box<Http2Framing>>,
}

/// What the client waits for.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Away,
    /// The connection. The request is sent then.
    Connecting(Vec<u8>),
    /// The handshake. The request is sent then.
    Shaking(Vec<u8>),
    Head,
    /// The first block, which is the prelude.
    Prelude,
    Events,
}

/// How the client's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadMode {
    /// Every event is checked.
    Judged,
    /// Every event is checked, and its id is kept.
    Keeping,
    /// The bytes are counted, and not even copied.
    Counted,
}

/// The result of reading a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    Nothing,
    Asked,
    /// The handshake is complete.
    Shaken {
        /// Whether it resumed a session.
        resumed: bool,
    },
    Bytes(usize),
    Ended,
    Refused,
}

impl LoadClient {
    /// Starts to connect.
    pub(super) fn connect(&mut self, server: SocketAddr, ask: &Ask) -> io::Result<()> {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        if let Some(bytes) = ask.receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, bytes as usize)?;
        }
        if let Some(from) = ask.from {
            rustix::net::bind(&socket, &from)?;
        }
        match rustix::net::connect(&socket, &server) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.socket = Some(socket);
        let is_http2 = ask.tls.as_ref().is_some_and(TlsTrust::is_http2);
        self.phase = Phase::Connecting(match is_http2 {
            true => http2::opening(server, ask),
            false => ask.text(server).into_bytes(),
        });
        self.http2 = is_http2.then(Box::default);
        self.carry.clear();
        // A server that terminates TLS for another one may put its frames within lines.
        let is_decoded = ask.is_gzip() || ask.tls.is_some();
        self.decoder = is_decoded.then(|| Box::new(BodyDecoder::new(ask.is_gzip())));
        self.trust.clone_from(&ask.tls);
        Ok(())
    }

    /// Closes the connection without a message.
    pub(super) fn close(&mut self) {
        self.socket = None;
        self.phase = Phase::Away;
        self.carry = Vec::new();
        self.decoder = None;
        self.tls = None;
        self.http2 = None;
    }

    /// Returns whether the stream has begun.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Events)
    }

    /// Returns whether the response has ended behind an event, and with the last chunk.
    pub(super) fn has_ended_whole(&self) -> bool {
        match &self.decoder {
            None => self.carry == LAST_CHUNK,
            Some(decoder) => self.carry.is_empty() && decoder.has_ended(),
        }
    }

    /// Does what can be done now without waiting, and calls `each` for every whole event.
    pub(super) fn look(
        &mut self,
        flags: epoll::EventFlags,
        buffer: &mut [u8],
        mode: ReadMode,
        each: impl FnMut(EventBlock<'_>),
    ) -> ReadOutcome {
        match &self.phase {
            Phase::Away => ReadOutcome::Nothing,
            Phase::Connecting(request) if flags.contains(epoll::EventFlags::OUT) => {
                let request = request.clone();
                match self.start(request) {
                    Ok(()) => ReadOutcome::Asked,
                    Err(_) => ReadOutcome::Refused,
                }
            }
            Phase::Connecting(_) => ReadOutcome::Refused,
            Phase::Shaking(request) => {
                let request = request.clone();
                self.shake(&request, buffer).unwrap_or(ReadOutcome::Refused)
            }
            _ => self.read(buffer, mode, each),
        }
    }

    /// Sends the request, or begins the handshake before it.
    fn start(&mut self, request: Vec<u8>) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        sockopt::socket_error(socket)??;
        match &self.trust {
            None => {
                self.send(&request)?;
                self.phase = Phase::Head;
            }
            Some(trust) => {
                let mut tls = ClientTls::begin(trust)?;
                self.send(&tls.outgoing()?)?;
                self.tls = Some(tls);
                self.phase = Phase::Shaking(request);
            }
        }
        Ok(())
    }

    /// Goes on with the handshake, and sends the request behind it.
    fn shake(&mut self, request: &[u8], buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        let (Some(socket), Some(tls)) = (&self.socket, &mut self.tls) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let received = match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((_, received)) => received,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(ReadOutcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        // Before the request there is no text.
        tls.open(&buffer[..received])?;
        let (is_complete, resumed) = (!tls.is_handshaking(), tls.is_resumed());
        if is_complete {
            tls.seal(request)?;
        }
        let outgoing = tls.outgoing()?;
        self.send(&outgoing)?;
        if !is_complete {
            return Ok(ReadOutcome::Nothing);
        }
        self.phase = Phase::Head;
        Ok(ReadOutcome::Shaken { resumed })
    }

    /// Sends a few bytes. A socket that holds nothing takes them whole.
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        match bytes.is_empty() || rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)? == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn read(&mut self, buffer: &mut [u8], mode: ReadMode, each: impl FnMut(EventBlock<'_>)) -> ReadOutcome {
        let Some(socket) = &self.socket else {
            return ReadOutcome::Nothing;
        };
        let counted = mode == ReadMode::Counted && self.has_begun();
        let flags = if counted {
            RecvFlags::TRUNC
        } else {
            RecvFlags::empty()
        };
        let read = match rustix::net::recv(socket, &mut *buffer, flags) {
            Ok((_, 0)) => return ReadOutcome::Ended,
            Ok((_, read)) => read,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return ReadOutcome::Nothing,
            Err(_) => return ReadOutcome::Ended,
        };
        if counted || self.open(&buffer[..read], mode, each) {
            ReadOutcome::Bytes(read)
        } else {
            ReadOutcome::Refused
        }
    }

    /// Opens what has come over TLS, and takes it. Returns false if the response is not the start of a stream, or a
    /// record is not the next one.
    fn open(&mut self, bytes: &[u8], mode: ReadMode, each: impl FnMut(EventBlock<'_>)) -> bool {
        if self.tls.is_none() {
            return self.take(bytes, mode, each);
        }
        let Ok(text) = self.unseal(bytes) else {
            return false;
        };
        let is_good = self.take(&text, mode, each);
        if mode == ReadMode::Counted && self.has_begun() {
            // Its keys are not needed any more.
            (self.tls, self.http2) = (None, None);
        }
        is_good
    }

    /// Opens what has come over TLS, and answers what HTTP/2 and TLS want answered. Returns the text of HTTP/1.1, or the
    /// body of HTTP/2.
    fn unseal(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let Self { tls, http2, .. } = self;
        let tls = tls.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut text = tls.open(bytes)?;
        if let Some(http2) = http2 {
            let (body, answer) = http2.take(&text)?;
            text = body;
            tls.seal(&answer)?;
        }
        let outgoing = tls.outgoing()?;
        self.send(&outgoing)?;
        Ok(text)
    }

    /// Returns false if the response is not the start of a stream.
    fn take(&mut self, bytes: &[u8], mode: ReadMode, each: impl FnMut(EventBlock<'_>)) -> bool {
        if !matches!(self.phase, Phase::Head) {
            return self.take_body(bytes, mode, each);
        }
        if let Some(http2) = &self.http2 {
            if !http2.has_head() {
                return true;
            }
            self.phase = Phase::Prelude;
            return self.take_body(bytes, mode, each);
        }
        self.carry.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.carry, b"\r\n\r\n") else {
            return true;
        };
        let body = self.carry.split_off(end + 4);
        let head = std::mem::take(&mut self.carry);
        if !head.starts_with(b"HTTP/1.1 200 ") {
            return false;
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.begin(&String::from_utf8_lossy(&head));
        }
        self.phase = Phase::Prelude;
        self.take_body(&body, mode, each)
    }

    fn take_body(&mut self, bytes: &[u8], mode: ReadMode, mut each: impl FnMut(EventBlock<'_>)) -> bool {
        let unpacked;
        let bytes = match &mut self.decoder {
            None => bytes,
            Some(decoder) => match decoder.unpack(bytes) {
                Ok(plain) => {
                    unpacked = plain;
                    &unpacked
                }
                Err(_) => return false,
            },
        };
        let Self {
            phase,
            carry,
            last_id,
            ..
        } = self;
        scan(carry, bytes, |block| {
            *phase = Phase::Events;
            if mode == ReadMode::Keeping
                && let Some(id) = block.id()
            {
                last_id.clear();
                last_id.extend_from_slice(id);
            }
            each(block);
        });
        true
    }
}

/// What follows an event that is the last: the end of its chunk, and the last chunk.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
