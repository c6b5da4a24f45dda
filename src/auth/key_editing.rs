//! Changes of the file with API keys: a new entry at its end, or one entry less. All else stays as an operator has written it.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    api_key::ApiKey,
    fault::AuthFault,
    files::quoted,
    key_file::{KeyFile, parse_time},
};
use crate::storage::replace_private;

/// The entry of a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// The name in logs and metrics.
    pub name: String,
    /// What it grants.
    pub scopes: Vec<String>,
    /// What it says of its holder, as names and texts.
    pub claims: Vec<(String, String)>,
    /// When it expires: an ISO 8601 time with a zone.
    pub expires: Option<String>,
}

impl NewKey {
    fn entry(&self, key: &ApiKey) -> String {
        let mut lines = vec![
            "[[keys]]".to_owned(),
            format!("name = {}", quoted(&self.name)),
            format!("sha256 = \"{}\"", key.digest()),
        ];
        if !self.scopes.is_empty() {
            let scopes: Vec<_> = self.scopes.iter().map(|scope| quoted(scope)).collect();
            lines.push(format!("scopes = [{}]", scopes.join(", ")));
        }
        if !self.claims.is_empty() {
            let claims = self.claims.iter();
            let claims: Vec<_> = claims
                .map(|(name, text)| format!("{} = {}", quoted(name), quoted(text)))
                .collect();
            lines.push(format!("claims = {{ {} }}", claims.join(", ")));
        }
        lines.extend(
            self.expires
                .as_ref()
                .map(|expires| format!("expires = {}", quoted(expires))),
        );
        lines.join("\n") + "\n"
    }
}

/// Creates a key and adds its entry to the file, which is created if it is missing. Returns the key, which is kept nowhere.
///
/// # Errors
/// When the name is taken, or the file or the new entry has a fault. The file is as before then.
pub fn append(path: &Path, new: &NewKey) -> Result<ApiKey, Vec<AuthFault>> {
    let fault = |problem: String| vec![AuthFault::new(path, problem)];
    if let Some(expires) = &new.expires {
        let expires = parse_time(expires).map_err(fault)?;
        if Duration::from_millis(u64::try_from(expires).unwrap_or(0)) <= since_epoch() {
            return Err(fault("`expires` is in the past".into()));
        }
    }
    let key = ApiKey::generate().map_err(|why| fault(why.to_owned()))?;
    let before = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| fault(format!("cannot be read: {error}")))?,
    };
    KeyFile::parse(path, before.as_bytes())?;
    let separator = match before.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let after = format!("{before}{separator}{}", new.entry(&key));
    KeyFile::parse(path, after.as_bytes())?;
    replace_private(path, after.as_bytes()).map_err(|error| fault(format!("cannot be written: {error}")))?;
    Ok(key)
}

/// Removes the entry of the key called `name` from the file.
///
/// # Errors
/// When there is no such key, or the file has a fault, or is written in another way than with a `[[keys]]` line for each key. The
/// file is as before then.
pub fn revoke(path: &Path, name: &str) -> Result<(), Vec<AuthFault>> {
    let fault = |problem: String| vec![AuthFault::new(path, problem)];
    let before = fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let file = KeyFile::parse(path, before.as_bytes())?;
    let mut rest = file.keys().to_vec();
    let index = rest.iter().position(|key| *key.name == *name);
    let index = index.ok_or_else(|| fault("has no key with this name".into()))?;
    rest.remove(index);
    let after = without_entry(&before, index);
    let parsed = KeyFile::parse(path, after.as_bytes());
    if !parsed.is_ok_and(|parsed| parsed.keys() == rest) {
        return Err(fault(
            "has no line [[keys]] for each key; remove the entry by hand".into(),
        ));
    }
    replace_private(path, after.as_bytes()).map_err(|error| fault(format!("cannot be written: {error}")))
}

/// Returns the text without its entry number `index`. Comments and blank lines above the next entry belong to that one.
fn without_entry(text: &str, index: usize) -> String {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let is_header = |line: &str| {
        let code = line.split('#').next().unwrap_or_default();
        code.split_whitespace().collect::<String>() == "[[keys]]"
    };
    let headers: Vec<_> = (0..lines.len()).filter(|at| is_header(lines[*at])).collect();
    let Some(start) = headers.get(index).copied() else {
        return text.to_owned();
    };
    let mut end = headers.get(index + 1).copied().unwrap_or(lines.len());
    let is_between = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    while end < lines.len() && end > start + 1 && is_between(lines[end - 1]) {
        end -= 1;
    }
    [&lines[..start], &lines[end..]].concat().concat()
}

fn since_epoch() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.into(),
            ..NewKey::default()
        }
    }

    #[test]
    fn what_an_operator_wrote_stays_when_keys_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        append(&path, &new("first")).unwrap();
        let more = "# of the partner\n[[keys]] # comment\nname = 'mine'\nsha256 = '";
        let text = fs::read_to_string(&path).unwrap()
            + "\n"
            + more
            + &"0".repeat(64)
            + "'\n[keys.claims]\ntenant = 7\n";
        fs::write(&path, &text).unwrap();
        let key = append(
            &path,
            &NewKey {
                scopes: vec!["a \"b\"".into()],
                claims: vec![("https://idp/tenant".into(), "7\u{7f}\n".into())],
                expires: Some("2999-01-01T00:00:00Z".into()),
                ..new("third")
            },
        );
        let file = KeyFile::read(&path).unwrap();
        let principal = file.check(key.unwrap().secret(), 0).unwrap();
        assert_eq!(principal.scopes, ["a \"b\""]);
        assert_eq!(principal.claims["https://idp/tenant"], "7\u{7f}\n");
        revoke(&path, "third").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), text.trim_end());
        revoke(&path, "first").unwrap();
        let left = fs::read_to_string(&path).unwrap();
        assert!(
            left.trim_start().starts_with(more) && left.contains("tenant = 7"),
            "{left}"
        );
        assert!(revoke(&path, "first").is_err());
    }

    #[test]
    fn a_fault_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        append(&path, &new("a")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let expired = NewKey {
            expires: Some("2020-01-01T00:00:00Z".into()),
            ..new("b")
        };
        for bad in [new("a"), new(""), expired] {
            assert!(append(&path, &bad).is_err(), "{bad:?}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let inline = format!("keys = [{{ name = 'a', sha256 = '{}' }}]", "0".repeat(64));
        fs::write(&path, &inline).unwrap();
        assert!(revoke(&path, "a").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), inline);
        let entries = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(entries, 1, "nothing is left behind");
    }

    #[test]
    fn what_a_crash_has_left_behind_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        let left = format!(".keys.toml.{}.next", std::process::id());
        fs::write(directory.path().join(left), "half of a fi").unwrap();
        append(&path, &new("a")).unwrap();
        assert_eq!(KeyFile::read(&path).unwrap().keys().len(), 1);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_the_owner_reads_a_new_file_and_a_link_stays_one() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("keys.toml"), directory.path().join("link"));
        append(&path, &new("a")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        symlink(&path, &link).unwrap();
        append(&link, &new("b")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(KeyFile::read(&path).unwrap().keys().len(), 2);
    }
}
