//! Whatever a client of a stream over TLS sends: reading it never panics, holds little, and follows every KeyUpdate that is one.
//!
//! The input is a list of steps, each a byte that says what it is, one with a length, and its bytes. A step sends the bytes as they are, or
//! seals them as a client does, because no input gets past the authentication of a record by itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use riverhead::tls::fuzzing::KnownStream;

fuzz_target!(|bytes: &[u8]| {
    let mut stream = KnownStream::new(BUDGET).expect("known keys");
    let (mut rest, mut updates) = (bytes, 0);
    while let [step, length, more @ ..] = rest {
        let (text, behind) = more.split_at(usize::from(*length).min(more.len()));
        rest = behind;
        let (budget, mut is_update) = (stream.budget, false);
        let sent = match step % 8 {
            0 => text.to_vec(),
            1 => {
                // Events allow more KeyUpdates.
                stream.send(b"event").expect("a record");
                updates = 0;
                continue;
            }
            2 => {
                is_update = true;
                let request = text.first().map_or(0, |first| first % 2);
                stream.seal(HANDSHAKE, &[24, 0, 0, 1, request], 0).expect("a record")
            }
            kind => {
                let padding = text.first().map_or(0, |first| usize::from(*first) * 7);
                stream.seal(17 + kind, text, padding).expect("a record")
            }
        };
        let cut = usize::from(step / 8).min(sent.len());
        let end = stream.receive(&sent[..cut]).or_else(|| stream.receive(&sent[cut..]));
        assert!(stream.held() <= LONGEST_RECORD && stream.budget <= budget);
        if end.is_some() {
            return;
        }
        if is_update && stream.held() == 0 {
            updates += 1;
            assert!(updates <= 32, "a flood");
            stream.update_client_key().expect("known keys");
        }
    }
});

const HANDSHAKE: u8 = 22;

/// How many bytes of data the client may send.
const BUDGET: usize = 64 * 1024;

/// A header, and the most that may follow it.
const LONGEST_RECORD: usize = 5 + (1 << 14) + 256;
