//! Keys of session tickets in a file that replicas share.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    key::{KEY_BYTES, TicketKey},
    keys::TicketKeys,
};
use crate::tls::fault::TlsFault;

/// Reads the keys in a file: lines of base64, 80 bytes each.
///
/// # Errors
/// Every line that is no key, or has the name of one before it, and a file without any. They do not quote the file.
pub(in crate::tls) fn read_keys(path: &Path, text: &[u8]) -> Result<TicketKeys, Vec<TlsFault>> {
    let (mut keys, mut faults) = (Vec::<TicketKey>::new(), Vec::new());
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        match key(line) {
            Ok(key) if keys.iter().any(|other| other.name() == key.name()) => {
                faults.push(format!(
                    "line {number} begins with the same 16 bytes as a line before it: they must differ, because they are the name of the key"
                ));
            }
            Ok(key) => keys.push(key),
            Err(problem) => faults.push(format!("line {number} {problem}")),
        }
    }
    if keys.is_empty() && faults.is_empty() {
        faults.push(format!(
            "contains no key; `openssl rand -base64 {KEY_BYTES} | tr -d '\\n'` makes one"
        ));
    }
    match faults.is_empty() {
        true => Ok(TicketKeys::shared(keys)),
        false => Err(faults
            .into_iter()
            .map(|fault| TlsFault::new(path, fault))
            .collect()),
    }
}

/// Decodes a line.
fn key(line: &[u8]) -> Result<TicketKey, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("is longer than {KEY_BYTES} bytes of base64"));
    }
    let mut bytes = Zeroizing::new([0; MAX_LINE_BYTES / 4 * 3]);
    let length = STANDARD
        .decode_slice(line, &mut *bytes)
        .map_err(|_| "is not base64".to_owned())?;
    TicketKey::copy_of(&bytes[..length])
        .ok_or_else(|| format!("is base64 of {length} bytes, and a key has {KEY_BYTES}"))
}

/// The longest line that is decoded, in bytes: a key's, and one group of four more, to say how long it is.
const MAX_LINE_BYTES: usize = KEY_BYTES.div_ceil(3) * 4 + 4;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn line(first: u8, length: usize) -> String {
        let mut bytes = vec![5; length];
        bytes[0] = first;
        STANDARD.encode(bytes)
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = read_keys(Path::new("keys"), text.as_bytes()).err();
        faults
            .into_iter()
            .flatten()
            .map(|fault| fault.to_string())
            .collect()
    }

    #[test]
    fn the_first_line_seals_and_all_open() {
        let now = Instant::now();
        let (one, two, three) = (line(1, KEY_BYTES), line(2, KEY_BYTES), line(3, KEY_BYTES));
        let read = |text: String| read_keys(Path::new("keys"), text.as_bytes()).unwrap();
        let first = read(one.clone());
        let both = read(format!("\n{two}\r\n\n  {one}  \n"));
        let other = read(three);
        assert_eq!((first.count(), both.count()), (1, 2));
        let (old, new) = (
            first.seal(&[], b"s", now).unwrap(),
            both.seal(&[], b"s", now).unwrap(),
        );
        assert!(both.open(&[], &old, now).is_some() && both.open(&[], &new, now).is_some());
        assert!(
            first.open(&[], &new, now).is_none(),
            "the first line of two has sealed it"
        );
        assert!(other.open(&[], &old, now).is_none());
    }

    #[test]
    fn every_fault_is_told_with_its_line_and_without_its_text() {
        let text = format!(
            "{}\nsecret!\n{}\n{}\n{}\n{}\n{}",
            line(1, KEY_BYTES),
            line(2, KEY_BYTES - 1),
            line(3, KEY_BYTES + 1),
            line(4, 48),
            line(1, KEY_BYTES),
            line(5, 4_000),
        );
        assert_eq!(
            faults(&text),
            [
                "keys: line 2 is not base64",
                "keys: line 3 is base64 of 79 bytes, and a key has 80",
                "keys: line 4 is base64 of 81 bytes, and a key has 80",
                "keys: line 5 is base64 of 48 bytes, and a key has 80",
                "keys: line 6 begins with the same 16 bytes as a line before it: they must differ, because they are the name of the key",
                "keys: line 7 is longer than 80 bytes of base64",
            ]
        );
    }

    #[test]
    fn a_file_without_keys_is_a_fault_that_says_how_to_make_one() {
        for text in ["", "\n\n  \r\n"] {
            let faults = faults(text);
            assert!(
                faults.len() == 1 && faults[0].contains("contains no key; `openssl rand"),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_not_base64() {
        let faults = read_keys(Path::new("keys"), &[0xff; 108]).unwrap_err();
        assert_eq!(faults[0].to_string(), "keys: line 1 is not base64");
    }
}
