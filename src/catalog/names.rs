//! From the names in a query to the parameters and fields that they mean.

use std::borrow::Cow;

use super::parameter::{PARAMETERS, Parameter};

/// What the names in a query mean on streams with some fields.
///
/// A query has room for thousands of names, and most of them mean nothing here. Each is read once, byte by byte, and looked up among
/// the known names that have as many letters; dashes and underscores do not count.
#[derive(Debug)]
pub struct Names<'a> {
    /// By the number of letters, then by letters, then fields first.
    known: Vec<Known<'a>>,
    /// Which of them have so many letters: from this index to that of one letter more.
    starts: Vec<usize>,
    /// The letters of the name that is read, if it has no more than these.
    letters: Vec<u8>,
}

/// What the name of a pair in a query means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// This parameter.
    Parameter(Parameter),
    /// The field of this number.
    Field(usize),
    /// Nothing, but it differs from this known name in case, dashes and underscores only.
    Slip(&'a str),
    /// Nothing that concerns us.
    Nothing,
}

#[derive(Debug)]
struct Known<'a> {
    letters: Vec<u8>,
    name: &'a str,
    meaning: Meaning<'a>,
}

impl<'a> Names<'a> {
    /// Those of the parameters, and of these fields.
    pub fn of(fields: impl Iterator<Item = &'a str>) -> Self {
        let fields = fields
            .enumerate()
            .map(|(index, name)| (name, Meaning::Field(index)));
        let parameters = PARAMETERS.map(|(name, parameter)| (name, Meaning::Parameter(parameter)));
        let mut known: Vec<_> = fields.chain(parameters).map(Known::new).collect();
        // Stable: a field keeps a name that is a parameter's too.
        known.sort_by(|a, b| a.key().cmp(&b.key()));
        let longest = known.last().map_or(0, |known| known.letters.len());
        let first_of = |length| known.partition_point(|known| known.letters.len() < length);
        Self {
            starts: (0..=longest + 1).map(first_of).collect(),
            letters: vec![0; longest],
            known,
        }
    }

    /// Returns what `name` means, which stands in a query as it is given here.
    pub fn meaning(&mut self, name: &str) -> Meaning<'a> {
        let alike = self.alike(name);
        if alike.is_empty() {
            return Meaning::Nothing;
        }
        let name = decoded(name);
        let exact = alike.iter().find(|known| known.name == name);
        exact.map_or_else(|| slip(alike, &name), |known| known.meaning)
    }

    /// Returns the known names of the letters that `name` has.
    fn alike(&mut self, name: &str) -> &[Known<'a>] {
        let Some(length) = read_letters(name.as_bytes(), &mut self.letters) else {
            return &[];
        };
        let known = &self.known[self.starts[length]..self.starts[length + 1]];
        if known.is_empty() {
            return known;
        }
        let letters = &self.letters[..length];
        let first = known.partition_point(|known| *known.letters < *letters);
        let count = known[first..]
            .iter()
            .take_while(|known| *known.letters == *letters)
            .count();
        &known[first..first + count]
    }
}

impl<'a> Known<'a> {
    fn new((name, meaning): (&'a str, Meaning<'a>)) -> Self {
        Self {
            letters: letters(name)
                .map(|byte| if byte == b'+' { b' ' } else { byte })
                .collect(),
            name,
            meaning,
        }
    }

    fn key(&self) -> (usize, &[u8]) {
        (self.letters.len(), &self.letters)
    }
}

/// Returns what was meant by `name`, which is none of those that are `alike`: a parameter before a field.
fn slip<'a>(alike: &[Known<'a>], name: &str) -> Meaning<'a> {
    let is_parameter = |known: &&Known<'_>| matches!(known.meaning, Meaning::Parameter(_));
    let meant = alike.iter().find(is_parameter).or(alike.first());
    // Spaces and plus signs were taken for the same.
    let meant = meant.filter(|known| letters(known.name).eq(letters(name)));
    meant.map_or(Meaning::Nothing, |known| Meaning::Slip(known.name))
}

/// Reads the letters of a name that stands in a query into `letters`, and returns how many there are; `None` if it has no room for
/// them.
///
/// It does not tell whether a space stood there or an escaped plus sign: both become a space.
fn read_letters(name: &[u8], letters: &mut [u8]) -> Option<usize> {
    let (mut rest, mut length) = (name, 0);
    while let Some((byte, behind)) = rest.split_first() {
        let (byte, behind) = match byte {
            b'%' => escaped(behind).unwrap_or((b'%', behind)),
            byte => (*byte, behind),
        };
        rest = behind;
        let letter = match byte {
            b'-' | b'_' => continue,
            b'+' => b' ',
            byte => byte.to_ascii_lowercase(),
        };
        *letters.get_mut(length)? = letter;
        length += 1;
    }
    Some(length)
}

/// The byte whose two digits stand here, and what is behind them.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = text.split_first_chunk::<2>()?;
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    Some(((digit(high)? << 4 | digit(low)?) as u8, behind))
}

/// Decodes a name or a value of a query, as the URL standard has it (`application/x-www-form-urlencoded`).
pub fn decoded(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'+', b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
    Cow::Owned(decoded.into_owned())
}

/// What makes a name the one it is.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let letters = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    letters.map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parameter::{LATER, RESERVED};

    fn meaning(name: &str, fields: &[&'static str]) -> Meaning<'static> {
        Names::of(fields.iter().copied()).meaning(name)
    }

    fn meant(name: &str, fields: &[&'static str]) -> Option<&'static str> {
        match meaning(name, fields) {
            Meaning::Slip(meant) => Some(meant),
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
        for known in RESERVED.into_iter().chain(LATER) {
            assert!(matches!(meaning(known, &[]), Meaning::Parameter(_)), "{known}");
            let slip = format!("{known}_");
            assert!(meant(&slip, &[]).is_some(), "{known} is not in the table");
        }
        for other in ["", "_", "-", "sinces", "sinc", "ids", "utm_source", "\u{130}d"] {
            assert_eq!(meant(other, &[]), None, "{other}");
        }
    }

    #[test]
    fn a_field_is_known_and_goes_before_a_near_miss() {
        assert_eq!(meant("Since", &["Since"]), None);
        assert_eq!(meant("user-id", &["user_id"]), Some("user_id"));
        assert_eq!(meaning("user_id", &["a", "user_id"]), Meaning::Field(1));
        assert_eq!(meaning("checkpoint", &["checkpoint"]), Meaning::Field(0));
        assert_eq!(meant("check-point", &["check_point"]), Some("checkpoint"));
    }

    #[test]
    fn names_are_read_as_a_query_has_them() {
        for (name, parameter) in [
            ("%73ince", Parameter::Since),
            ("on%5Fgap", Parameter::OnGap),
            ("%4Cast-Event-ID", Parameter::LastEventId),
        ] {
            assert_eq!(meaning(name, &[]), Meaning::Parameter(parameter), "{name}");
        }
        assert_eq!(meant("%53ince", &[]), Some("since"));
        assert_eq!(meaning("a+b", &["a b"]), Meaning::Field(0));
        assert_eq!(meaning("a%20b", &["a b"]), Meaning::Field(0));
        assert_eq!(meaning("a%2Bb", &["a b"]), Meaning::Nothing);
        assert_eq!(meaning("a%2Bb", &["a+b"]), Meaning::Field(0));
        for other in ["%", "%7", "since%", "%zz", "%ff", "\u{e9}"] {
            assert_eq!(meaning(other, &[]), Meaning::Nothing, "{other}");
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
