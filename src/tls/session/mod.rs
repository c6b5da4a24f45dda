//! A connection that rustls serves, as a state machine without I/O: from the first byte until it ends, or until a stream leaves it.
//!
//! Not here: the socket (`http::server::tls`), and the records of a stream that has left rustls ([`records`](super::records)).
//!
//! Why rustls is driven piece by piece and not through its own buffers: those cannot be left in the middle. A stream leaves with
//! the keys, and with every byte that was received and not opened. So nothing may be opened behind the last byte that was sealed:
//! rustls keeps the answer to a KeyUpdate until the next data, and gives out the keys without it (0.23.46).

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio_rustls::rustls::{
    CommonState, Error, ProtocolVersion, ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
        WriteTraffic,
    },
};

use super::records::{HandshakeSecrets, SecretLog, TlsRecords};

/// The TLS of one connection. Its buffers are freed whenever they are empty.
pub(crate) struct TlsSession {
    tls: UnbufferedServerConnection,
    /// What was received and not used up: a part of a record, or the parts of a handshake message, which rustls leaves here.
    incoming: BytesMut,
    /// How many bytes of `incoming` rustls has seen.
    seen: usize,
    /// What the client has sent, opened.
    plaintext: BytesMut,
    /// What is to be written, sealed.
    outgoing: BytesMut,
    /// Whether the client has ended its side in order.
    is_ended: bool,
    /// Whether something was sealed and nothing was opened since.
    is_sealed_last: bool,
    failure: Option<Error>,
    /// The secrets of TLS 1.3, once the handshake has told them.
    secrets: Option<HandshakeSecrets>,
}

/// What to do once rustls waits for more.
enum Goal<'a> {
    Nothing,
    Seal(&'a [u8]),
    Close,
}

impl TlsSession {
    /// Begins the handshake with the first bytes of a client. This takes processor time: see
    /// [`HandshakeTurns`](super::turns).
    ///
    /// # Errors
    /// When the configuration is unfit. What is wrong with the client's bytes is [told later](Self::failure), behind the alert for it.
    pub(crate) fn begin(config: Arc<ServerConfig>, first: &[u8]) -> Result<Self, Error> {
        let mut session = Self {
            tls: UnbufferedServerConnection::new(config)?,
            incoming: BytesMut::from(first),
            seen: 0,
            plaintext: BytesMut::new(),
            outgoing: BytesMut::new(),
            is_ended: false,
            is_sealed_last: false,
            failure: None,
            secrets: None,
        };
        // Kept as the failure.
        let _ = session.process();
        Ok(session)
    }

    /// Returns what was agreed on.
    pub(crate) fn common(&self) -> &CommonState {
        &self.tls
    }

    /// Returns what has ended the connection, if something has.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Whether the client has ended its side with close_notify.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns the buffer to which received bytes are added. Returns `None` if the client must not send more before these are used up.
    pub(crate) fn room(&mut self) -> Option<&mut BytesMut> {
        if !self.has_room() {
            return None;
        }
        self.incoming.reserve(READ_LEN);
        Some(&mut self.incoming)
    }

    /// Whether the client may send more before what it has sent is used up.
    pub(crate) fn has_room(&self) -> bool {
        self.incoming.len() < MAX_INCOMING
    }

    /// Frees the [room](Self::room) if nothing has come.
    pub(crate) fn free_room(&mut self) {
        advance(&mut self.incoming, 0);
    }

    /// Opens what was received.
    ///
    /// # Errors
    /// When the client has broken a rule. An alert is to be written then.
    pub(crate) fn process(&mut self) -> Result<(), Error> {
        self.run(self.incoming.len(), Goal::Nothing)
    }

    /// Seals this text.
    ///
    /// # Errors
    /// When nothing can be sealed any more.
    pub(crate) fn seal(&mut self, text: &[u8]) -> Result<(), Error> {
        self.run(self.seen, Goal::Seal(text))?;
        self.is_sealed_last |= !text.is_empty();
        Ok(())
    }

