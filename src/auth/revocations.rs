//! Revoked credentials: tokens by their `jti`, all tokens of a subject, and API keys by their names.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{
    fault::AuthFault,
    files::{self, quoted},
    key_file::parse_time,
    principal::{CredentialKind, Principal},
    settings::MAX_LEEWAY,
};
use crate::{position::Timestamp, storage};

/// What is revoked. Each value may have a time from which it need not be remembered, because all that it revokes has expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revocations {
    token_ids: BTreeMap<String, Option<Timestamp>>,
    subjects: BTreeMap<String, Option<Timestamp>>,
    keys: BTreeMap<String, Option<Timestamp>>,
}

/// One value to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The token with this `jti`.
    TokenId(String),
    /// All tokens with this `sub`.
    Subject(String),
    /// The API key with this name.
    Key(String),
}

impl Revocation {
    /// Returns the value itself.
    pub(super) fn value(&self) -> &str {
        match self {
            Self::TokenId(value) | Self::Subject(value) | Self::Key(value) => value,
        }
    }

    /// Whether it revokes the credential of this principal.
    pub(super) fn covers(&self, principal: &Principal) -> bool {
        let value = match (self, principal.kind) {
            (Self::TokenId(_), CredentialKind::Token) => principal.token_id(),
            (Self::Subject(_), CredentialKind::Token) => principal.subject.as_deref(),
            (Self::Key(_), CredentialKind::ApiKey) => Some(&*principal.name),
            _ => None,
        };
        value == Some(self.value())
    }
}

impl Revocations {
    /// Reads a file. One that does not exist has none: it is written with the first.
    ///
    /// # Errors
    /// When it is malformed.
    pub(super) fn read(path: &Path) -> Result<Self, AuthFault> {
        match path.try_exists() {
            Ok(false) => Ok(Self::default()),
            _ => Self::parse(path, &files::read(path)?),
        }
    }

