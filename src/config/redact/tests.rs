use proptest::prelude::*;

use super::*;

#[track_caller]
fn hides(text: &str) {
    let shown = redact(text);
    assert!(!shown.contains("hunter"), "{shown}");
    assert_eq!(shown.len(), text.len());
}

#[test]
fn what_keys_of_ours_say_is_shown() {
    for text in [
        "[http]\nlisten = \"127.0.0.1:8080\"\nheartbeat = 15s\n",
        "[[clusters]]\nname = \"main\"\nbootstrap = [\n  \"b1:9092\",\n  'b2:9092',\n]\n",
        "[clusters.librdkafka]\nsasl.username = \"riverhead\"\n\"security.protocol\" = 'ssl'\n",
        "[limits]\nnetworks = [{ cidr = \"10.0.0.0/8\", streams_per_client = 3 }]\n",
        "[[streams]]\nclusters = [\"main\"]\n",
        "http.listen = \"localhost:80\"\nlimits = { streams_total = 7 }\n",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_secret_is_hidden_under_whatever_key() {
    for key in [
        "sasl.password",
        "\"sasl.password\"",
        "sasl.passwrd",
        "sasl.pass",
        "\"sasl.pass\\u0077ord\"",
        "\"s\\u0061sl.password\"",
        "ssl.key.pem",
        "token",
        "tokne",
        "admin.token",
        "ticket_keys",
        "auth.ticket_keys",
        "clusters.librdkafka.sasl.password",
        "pwd",
        "x",
    ] {
        hides(&format!("{key} = \"hunter2 é\" # hunter2\n"));
        hides(&format!("{key} = 'hunter2'\n"));
        hides(&format!("{key} = hunter2\n"));
        hides(&format!("{key} = \"hunter2\n"));
        hides(&format!("{key} = [\"a\", \"hunter2\"]\n"));
        hides(&format!("k = {{ {key} = 'hunter2', name = \"hunter2\" }}\n"));
        hides(&format!("librdkafka = {{ name = 'a', {key} = 'hunter2' }}\n"));
    }
}

#[test]
fn a_secret_of_many_lines_is_hidden_to_its_end() {
    for quotes in ["\"\"\"", "'''"] {
        for key in ["sasl.password", "passwrd", "description"] {
            hides(&format!(
                "{key} = {quotes}hunter1\nhunter2 = \"hunter3\"\nname = 'hunter4'{quotes}\n"
            ));
        }
    }
    hides("ssl.key.pem = \"-----BEGIN\nhunter+/A\nhunter=\nhunter==\nname hunter\n-----END\"\n");
}

#[test]
fn what_a_broken_file_says_is_hidden_unless_it_is_whole() {
    for text in [
        "sasl.password: hunter2\n",
        "sasl.password hunter2\n",
        "sasl.password == hunter2\n",
        "hunter2\n",
        "name = \"a\" hunter2\n",
        "name = \"a, sasl.password = \"hunter2\"\n",
        "k = { name = \"a, sasl.password = \"hunter2\" }\n",
        "k = { sasl.password = \"hunter2, name = \"x\" }\n",
        "k = { sasl.password = 'it's hunter2', name = 1 }\n",
        "bootstrap = [\"b1:9092\",\nsasl.password = \"hunter2\"\n",
        "bootstrap = [\"b1:9092\",\n\"sasl.password\" = \"hunter2\"\n",
        "bootstrap = [\"b1:9092\" \"hunter2\"]\n",
        "[clusters.librdkafka] sasl.password = \"hunter2\"\n",
        "# sasl.password = \"hunter2\"\n",
        "[[clusters]] # hunter2\n",
    ] {
        hides(text);
    }
}

#[test]
fn a_user_and_a_password_in_an_address_are_hidden() {
    for text in [
        "bootstrap = [\"b1:9092\", \"user:hunter2@b2:9092\"]\n",
        "listen = \"https://user:hunter2@127.0.0.1\"\n",
        "listen = user:hunter2@127.0.0.1\n",
    ] {
        hides(text);
    }
}

#[test]
fn what_is_no_secret_is_a_closed_list() {
    for key in [
        "token",
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "ticket_keys",
    ] {
        assert!(!HARMLESS.contains(key), "{key}");
    }
    for key in ["ssl.key.location", "hosts", "ticket_keys_file", "ticket_lifetime"] {
        assert!(HARMLESS.contains(key), "{key}");
    }
}

proptest! {
    #[test]
    fn places_stay_where_they_are(text in "(name = |password|=|é|\n|\"|'|\\[|\\{|\\}|#|@|\\\\|\"\"\"|[a-z' ]){0,40}") {
        let shown = redact(&text);
        prop_assert_eq!(shown.len(), text.len());
        prop_assert!(text.match_indices('\n').eq(shown.match_indices('\n')));
    }

    #[test]
    fn a_password_is_hidden_in_any_rubbish(
        before in "(name = \"a\"\n|bootstrap = \\[|\"|'|\n|\\{|x = 1\n){0,6}",
        after in "(\"|'|\\}|\\]|,|#|\n){0,6}",
    ) {
        let text = format!("{before}\nsasl.password = \"hunter2{after}");
        prop_assert!(!redact(&text).contains("hunter2"), "{}", redact(&text));
    }
}
