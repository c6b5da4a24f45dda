//! A key that is expanded once, in memory that can be read ahead.
//!
//! An expanded key has 0.6 KB, and is in no cache when the next event of one client of ten thousand is sealed. To read it then takes as
//! long as to expand the key anew (0.2 us for AES-128-GCM). If its memory is read some clients ahead, all those reads overlap.
#![allow(unsafe_code)] // aws-lc-rs allocates an expanded key where nobody else can read it ahead

use std::{
    hint::black_box,
    mem::{self, MaybeUninit},
    ptr, slice,
};

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305, NONCE_LEN},
    error::Unspecified,
};
use aws_lc_sys::{
    EVP_AEAD, EVP_AEAD_CTX, EVP_AEAD_CTX_cleanup, EVP_AEAD_CTX_init, EVP_AEAD_CTX_seal_scatter,
    EVP_aead_aes_128_gcm, EVP_aead_aes_256_gcm, EVP_aead_chacha20_poly1305,
};
use zeroize::Zeroize;

use super::TAG_LEN;

/// An expanded key that seals. It is cleared when it is dropped.
pub(super) struct ExpandedKey {
    /// It stays where it was initialized, because it may refer to itself.
    context: Box<EVP_AEAD_CTX>,
}

// SAFETY: the context belongs to no thread. It is changed only while it is created and dropped.
unsafe impl Send for ExpandedKey {}

// SAFETY: AWS-LC lets several threads seal with one context at a time, for each of the ciphers in `aead`.
unsafe impl Sync for ExpandedKey {}

impl ExpandedKey {
    /// Expands a key.
    ///
    /// # Errors
    /// When the cipher is unknown, or the key does not fit it.
    pub(super) fn new(algorithm: &'static Algorithm, key: &[u8]) -> Result<Self, Unspecified> {
        let aead = aead(algorithm)?;
        // SAFETY: it consists of a pointer, a union of plain data and integers, for all of which zeros are valid.
        let mut context = Box::new(unsafe { mem::zeroed::<EVP_AEAD_CTX>() });
        // SAFETY: the context is writable and holds nothing that would have to be cleaned up. The key has the length that is passed. There
        // is no engine, as the documentation wants it.
        let is_initialized = unsafe {
            EVP_AEAD_CTX_init(
                &raw mut *context,
                aead,
                key.as_ptr(),
                key.len(),
                TAG_LEN,
                ptr::null_mut(),
            )
        };
        match is_initialized {
            1 => Ok(Self { context }),
            _ => Err(Unspecified),
        }
    }

    /// Seals the text in place, and writes the tag. `header` is authenticated. A nonce must never be used twice.
    ///
    /// # Errors
    /// When the text is longer than the cipher allows.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        header: &[u8],
        text: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), Unspecified> {
        let (start, length, mut tag_len) = (text.as_mut_ptr(), text.len(), 0);
        // SAFETY: the context is initialized. Each pointer is valid for the length beside it, and for writing where the function writes:
        // the text, which may be sealed in place, the tag and its length. None of these overlaps another. There is no extra input.
        let is_sealed = unsafe {
            EVP_AEAD_CTX_seal_scatter(
                &raw const *self.context,
                start,
                tag.as_mut_ptr(),
                &raw mut tag_len,
                TAG_LEN,
                nonce.as_ptr(),
                nonce.len(),
                start,
                length,
                ptr::null(),
                0,
                header.as_ptr(),
                header.len(),
            )
        };
        match (is_sealed, tag_len) {
            (1, TAG_LEN) => Ok(()),
            _ => Err(Unspecified),
        }
    }

    /// Reads the memory that [`seal`](Self::seal) will need, so that it is in the processor's cache then.
    pub(super) fn prefetch(&self) {
        let start = (&raw const *self.context).cast::<MaybeUninit<u8>>();
        for offset in (0..size_of::<EVP_AEAD_CTX>()).step_by(CACHE_LINE) {
            // SAFETY: the byte lies within the context, and may be padding.
            black_box(unsafe { start.add(offset).read() });
        }
    }
}

impl Drop for ExpandedKey {
    fn drop(&mut self) {
        let context = &raw mut *self.context;
        // SAFETY: the context is initialized, and is not used as one behind this.
        unsafe { EVP_AEAD_CTX_cleanup(context) };
        // SAFETY: these are the bytes of the context, which is borrowed for as long as the slice.
        let bytes = unsafe {
            slice::from_raw_parts_mut(context.cast::<MaybeUninit<u8>>(), size_of::<EVP_AEAD_CTX>())
        };
        bytes.zeroize();
    }
}

/// Returns AWS-LC's name of a cipher.
fn aead(algorithm: &'static Algorithm) -> Result<*const EVP_AEAD, Unspecified> {
    let ciphers: [(_, unsafe extern "C" fn() -> *const EVP_AEAD); 3] = [
        (&AES_128_GCM, EVP_aead_aes_128_gcm),
        (&AES_256_GCM, EVP_aead_aes_256_gcm),
        (&CHACHA20_POLY1305, EVP_aead_chacha20_poly1305),
    ];
    let cipher = ciphers.iter().find(|(other, _)| *other == algorithm);
    // SAFETY: these functions take nothing, and return a constant.
    cipher.map(|(_, aead)| unsafe { aead() }).ok_or(Unspecified)
}

/// The length of a line of the processor's cache, in bytes. Where lines are longer, some are read twice, which costs nothing.
const CACHE_LINE: usize = 64;

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_128_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::*;

    #[test]
    fn seals_as_the_library_does() {
        for algorithm in [&AES_128_GCM, &AES_256_GCM, &CHACHA20_POLY1305] {
            let key: Vec<u8> = (0..algorithm.key_len()).map(|byte| byte as u8).collect();
            let expanded = ExpandedKey::new(algorithm, &key).unwrap();
            let library = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
            for length in [0, 1, 15, 16, 17, 330, 16_384] {
                let nonce = [length as u8; NONCE_LEN];
                let (mut text, mut tag) = (vec![7; length], [0; TAG_LEN]);
                let mut other = text.clone();
                expanded.prefetch();
                expanded.seal(&nonce, b"header", &mut text, &mut tag).unwrap();
                let nonce = Nonce::assume_unique_for_key(nonce);
                let other_tag = library.seal_in_place_separate_tag(nonce, Aad::from(b"header"), &mut other);
                assert_eq!((text, &tag[..]), (other, other_tag.unwrap().as_ref()), "{length}");
            }
        }
    }

    #[test]
    fn a_key_that_does_not_fit_and_an_unknown_cipher_are_refused() {
        assert!(ExpandedKey::new(&AES_128_GCM, &[0; 15]).is_err());
        assert!(ExpandedKey::new(&AES_256_GCM, &[0; 16]).is_err());
        assert!(ExpandedKey::new(&AES_128_GCM_SIV, &[0; 16]).is_err());
    }
}