    /// Seals close_notify, once.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.run(self.seen, Goal::Close)
    }

    /// Returns what was opened and not [read](Self::consume).
    pub(crate) fn plaintext(&self) -> &[u8] {
        &self.plaintext
    }

    /// Removes the first bytes of the plaintext.
    pub(crate) fn consume(&mut self, count: usize) {
        advance(&mut self.plaintext, count);
    }

    /// Returns what is to be written.
    pub(crate) fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// Records that the first bytes of what is to be written are written.
    pub(crate) fn advance(&mut self, written: usize) {
        advance(&mut self.outgoing, written);
    }

    /// Whether a stream on this connection can leave rustls.
    pub(crate) fn can_leave(&self) -> bool {
        self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Leaves rustls with everything that belongs to the connection. All must have been written, and nothing opened since. What the
    /// client has sent behind its request is discarded, and reduces `budget`. Returns `None` if the connection must end instead.
    pub(crate) fn into_records(self, key_update_after: u32, budget: &mut usize) -> Option<TlsRecords> {
        let is_whole = self.outgoing.is_empty() && self.is_sealed_last && !self.holds_half_message();
        if !is_whole || self.is_ended || self.failure.is_some() {
            return None;
        }
        *budget = budget.checked_sub(self.plaintext.len())?;
        let (keys, _) = self.tls.dangerous_into_kernel_connection().ok()?;
        let schedule = self.secrets?.schedule(&keys.tx.1, &keys.rx.1)?;
        let mut records = TlsRecords::new(&keys, schedule, key_update_after).ok()?;
        records.receive(&self.incoming, budget).ok()?;
        Some(records)
    }

    /// Whether rustls holds a part of a handshake message, whose records are used up only together. Everything else that is complete
    /// is used up at once, so such a record is the first.
    fn holds_half_message(&self) -> bool {
        match self.incoming[..self.seen] {
            [_, _, _, high, low, ref rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([high, low])),
            _ => false,
        }
    }

    /// Lets rustls go on with the first `len` bytes of what was received until it waits for more, and then reaches the goal.
    fn run(&mut self, len: usize, goal: Goal<'_>) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (result, told) = SecretLog::collect(|| self.try_run(len, goal));
        if told.is_some() {
            self.secrets = told;
        }
        if let Err(error) = &result {
            self.failure = Some(error.clone());
            self.take_alert();
        }
        result
    }

    fn try_run(&mut self, mut len: usize, goal: Goal<'_>) -> Result<(), Error> {
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut self.incoming[..len]);
            let goes_on = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        self.plaintext.extend_from_slice(record.payload);
                    }
                    true
                }
                ConnectionState::EncodeTlsData(data) => {
                    encode(data, &mut self.outgoing)?;
                    true
                }
                // What was encoded is written before everything that is sealed later.
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    true
                }
                ConnectionState::PeerClosed => {
                    self.is_ended = true;
                    true
                }
                ConnectionState::WriteTraffic(traffic) => {
                    reach(&goal, traffic, &mut self.outgoing)?;
                    false
                }
                ConnectionState::BlockedHandshake | ConnectionState::Closed => false,
                _ => return Err(Error::General("an unexpected state".into())),
            };
            // Whatever was used up may have been a KeyUpdate, whose answer rustls keeps until something is sealed.
            self.is_sealed_last &= discard == 0;
            advance(&mut self.incoming, discard);
            len -= discard;
            self.seen = len;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Takes the alert that rustls has for the client. It has none for some errors.
    fn take_alert(&mut self) {
        while self.tls.wants_write() {
            let status = self.tls.process_tls_records(&mut self.incoming[..self.seen]);
            let Ok(ConnectionState::EncodeTlsData(data)) = status.state else {
                return;
            };
            if encode(data, &mut self.outgoing).is_err() {
                return;
            }
        }
    }
}

// Shows no secret.
debug_by_name!(TlsSession);

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut BytesMut) -> Result<(), Error> {
    append(outgoing, |room| match data.encode(room) {
        Ok(length) => Ok(length),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    })
}

fn reach(
    goal: &Goal<'_>,
    mut traffic: WriteTraffic<'_, ServerConnectionData>,
    outgoing: &mut BytesMut,
) -> Result<(), Error> {
    append(outgoing, |room| {
        let sealed = match goal {
            Goal::Nothing => return Ok(0),
            Goal::Seal(text) => traffic.encrypt(text, room),
            Goal::Close => traffic.queue_close_notify(room),
        };
        sealed.map_err(|error| match error {
            EncryptError::InsufficientSize(size) => Some(size),
            EncryptError::EncryptExhausted => None,
        })
    })
}

/// Appends what `write` writes into the room that it is given. It is called with no room first, to tell how much it needs.
fn append(
    outgoing: &mut BytesMut,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> Result<(), Error> {
    let start = outgoing.len();
    let mut written = write(&mut []);
    if let Err(Some(InsufficientSizeError { required_size })) = written {
        outgoing.resize(start + required_size, 0);
        written = write(&mut outgoing[start..]);
    }
    let length = written.map_err(|_| Error::EncryptError)?;
    outgoing.truncate(start + length);
    Ok(())
}

/// Removes the first bytes, and frees the memory with the last.
fn advance(buffer: &mut BytesMut, count: usize) {
    buffer.advance(count);
    if buffer.is_empty() && buffer.capacity() > 0 {
        *buffer = BytesMut::new();
    }
}

/// How many bytes are read at a time. Whole first messages and requests have less.
const READ_LEN: usize = 4 * 1024;

/// How many bytes a client may have sent that are not used up: a handshake message, of which rustls allows 64 KiB, and a record.
const MAX_INCOMING: usize = 96 * 1024;

#[cfg(test)]
mod tests;
