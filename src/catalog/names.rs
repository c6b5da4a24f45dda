//! A lookup from the names in a query to the parameters and fields that they mean.
//!
//! Not here: the parameters' values.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::parameter::{PARAMETERS, Parameter};

/// The meaning of names in a query, for streams with certain fields.
///
/// A query has room for thousands of names, and most of them mean nothing here. Each is read once, byte by byte, into a hash of
/// its letters: its case, dashes and underscores do not count. Only a name with the hash of a known name is looked at more
/// closely.
#[derive(Debug)]
pub struct QueryNames<'a> {
    /// Sorted by hash, fields before parameters.
    known: Vec<KnownName<'a>>,
    /// A bitmap with a bit for each known hash, at the index of its upper 9 bits.
    bits: [u64; 8],
    /// How many letters the shortest known name has.
    fewest: usize,
}

/// The meaning of the name of a pair in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameMeaning<'a> {
    /// This parameter.
    Parameter(Parameter),
    /// The field with this index.
    Field(usize),
    /// No parameter and no field, but the name differs from this known name in case, dashes and underscores only.
    Misspelt(&'a str),
    /// Neither, and not close to either.
    Nothing,
}

#[derive(Debug)]
struct KnownName<'a> {
    hash: u32,
    name: &'a str,
    meaning: NameMeaning<'a>,
}

impl<'a> QueryNames<'a> {
    /// Creates a lookup of the parameters and of these fields.
    pub fn of(fields: impl Iterator<Item = &'a str>) -> Self {
        let fields = fields.enumerate().map(|(at, it)| (it, NameMeaning::Field(at)));
        let parameters = PARAMETERS.map(|(name, parameter, _)| (name, NameMeaning::Parameter(parameter)));
        let mut known: Vec<_> = fields.chain(parameters).map(KnownName::new).collect();
        // The sort is stable: a field keeps a name that is a parameter's too.
        known.sort_by_key(|known| known.hash);
        let mut bits = [0; 8];
        for known in &known {
            let (word, bit) = bit_of(known.hash);
            bits[word] |= bit;
        }
        let letters = known.iter().map(|known| letters(known.name).count());
        Self {
            fewest: letters.min().unwrap_or(0),
            known,
            bits,
        }
    }

    /// Returns how many bytes a pair has at least if its name means something.
    pub fn shortest(&self) -> usize {
        self.fewest
    }

    /// Reads the name at the start of a pair, which ends before a `=` or at the end. Returns its length in bytes, and what it
    /// means.
    pub fn read(&self, pair: &str) -> (usize, NameMeaning<'a>) {
        let name = QueryName::read(pair.as_bytes());
        let (word, bit) = bit_of(name.hash);
        match self.bits[word] & bit {
            0 => (name.length, NameMeaning::Nothing),
            _ => (name.length, self.meaning(&pair[..name.length], &name)),
        }
    }

    fn meaning(&self, text: &str, name: &QueryName) -> NameMeaning<'a> {
        let first = self.known.partition_point(|known| known.hash < name.hash);
        let alike = self.known[first..].iter();
        let alike = alike.take_while(|known| known.hash == name.hash);
        if name.is_plain
            && let Some(exact) = alike.clone().find(|known| known.name == text)
        {
            return exact.meaning;
        }
        let letters = percent_decode_str(text).filter_map(letter);
        let is_alike = |known: &&KnownName<'_>| known.name.bytes().filter_map(letter).eq(letters.clone());
        let alike = alike.filter(is_alike);
        let name = decoded(text);
        let exact = alike.clone().find(|known| known.name == name);
        exact.map_or_else(|| misspelt(alike, &name), |known| known.meaning)
    }
}

impl<'a> KnownName<'a> {
    fn new((name, meaning): (&'a str, NameMeaning<'a>)) -> Self {
        let hash = name.bytes().filter_map(letter).fold(0, hashed);
        Self { hash, name, meaning }
    }
}

/// The name of a pair in a query, as it is read.
struct QueryName {
    /// In bytes.
    length: usize,
    hash: u32,
    /// Whether the name is written without escapes.
    is_plain: bool,
}

impl QueryName {
    #[inline]
    fn read(query: &[u8]) -> Self {
        let (mut rest, mut hash, mut is_plain) = (query, 0, true);
        while let [byte, behind @ ..] = rest {
            rest = match LETTERS[usize::from(*byte)] {
                END => break,
                NONE => behind,
                ESCAPE => {
                    is_plain = false;
                    let (byte, behind) = unescaped_byte(*byte, behind);
                    hash = letter(byte).map_or(hash, |letter| hashed(hash, letter));
                    behind
                }
                letter => {
                    hash = hashed(hash, letter);
                    behind
                }
            };
        }
        Self {
            length: query.len() - rest.len(),
            hash,
            is_plain,
        }
    }
}

/// Adds a letter to a hash, which is enough to distinguish names of a few letters. A name that is built to have another's hash
/// costs a comparison.
fn hashed(hash: u32, letter: u8) -> u32 {
    (hash.rotate_left(5) ^ u32::from(letter)).wrapping_mul(0x9e37_79b1)
}

fn bit_of(hash: u32) -> (usize, u64) {
    ((hash >> 29) as usize, 1 << (hash >> 23 & 63))
}

/// The letter of each byte of a name, or one of the classes below.
const LETTERS: [u8; 256] = {
    let (mut letters, mut byte) = ([0; 256], 0);
    while byte < 256 {
        letters[byte] = match byte as u8 {
            b'=' | b'&' => END,
            b'%' | b'+' => ESCAPE,
            // These three bytes can occur in a name too, and take the slower path.
            END | NONE | ESCAPE => ESCAPE,
            byte => match letter(byte) {
                Some(letter) => letter,
                None => NONE,
            },
        };
        byte += 1;
    }
    letters
};