    /// Reads a file that was read before, and had these then.
    ///
    /// # Errors
    /// When it is malformed, or is gone with all that it had: what is revoked must not count again because a disk is not mounted.
    pub(super) fn read_again(path: &Path, before: &Self) -> Result<Self, AuthFault> {
        let read = Self::read(path)?;
        match !path.try_exists().unwrap_or(true) && before.len() > 0 {
            true => Err(AuthFault::new(
                path,
                "is missing, although credentials are revoked; if none is to be revoked any more, create an empty file",
            )),
            false => Ok(read),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it would be too long to be read again, or cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), AuthFault> {
        let text = self.text();
        if text.len() as u64 > storage::MAX_FILE_BYTES {
            return Err(AuthFault::new(path, "is full; remove entries by hand"));
        }
        let written = storage::replace_private(path, text.as_bytes());
        written.map_err(|error| AuthFault::new(path, format!("cannot be written: {error}")))
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, AuthFault> {
        let fault = |problem: String| AuthFault::new(path, problem);
        let document = serde_json::from_value(files::toml(path, text)?);
        let document: Document = document.map_err(|error| fault(files::without_values(&error)))?;
        let read = |entries: Vec<Entry>| {
            let read = entries.into_iter().map(Entry::read);
            read.collect::<Result<BTreeMap<_, _>, String>>().map_err(fault)
        };
        Ok(Self {
            token_ids: read(document.jti)?,
            subjects: read(document.subjects)?,
            keys: read(document.keys)?,
        })
    }

    /// Whether the credential of this principal is revoked. `name` is what its entry is called now.
    pub(super) fn covers(&self, principal: &Principal, name: &str) -> bool {
        match principal.kind {
            CredentialKind::ApiKey => self.keys.contains_key(name),
            CredentialKind::Token => {
                let token_id = principal.token_id();
                let subject = principal.subject.as_deref();
                token_id.is_some_and(|id| self.token_ids.contains_key(id))
                    || subject.is_some_and(|subject| self.subjects.contains_key(subject))
            }
            // Its entry is removed.
            CredentialKind::Certificate => false,
        }
    }

    /// Returns how many values are revoked.
    pub(super) fn len(&self) -> usize {
        self.token_ids.len() + self.subjects.len() + self.keys.len()
    }

    /// Adds a value, until this time, and removes those whose time has passed by more than any leeway.
    pub(super) fn add(&mut self, revocation: &Revocation, until: Option<Timestamp>, now: Timestamp) {
        let values = match revocation {
            Revocation::TokenId(_) => &mut self.token_ids,
            Revocation::Subject(_) => &mut self.subjects,
            Revocation::Key(_) => &mut self.keys,
        };
        let known = values.entry(revocation.value().to_owned()).or_insert(until);
        *known = later_of(*known, until);
        for values in [&mut self.token_ids, &mut self.subjects, &mut self.keys] {
            values.retain(|_, until| until.is_none_or(|until| counts_at(until, now)));
        }
    }

    /// Adds what these revoke and this does not, or not for as long. Returns whether there was any.
    pub(super) fn absorb(&mut self, others: Self) -> bool {
        let both = [
            (&mut self.token_ids, others.token_ids),
            (&mut self.subjects, others.subjects),
            (&mut self.keys, others.keys),
        ];
        let mut has_more = false;
        for (own, others) in both {
            for (value, until) in others {
                let known = own.get(&value).copied();
                let later = later_of(known.unwrap_or(until), until);
                if known != Some(later) {
                    own.insert(value, later);
                    has_more = true;
                }
            }
        }
        has_more
    }

    /// Returns the text of the file.
    pub(super) fn text(&self) -> String {
        let list = |name: &str, values: &BTreeMap<String, Option<Timestamp>>| {
            let entries = values.iter().map(|(value, until)| {
                let value = quoted(value);
                let until = until.and_then(|until| jiff::Timestamp::from_millisecond(until).ok());
                match until {
                    Some(until) => format!("    {{ value = {value}, until = \"{until}\" }},\n"),
                    None => format!("    {value},\n"),
                }
            });
            format!("{name} = [\n{}]\n", entries.collect::<String>())
        };
        let lists = [
            ("jti", &self.token_ids),
            ("subjects", &self.subjects),
            ("keys", &self.keys),
        ];
        let lists = lists.map(|(name, values)| list(name, values));
        format!("{HEAD}{}", lists.concat())
    }
}

/// Returns the later of two times. No time is the latest.
fn later_of(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// Whether a revocation of what expires at this time may still matter: a token is accepted for the leeway of its issuer longer, which
/// may change meanwhile.
pub(super) fn counts_at(until: Timestamp, now: Timestamp) -> bool {
    until.saturating_add(MAX_LEEWAY.as_millis() as Timestamp) > now
}

/// A value, or a value with the time until which it is kept.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Value(String),
    Until(EntryUntil),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryUntil {
    value: String,
    until: String,
}

impl Entry {
    fn read(self) -> Result<(String, Option<Timestamp>), String> {
        match self {
            Self::Value(value) => Ok((value, None)),
            Self::Until(EntryUntil { value, until }) => {
                let until =
                    parse_time(&until).map_err(|_| "`until` is not a time such as 2027-01-31T00:00:00Z")?;
                Ok((value, Some(until)))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    jti: Vec<Entry>,
    #[serde(default)]
    subjects: Vec<Entry>,
    #[serde(default)]
    keys: Vec<Entry>,
}

const HEAD: &str = "\
# Revoked credentials. `POST /admin/revocations` writes this file anew, without other comments. After a change by hand,
# SIGHUP makes riverhead read it. An entry may have a time from which it is left out: { value = \"..\", until = \"..\" }
";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::principal::tests::principal;

    fn parse(text: &str) -> Result<Revocations, String> {
        Revocations::parse(Path::new("revoked.toml"), text.as_bytes()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut revocations = Revocations::default();
        revocations.add(&Revocation::TokenId("a\"\n".into()), Some(2_000), 1_000);
        revocations.add(&Revocation::Subject("b".into()), None, 1_000);
        revocations.add(&Revocation::Key("c".into()), None, 1_000);
        assert_eq!(parse(&revocations.text()).as_ref(), Ok(&revocations));
        assert_eq!(revocations.len(), 3);
        assert_eq!(parse("").unwrap(), Revocations::default());
        for bad in [
            "jti = 'a'",
            "tokens = []",
            "jti = [7]",
            "jti = [{ value = 'a', until = 'soon' }]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_goes_when_its_time_has_passed_and_the_later_of_two_times_counts() {
        let mut revocations = Revocations::default();
        let [one, two, three] = ["1", "2", "3"].map(|id| Revocation::TokenId(id.into()));
        revocations.add(&one, Some(2_000), 0);
        revocations.add(&two, Some(2_000), 0);
        revocations.add(&two, Some(3_000), 0);
        revocations.add(&two, Some(1_000), 0);
        revocations.add(&three, Some(2_000), 0);
        revocations.add(&three, None, 0);
        let leeway = MAX_LEEWAY.as_millis() as Timestamp;
        revocations.add(&three, Some(2_000), 2_000 + leeway - 1);
        assert_eq!(revocations.len(), 3, "tokens may still be accepted");
        revocations.add(&three, Some(2_000), 2_000 + leeway);
        let kept: Vec<_> = revocations.token_ids.into_iter().collect();
        assert_eq!(kept, [("2".to_owned(), Some(3_000)), ("3".to_owned(), None)]);
    }

    #[test]
    fn what_another_process_revokes_is_added_and_nothing_is_taken_away() {
        let parse = |text: &str| parse(text).unwrap();
        let until = |year| format!("{{ value = 'b', until = '{year}-01-01T00:00:00Z' }}");
        let mut own = parse(&format!("jti = ['a', {}]\nkeys = ['k']", until(2030)));
        assert!(!own.absorb(parse("")));
        assert!(!own.absorb(parse(&format!("jti = [{}]", until(2029)))));
        assert!(own.absorb(parse(&format!("jti = [{}]\nsubjects = ['s']", until(2031)))));
        let all = format!("jti = ['a', {}]\nsubjects = ['s']\nkeys = ['k']", until(2031));
        assert_eq!(own, parse(&all));
        assert!(own.absorb(parse("jti = ['b']")));
        assert!(!own.absorb(parse(&all)));
    }

    #[test]
    fn each_kind_revokes_its_own() {
        let key = principal("name", None);
        let mut token = principal("name", Some("subject"));
        token.claims = json!({"jti": "id"}).as_object().unwrap().clone();
        for (revocation, covers_key, covers_token) in [
            (Revocation::Key("name".into()), true, false),
            (Revocation::Subject("subject".into()), false, true),
            (Revocation::TokenId("id".into()), false, true),
            (Revocation::Subject("id".into()), false, false),
            (Revocation::TokenId("subject".into()), false, false),
        ] {
            let mut revocations = Revocations::default();
            revocations.add(&revocation, None, 0);
            let covers = [&key, &token].map(|principal| revocations.covers(principal, "name"));
            assert_eq!(covers, [covers_key, covers_token], "{revocation:?}");
            assert_eq!([revocation.covers(&key), revocation.covers(&token)], covers);
        }
    }
}
