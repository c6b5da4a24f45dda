//! Keeps passwords out of fault reports, which end up in the logs of containers.

/// `text` with everything behind the name of a secret blanked, up to the end of its line, byte for byte, so that places in
/// it stay where they are. It works on text because a file that does not parse has passwords too.
pub(super) fn redact(text: &str) -> String {
    let mut in_key = false;
    let lines = text.split_inclusive('\n').map(|line| {
        let blank_all = in_key && !line.contains(KEY_END);
        in_key = (in_key || line.contains(KEY_BEGIN)) && !line.contains(KEY_END);
        match secret_begins(line) {
            _ if blank_all => blanked(line),
            Some(at) => format!("{}{}", &line[..at], blanked(&line[at..])),
            None => line.to_owned(),
        }
    });
    lines.collect()
}

/// Where the value of the first secret in the line begins.
fn secret_begins(line: &str) -> Option<usize> {
    // ASCII lower case keeps every byte where it is.
    let lower = line.to_ascii_lowercase();
    let named = SECRETS.iter().filter_map(|secret| lower.find(secret)).min()?;
    let equals = lower[named..].find('=')?;
    Some(named + equals + 1)
}

fn blanked(text: &str) -> String {
    let blank = |c: char| match c {
        c if c.is_ascii_whitespace() || "'\"{}[],#".contains(c) => c.to_string(),
        c => "*".repeat(c.len_utf8()),
    };
    text.chars().map(blank).collect()
}

/// Parts of the names under which librdkafka takes secrets.
const SECRETS: &[&str] = &[
    "password",
    "secret",
    "passphrase",
    "key.pem",
    "ssl_key",
    "oauthbearer.config",
    "token",
];
const KEY_BEGIN: &str = "-----BEGIN";
const KEY_END: &str = "-----END";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_password_is_not_shown_wherever_it_stands() {
        let text = "a = 'x'\n\"sasl.password\" = \"hunter2 é\" # x\nk = { sasl.password = 'hunter2', a = 1 }\nb = 2\n";
        let shown = redact(text);
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(
            shown.starts_with("a = 'x'\n\"sasl.password\" = \"*******"),
            "{shown}"
        );
        assert!(shown.ends_with("b = 2\n"), "{shown}");
    }

    #[test]
    fn a_key_of_many_lines_is_not_shown() {
        let text =
            "ssl.key.pem = '''\n-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----'''\na = 1\n";
        let shown = redact(text);
        assert!(!shown.contains("MIIE"), "{shown}");
        assert!(shown.ends_with("a = 1\n"), "{shown}");
    }

    proptest! {
        #[test]
        fn places_stay_where_they_are(text in "(password|=|é|\n|-----BEGIN|[a-z' ]){0,40}") {
            let shown = redact(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert!(text.match_indices('\n').eq(shown.match_indices('\n')));
        }
    }
}
