//! A key that seals or opens records.

use aws_lc_rs::{
    aead::{
        AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
        UnboundKey,
    },
    error::Unspecified,
};
use tokio_rustls::rustls::{ConnectionTrafficSecrets, Error};
use zeroize::Zeroizing;

use super::{APPLICATION_DATA, HEADER_LEN, TAG_LEN, TAIL_LEN, expanded_key::ExpandedKey};

/// Derives the keys of a connection.
pub(crate) trait ConnectionKeys {
    /// Goes on to the next key of what is sent, behind a KeyUpdate. Returns it.
    fn next_sending(&mut self) -> Result<KeyMaterial, Error>;

    /// Returns the key of what is received.
    fn receiving(&self) -> Result<KeyMaterial, Error>;

    /// Goes on to the next key of what is received, behind a KeyUpdate.
    fn next_receiving(&mut self) -> Result<(), Error>;
}

/// A key that is not expanded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyMaterial {
    pub(super) algorithm: &'static Algorithm,
    /// The key, and zeros behind it if it is shorter.
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) iv: Zeroizing<[u8; NONCE_LEN]>,
}

impl KeyMaterial {
    /// Returns the key that rustls gives out.
    ///
    /// # Errors
    /// When its cipher is unknown.
    pub(crate) fn of(secrets: &ConnectionTrafficSecrets) -> Result<Self, Error> {
        let unknown = || Error::General("the cipher is unknown".into());
        let (algorithm, given, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(unknown()),
        };
        let mut key = Zeroizing::new([0; 32]);
        let room = key.get_mut(..given.as_ref().len()).ok_or_else(unknown)?;
        room.copy_from_slice(given.as_ref());
        let iv = iv.as_ref().try_into().map_err(|_| unknown())?;
        Ok(Self {
            algorithm,
            key,
            iv: Zeroizing::new(iv),
        })
    }

    /// Returns the key without what is behind it.
    fn key(&self) -> &[u8] {
        &self.key[..self.algorithm.key_len()]
    }

    /// Opens the record with this sequence number in place. Returns its text, the type behind that, and the padding.
    ///
    /// # Errors
    /// When it was not sealed under this key and sequence number.
    pub(super) fn open<'a>(&self, sequence: u64, record: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let (header, sealed) = record
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(Error::DecryptError)?;
        let nonce = Nonce::assume_unique_for_key(nonce(&self.iv, sequence));
        UnboundKey::new(self.algorithm, self.key())
            .map(LessSafeKey::new)
            .and_then(|key| key.open_in_place(nonce, Aad::from(*header), sealed))
            .map(|text| &*text)
            .map_err(|Unspecified| Error::DecryptError)
    }
}

/// Returns a record as a client may send it: with any type, and padding.
///
/// # Errors
/// When it would be longer than a record can be.
pub(crate) fn sealed_record(
    key: &mut SealingKey,
    kind: u8,
    text: &[u8],
    padding: usize,
) -> Result<Vec<u8>, Error> {
    let Some(length) = padding.checked_sub(1) else {
        let mut record = [&[0; HEADER_LEN], text, &[0; TAIL_LEN]].concat();
        key.seal(kind, &mut record)?;
        return Ok(record);
    };
    // The type and all but one byte of the padding are text to the cipher, and the last byte stands in the place of the type.
    let padded = [text, &[kind], &vec![0; length]].concat();
    sealed_record(key, 0, &padded, 0)
}

/// A key that seals, and the sequence number of the next record under it.
pub(crate) struct SealingKey {
    expanded: ExpandedKey,
    iv: Zeroizing<[u8; NONCE_LEN]>,
    /// No key seals as many records as would not fit ([`RecordSender`](super::sender::RecordSender) changes it before).
    sequence: u32,
}

impl SealingKey {
    /// Returns a key whose next record has this sequence number.
    ///
    /// # Errors
    /// When it does not fit its cipher, or so many records were sealed under it that it should have been changed.
    pub(crate) fn new(material: KeyMaterial, sequence: u64) -> Result<Self, Error> {
        let expanded = ExpandedKey::new(material.algorithm, material.key());
        Ok(Self {
            expanded: expanded.map_err(|Unspecified| Error::EncryptError)?,
            iv: material.iv,
            sequence: u32::try_from(sequence).map_err(|_| Error::EncryptError)?,
        })
    }

    /// Returns the sequence number of the next record, which is how many there were under this key.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence.into()
    }

    /// See [`TlsRecords::prefetch`](super::TlsRecords::prefetch).
    pub(super) fn prefetch(&self) {
        self.expanded.prefetch();
    }

    /// Seals a record in place. `record` has its text between [`HEADER_LEN`] and [`TAIL_LEN`] bytes that are filled here.
    ///
    /// # Errors
    /// When the record is too long, or the sequence numbers are used up.
    pub(super) fn seal(&mut self, kind: u8, record: &mut [u8]) -> Result<(), Error> {
        let (header, sealed) = record
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(Error::EncryptError)?;
        let [high, low] = u16::try_from(sealed.len())
            .map_err(|_| Error::EncryptError)?
            .to_be_bytes();
        // The version in the header is that of TLS 1.2, for the sake of old routers (RFC 8446, section 5.1).
        *header = [APPLICATION_DATA, 3, 3, high, low];
        let (text, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Error::EncryptError)?;
        *text.last_mut().ok_or(Error::EncryptError)? = kind;
        let nonce = self.next_nonce().ok_or(Error::EncryptError)?;
        let sealed = self.expanded.seal(&nonce, header, text, tag);
        sealed.map_err(|Unspecified| Error::EncryptError)
    }

    /// Returns the nonce of the next record, and never again. `None` if there is none left.
    fn next_nonce(&mut self) -> Option<[u8; NONCE_LEN]> {
        let nonce = nonce(&self.iv, self.sequence());
        self.sequence = self.sequence.checked_add(1)?;
        Some(nonce)
    }
}

/// Returns the nonce of the record with this sequence number (RFC 8446, section 5.3).
fn nonce(iv: &[u8; NONCE_LEN], sequence: u64) -> [u8; NONCE_LEN] {
    let (mut nonce, sequence) = (*iv, sequence.to_be_bytes());
    let low = nonce.iter_mut().skip(NONCE_LEN - sequence.len());
    low.zip(sequence).for_each(|(byte, other)| *byte ^= other);
    nonce
}
