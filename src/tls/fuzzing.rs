//! Entry points for the fuzz target of records (`tests/fuzz`), and for tests. They are no part of the crate's interface.

use tokio_rustls::rustls::{
    ConnectionTrafficSecrets, Error, ExtractedSecrets,
    crypto::cipher::{AeadKey, Iv},
};

use super::records::{ConnectionKeys, KeyMaterial, RecordBuffer, SealingKey, TlsRecords, sealed_record};

/// A stream over TLS whose keys are known, and its client.
pub struct KnownStream {
    records: TlsRecords<Generations>,
    client: SealingKey,
    client_generation: u8,
    /// How many bytes of data the client may still send.
    pub budget: usize,
}

impl KnownStream {
    /// Creates a stream whose client may send so many bytes of data.
    ///
    /// # Errors
    /// When the keys cannot be expanded, which does not happen.
    pub fn new(budget: usize) -> Result<Self, Error> {
        let secrets = ExtractedSecrets {
            tx: (0, secrets(SENDING, 0)),
            rx: (0, secrets(RECEIVING, 0)),
        };
        Ok(Self {
            records: TlsRecords::new(&secrets, Generations::default(), 1000)?,
            client: client_key(0)?,
            client_generation: 0,
            budget,
        })
    }

    /// Returns a record of the client with this text and so many bytes of padding.
    ///
    /// # Errors
    /// When it would be longer than a record can be.
    pub fn seal(&mut self, kind: u8, text: &[u8], padding: usize) -> Result<Vec<u8>, Error> {
        sealed_record(&mut self.client, kind, text, padding)
    }

    /// Lets the client seal with its next key.
    ///
    /// # Errors
    /// When the key cannot be expanded, which does not happen.
    pub fn update_client_key(&mut self) -> Result<(), Error> {
        self.client_generation = self.client_generation.wrapping_add(1);
        self.client = client_key(self.client_generation)?;
        Ok(())
    }

    /// Takes bytes of the client. Returns why the stream ends, if it does.
    pub fn receive(&mut self, bytes: &[u8]) -> Option<String> {
        let received = self.records.receive(bytes, &mut self.budget);
        received.err().map(|error| format!("{error:?}"))
    }

    /// Sends an event. Returns what the client gets.
    ///
    /// # Errors
    /// When nothing can be sealed any more.
    pub fn send(&mut self, event: &[u8]) -> Result<Vec<u8>, Error> {
        send_event(&mut self.records, event)
    }

    /// Returns how many bytes are held of a record whose rest has not come.
    pub fn held(&self) -> usize {
        self.records.held()
    }
}

/// Sends an event that fits into one record. Returns what the client gets.
pub(super) fn send_event<K: ConnectionKeys>(
    records: &mut TlsRecords<K>,
    event: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut sent = Vec::new();
    let fill = |room: &mut [u8]| {
        room[..event.len()].copy_from_slice(event);
        event.len()
    };
    let write = |record: &[u8]| {
        sent.extend_from_slice(record);
        record.len()
    };
    records.send(&mut RecordBuffer::default(), fill, write)?;
    Ok(sent)
}

/// The numbers of the keys in use.
#[derive(Default)]
struct Generations {
    sending: u8,
    receiving: u8,
}

impl ConnectionKeys for Generations {
    fn next_sending(&mut self) -> Result<KeyMaterial, Error> {
        self.sending = self.sending.wrapping_add(1);
        KeyMaterial::of(&secrets(SENDING, self.sending))
    }

    fn receiving(&self) -> Result<KeyMaterial, Error> {
        KeyMaterial::of(&secrets(RECEIVING, self.receiving))
    }

    fn next_receiving(&mut self) -> Result<(), Error> {
        self.receiving = self.receiving.wrapping_add(1);
        Ok(())
    }
}

fn client_key(generation: u8) -> Result<SealingKey, Error> {
    SealingKey::new(KeyMaterial::of(&secrets(RECEIVING, generation))?, 0)
}

fn secrets(direction: u8, generation: u8) -> ConnectionTrafficSecrets {
    let mut key = [direction; 32];
    key[0] = generation;
    ConnectionTrafficSecrets::Aes256Gcm {
        key: AeadKey::from(key),
        iv: Iv::from([direction; 12]),
    }
}

const SENDING: u8 = 1;
const RECEIVING: u8 = 2;