const END: u8 = 1;
const NONE: u8 = 2;
const ESCAPE: u8 = 3;

/// Returns the letter of a byte, or `None` for a byte that does not count.
///
/// A space and an escaped plus sign become the same letter, a space.
const fn letter(byte: u8) -> Option<u8> {
    match byte {
        b'-' | b'_' => None,
        b'+' => Some(b' '),
        byte => Some(byte.to_ascii_lowercase()),
    }
}

/// Returns what was meant by `name`, which equals none of the `alike` ones: a parameter before a field.
fn misspelt<'k, 'a: 'k>(
    alike: impl Iterator<Item = &'k KnownName<'a>> + Clone,
    name: &str,
) -> NameMeaning<'a> {
    let is_parameter = |known: &&KnownName<'_>| matches!(known.meaning, NameMeaning::Parameter(_));
    let meant = alike.clone().find(is_parameter).or(alike.clone().next());
    // The hash does not tell spaces and plus signs apart.
    let meant = meant.filter(|known| letters(known.name).eq(letters(name)));
    meant.map_or(NameMeaning::Nothing, |known| NameMeaning::Misspelt(known.name))
}

/// Returns the byte that `byte` stands for, decoding an escape that begins with it, and the text after that.
fn unescaped_byte(byte: u8, behind: &[u8]) -> (u8, &[u8]) {
    if let (b'%', [high, low, rest @ ..]) = (byte, behind)
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return (high << 4 | low, rest);
    }
    (byte, behind)
}

/// Returns the value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Decodes a name or a value of a query by the URL standard (`application/x-www-form-urlencoded`).
pub fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        let (byte, behind) = match byte {
            b'+' => (b' ', behind),
            b'%' => unescaped_byte(*byte, behind),
            _ => {
                // Text without escapes may be long, and is copied at once.
                let end = behind.iter().position(|byte| matches!(byte, b'+' | b'%'));
                let (plain, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                bytes.extend_from_slice(plain);
                rest = behind;
                continue;
            }
        };
        bytes.push(byte);
        rest = behind;
    }
    Cow::Owned(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// Returns the characters that identify a name.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let letters = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    letters.map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str, fields: &[&'static str]) -> NameMeaning<'static> {
        let names = QueryNames::of(fields.iter().copied());
        let (end, meaning) = names.read(name);
        assert_eq!(end, name.len());
        assert!(meaning == NameMeaning::Nothing || end >= names.shortest());
        meaning
    }

    fn meant(name: &str, fields: &[&'static str]) -> Option<&'static str> {
        match meaning(name, fields) {
            NameMeaning::Misspelt(meant) => Some(meant),
            _ => None,
        }
    }

    #[test]
    fn names_that_differ_in_case_dashes_and_underscores_are_near() {
        for (name, known) in [
            ("Since", "since"),
            ("SINCE", "since"),
            ("on-gap", "on_gap"),
            ("onGap", "on_gap"),
            ("ID", "id"),
            ("LASTEVENTID", "lastEventId"),
            ("last_eventid", "lastEventId"),
            ("Evs-Last-Event-Id", "evs_last_event_id"),
            ("Checkpoint", "checkpoint"),
        ] {
            assert_eq!(meant(name, &[]), Some(known), "{name}");
        }
        for (known, ..) in PARAMETERS {
            assert!(
                matches!(meaning(known, &[]), NameMeaning::Parameter(_)),
                "{known}"
            );
            let misspelt = format!("{known}_");
            assert!(meant(&misspelt, &[]).is_some(), "{known} is not in the table");
        }
        for other in ["", "_", "-", "sinces", "sinc", "ids", "utm_source", "\u{130}d"] {
            assert_eq!(meant(other, &[]), None, "{other}");
        }
    }

    #[test]
    fn a_field_is_known_and_goes_before_a_near_miss() {
        assert_eq!(meant("Since", &["Since"]), None);
        assert_eq!(meant("user-id", &["user_id"]), Some("user_id"));
        assert_eq!(meaning("user_id", &["a", "user_id"]), NameMeaning::Field(1));
        assert_eq!(meaning("checkpoint", &["checkpoint"]), NameMeaning::Field(0));
        assert_eq!(meant("check-point", &["check_point"]), Some("checkpoint"));
    }

    #[test]
    fn names_are_read_as_a_query_has_them() {
        for (name, parameter) in [
            ("%73ince", Parameter::Since),
            ("on%5Fgap", Parameter::OnGap),
            ("%4Cast-Event-ID", Parameter::LastEventId),
        ] {
            assert_eq!(meaning(name, &[]), NameMeaning::Parameter(parameter), "{name}");
        }
        assert_eq!(meant("%53ince", &[]), Some("since"));
        assert_eq!(meaning("a+b", &["a b"]), NameMeaning::Field(0));
        assert_eq!(meaning("a%20b", &["a b"]), NameMeaning::Field(0));
        assert_eq!(meaning("a%2Bb", &["a b"]), NameMeaning::Nothing);
        assert_eq!(meaning("a%2Bb", &["a+b"]), NameMeaning::Field(0));
        for other in ["%", "%7", "since%", "%zz", "%ff", "\u{e9}"] {
            assert_eq!(meaning(other, &[]), NameMeaning::Nothing, "{other}");
        }
    }

    #[test]
    fn values_are_decoded_as_forms_are() {
        for (text, decoded_text) in [
            ("a", "a"),
            ("a+b%2Bc", "a b+c"),
            ("%E2%82%AC", "\u{20ac}"),
            ("%", "%"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decoded(text), decoded_text, "{text}");
        }
    }
}
